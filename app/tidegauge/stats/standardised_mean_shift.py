"""Shift of the mean in standard deviations of the reference."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._interpolated import binned, means, standard_deviation
from tidegauge.stats._shares import FloatArray


def standardised_mean_shift(
    edges: ArrayLike, current: ArrayLike, reference: ArrayLike
) -> FloatArray:
    """Return (mean(current) - mean(reference)) / std(reference), in standard deviations.

    Glass's Δ: comparable between signals of any unit. Positive = values grew; 0 = the same mean;
    ±∞ = it moved, but the reference is a single value; NaN = a side counted nothing, or both are
    that single value. Values count as spread evenly within their bin: the variance is that of the
    bins' middles and width²/12 within each. Nothing is added to empty bins.

    ``edges`` holds both ends of every bin, the outermost included (the smallest and the largest
    value of both sides): one more than bins, never descending; equal ones are a bin of one value.
    Bins are on the last axis, leading axes broadcast. One figure for each leading index,
    0-dimensional for two vectors. Raises ``ValueError`` if bins and edges don't pair up, an edge
    isn't finite, edges descend, or a count is negative.

    Source: Glass 1976, "Primary, Secondary, and Meta-Analysis of Research".

    >>> round(float(standardised_mean_shift([0, 10, 20, 40], [10, 10, 20], [20, 10, 10])), 6)
    0.572286
    """
    e, c, r = binned(edges, current, reference)
    c_mean, r_mean = means(e, c, r)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((c_mean - r_mean) / standard_deviation(e, r))
