"""Distances of two histograms whose bins have an order."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import Floats, shares


def wasserstein_bins(
    current: ArrayLike, reference: ArrayLike, *, pseudocount: float = 0.5
) -> Floats:
    """Return the Wasserstein-1 distance Σ |C_i - R_i| of cumulative shares, in bin widths.

    How many bins the average value moved; symmetric. 0 = the same shares in every bin;
    B - 1 = everything went from the first bin to the last; NaN = a side counted nothing. The bins
    must have an order, and count as one apart whatever their width.

    Both sides are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Vallender 1974, "Calculation of the Wasserstein Distance Between Probability
    Distributions on the Line".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(wasserstein_bins(current, reference, pseudocount=0)), 6)
    0.33
    """
    c, r = shares(current, reference, pseudocount)
    # The last cumulative difference is 0 but for rounding, save where a side counted nothing.
    moved = np.cumsum(c - r, axis=-1)
    return np.asarray(np.abs(moved).sum(axis=-1))


def ks_bins(current: ArrayLike, reference: ArrayLike) -> Floats:
    """Return the Kolmogorov-Smirnov distance D = max |C_i - R_i| of cumulative shares.

    The largest share of events that moved past one edge; symmetric. 0 = the same shares in every
    bin; 1 = every value of one side lies below every value of the other; NaN = a side counted
    nothing. The bins must have an order; their widths don't matter. It never exceeds D of the
    values themselves, since only their edges are looked at: p-values made for the latter are too
    large for it. Empty bins need no smoothing and get none.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    Source: Smirnov 1939, "On the Estimation of the Discrepancy Between Empirical Curves of
    Distribution for Two Independent Samples".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(ks_bins(current, reference)), 6)
    0.12
    """
    c, r = shares(current, reference, 0.0)
    apart = np.abs(np.cumsum(c - r, axis=-1)).max(axis=-1, initial=0.0)
    # Rounding may leave it above 1, where nothing can be.
    return np.asarray(np.minimum(apart, 1.0))
