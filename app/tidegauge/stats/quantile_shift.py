"""Shift of a quantile."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._interpolated import binned, quantile
from tidegauge.stats._shares import FloatArray


def quantile_shift(
    edges: ArrayLike, current: ArrayLike, reference: ArrayLike, q: float
) -> FloatArray:
    """Return the ``q``-quantile of current minus that of reference, in the signal's own unit.

    Positive = the quantile grew; 0 = it is the same; never further from 0 than the first edge is
    from the last; NaN = a side counted nothing. Interpolated linearly inside the bin that holds
    rank q·n, as ``histogram_quantile`` does: each is off by at most the width of that bin. Nothing
    is added to empty bins.

    ``edges`` holds both ends of every bin, the outermost included (the smallest and the largest
    value of both sides): one more than bins, never descending; equal ones are a bin of one value.
    Bins are on the last axis, leading axes broadcast. One figure for each leading index,
    0-dimensional for two vectors. Raises ``ValueError`` if bins and edges don't pair up, an edge
    isn't finite, edges descend, a count is negative, or ``q`` is outside 0…1.

    Source: Doksum 1974, "Empirical Probability Plots and Statistical Inference for Nonlinear Models
    in the Two-Sample Case" (the shift function).

    >>> float(quantile_shift([0, 10, 20, 40], [10, 10, 20], [20, 10, 10], 0.5))
    10.0
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q: found {q}, expected a number between 0 and 1")
    e, c, r = binned(edges, current, reference)
    return np.asarray(quantile(e, c, q) - quantile(e, r, q))
