"""Population stability index, less what noise alone would make of it."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import (
    FloatArray,
    degrees_of_pair,
    paired,
    shares_of_pair,
    symmetric_entropy,
)
from tidegauge.stats.drift import PSEUDOCOUNT


def psi_corrected(current: ArrayLike, reference: ArrayLike) -> FloatArray:
    """Return max(0, PSI - (B - 1)·(1/n + 1/m)), in nats: how big a drift is, at any sample size.

    PSI is that of ``psi`` with half a count added to every bin that either side has hit; there are
    B of those, and n and m are the totals of both sides. Without drift PSI is about that much on
    average, however good the model: 0.09 for 18 bins and 200 events. 0 = no more than that; large =
    nothing in common (no end: it grows with the counts); NaN = a side counted nothing.

    Both sides are counts in the same bins along the last axis, leading axes broadcast; effective
    counts may be fractions. One figure for each leading index, 0-dimensional for two vectors.
    Raises ``ValueError`` if the bins don't pair up or a count is negative.

    Source: Yurdakul 2018, "Statistical Properties of Population Stability Index": without drift PSI
    is distributed about as (1/n + 1/m)·χ² with B - 1 degrees of freedom, whose mean is B - 1.

    >>> from tidegauge.stats import psi
    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> float(psi(current, reference).round(6)), float(psi_corrected(current, reference).round(6))
    (0.077252, 0.065252)
    """
    c, r = paired(current, reference)
    n, m = c.sum(axis=-1), r.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = degrees_of_pair(c, r) * (1 / n + 1 / m)
    # Checked once: for the few signals of a window that took as long as all the rest.
    psi = symmetric_entropy(*shares_of_pair(c, r, PSEUDOCOUNT))
    return np.asarray(np.maximum(psi - noise, 0.0))
