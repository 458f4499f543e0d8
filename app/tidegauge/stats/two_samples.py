"""Test statistics of two samples: whether they differ by more than noise, not by how much."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegauge.stats._shares import Floats, degrees_of_pair, paired, relative_entropy, shares


def chi2_two_sample(current: ArrayLike, reference: ArrayLike) -> Floats:
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


def g_two_sample(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return G = 2·Σ O·ln(O / E) over the table of both sides, without unit.

    E is what a bin would hold if both sides had the shares of their sum, so the reference's own
    noise is counted. It is twice the log-likelihood ratio of "two distributions" to "one", and
    2·(n·KL(c‖s) + m·KL(r‖s)) with s the shares of the sum. Symmetric. 0 = the same shares in every
    bin; 2·(n·ln((n+m)/n) + m·ln((n+m)/m)) = no bin in common; NaN = a side counted nothing. Without
    drift it is distributed about as χ² with ``degrees_of_freedom``. It grows with the number of
    events: it says whether there is a drift, not how big one.

    O = 0 adds 0, so an empty bin needs no smoothing and gets none; a bin that neither side has hit
    is left out.

    Both sides are counts in the same bins along the last axis, leading axes broadcast; effective
    counts may be fractions. One figure for each leading index, 0-dimensional for two vectors.
    Raises ``ValueError`` if the bins don't pair up or a count is negative.

    Source: Wilks 1938, "The Large-Sample Distribution of the Likelihood Ratio for Testing Composite
    Hypotheses"; Sokal & Rohlf 1981, "Biometry", chapter 17.

    >>> reference, current = [200, 300, 250, 150, 100, 0], [70, 140, 140, 140, 0, 10]
    >>> round(float(g_two_sample(current, reference)), 6)
    139.193943
    """
    first, second = paired(current, reference)
    c, r = shares(current, reference, 0.0)
    n, m = first.sum(axis=-1), second.sum(axis=-1)
    total = np.asarray(n + m)[..., np.newaxis]
    together = (first + second) / np.where(total > 0, total, np.nan)
    return np.asarray(2 * (n * relative_entropy(c, together) + m * relative_entropy(r, together)))


def degrees_of_freedom(current: ArrayLike, reference: ArrayLike) -> NDArray[np.int64]:
    """Return B - 1, with B the bins that either side has hit: those of ``g_two_sample`` and chi².

    0 = one bin or none, so there is nothing to compare. Bins that nobody ever hit don't count:
    they can't contribute to the statistic, and a test that reckons with them misses drifts.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    >>> int(degrees_of_freedom([60, 130, 0, 0], [200, 300, 10, 0]))
    2
    """
    return degrees_of_pair(*paired(current, reference))
