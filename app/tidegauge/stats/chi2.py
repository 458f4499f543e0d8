"""Chi-squared statistic of two samples."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import FloatArray, paired, shares


def chi2_two_sample(current: ArrayLike, reference: ArrayLike) -> FloatArray:
    """Return Pearson's chi-squared Σ (O - E)²/E over the table of both sides, without unit.

    E is what a bin would hold if both sides had the shares of their sum, so the reference's own
    noise is counted. No continuity correction. Symmetric. 0 = the same shares in every bin;
    n + m = no bin in common; NaN = a side counted nothing. Without drift it is distributed about as
    χ² with ``degrees_of_freedom``; far out in the tail much worse than ``g_two_sample`` is. It
    grows with the number of events: it says whether there is a drift, not how big one.

    A bin that neither side has hit is left out; nothing is added to the others.

    Both sides are counts in the same bins along the last axis, leading axes broadcast; effective
    counts may be fractions. One figure for each leading index, 0-dimensional for two vectors.
    Raises ``ValueError`` if the bins don't pair up or a count is negative.

    Source: Pearson 1911, "On the Probability that Two Independent Distributions of Frequency Are
    Really Samples from the Same Population".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(chi2_two_sample(current, reference)), 6)
    25.027886
    """
    observed, expected = paired(current, reference)
    c, r = shares(current, reference, 0.0)
    n, m = observed.sum(axis=-1), expected.sum(axis=-1)
    both = observed + expected
    # 1 under a bin that nobody hit: its term is 0, or NaN where the shares are.
    terms = np.square(c - r) / np.where(both > 0, both, 1.0)
    return np.asarray(n * m * terms.sum(axis=-1))
