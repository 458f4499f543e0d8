"""Shift of the mean."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._interpolated import binned, means
from tidegauge.stats._shares import FloatArray


def mean_shift(edges: ArrayLike, current: ArrayLike, reference: ArrayLike) -> FloatArray:
    """Return mean(current) - mean(reference), in the signal's own unit.

    Positive = values grew; 0 = the same mean; never further from 0 than the first edge is from the
    last; NaN = a side counted nothing. Values count as spread evenly within their bin, so each mean
    is Σ c_i · (the middle of bin i): off by at most half the width of the widest bin that was hit,
    and blind to what moves inside a bin. Nothing is added to empty bins.

    ``edges`` holds both ends of every bin, the outermost included (the smallest and the largest
    value of both sides): one more than bins, never descending; equal ones are a bin of one value.
    Bins are on the last axis, leading axes broadcast. One figure for each leading index,
    0-dimensional for two vectors. Raises ``ValueError`` if bins and edges don't pair up, an edge
    isn't finite, edges descend, or a count is negative.

    Source: Sheppard 1898, "On the Calculation of the Most Probable Values of Frequency-Constants
    for Data Arranged According to Equidistant Divisions of a Scale".

    >>> float(mean_shift([0, 10, 20, 40], [10, 10, 20], [20, 10, 10]))
    6.25
    """
    c, r = means(*binned(edges, current, reference))
    return np.asarray(c - r)
