"""Where the values of each bin go when all of them are moved and stretched.

Nobody has the values any more, only their bins, so they are taken to lie in these as the baseline's
quantile function has it: evenly between two edges, and beyond the outermost ones as the tail of a
normal distribution through the two edges next to it, no further than the baseline's smallest and
largest value. What moves inside one bin is not seen, as by DETECT itself.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtri

from tidegauge.baseline import NumericSignal

Floats = npt.NDArray[np.float64]


def moves(signal: NumericSignal, *, shift: float, stretch: float, centre: float) -> Floats:
    """Return the share of each bin's values that goes to each: rows add up to 1.

    A value x becomes ``centre`` + ``stretch`` · (x - ``centre``) + ``shift``.

    >>> signal = NumericSignal(edges=[0.0, 1.0, 2.0], counts=[25, 25, 25, 25], missing=0, nan=0,
    ...                        mean=1.0, std=1.0, minimum=-1.0, maximum=3.0)
    >>> moves(signal, shift=0.5, stretch=1.0, centre=1.0)[1].tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    edges = np.array(signal.edges)
    if not len(edges):
        return np.ones((1, 1))
    came_from = centre + (edges - shift - centre) / stretch
    below = np.array([_inside(signal, bin_, came_from) for bin_ in range(len(edges) + 1)])
    ends = np.pad(below, ((0, 0), (1, 1)), constant_values=((0.0, 0.0), (0.0, 1.0)))
    return np.maximum(np.diff(ends, axis=1), 0.0)


def _inside(signal: NumericSignal, bin_: int, x: Floats) -> Floats:
    """Return the share of one bin's values that is below each ``x``, ascending."""
    edges = signal.edges
    if 0 < bin_ < len(edges):
        low, high = edges[bin_ - 1], edges[bin_]
        return (np.clip(x, low, high) - low) / (high - low)
    if bin_ == 0:
        share, end = _tail(signal, edges[0] - x, lowest=True), signal.minimum
        share = np.where(x <= edges[0], share, 1.0)
        return share if end is None else np.where(x <= end, 0.0, share)
    share, end = 1 - _tail(signal, x - edges[-1], lowest=False), signal.maximum
    share = np.where(x >= edges[-1], share, 0.0)
    return share if end is None else np.where(x > end, 1.0, share)


def _tail(signal: NumericSignal, beyond: Floats, *, lowest: bool) -> Floats:
    """Return the share of an outer bin that is more than ``beyond`` outside of its edge."""
    z, scale = _normal_end(signal, lowest=lowest)
    result: Floats = np.exp(log_ndtr(z - np.maximum(beyond, 0.0) / scale) - log_ndtr(z))
    return result


def _normal_end(signal: NumericSignal, *, lowest: bool) -> tuple[float, float]:
    """Return the normal score of the outermost edge, below 0, and what one of them is in x."""
    counts = np.array(signal.counts if lowest else signal.counts[::-1], dtype=np.float64)
    edges = signal.edges if lowest else [-edge for edge in signal.edges[::-1]]
    scores = ndtri(np.cumsum(counts)[:-1] / max(counts.sum(), 1.0))
    atom = 1e-9 * (edges[-1] - edges[0])
    for (a, b), (low, high) in zip(pairwise(scores.tolist()), pairwise(edges), strict=True):
        # The bin of a single value has no slope.
        if np.isfinite([a, b]).all() and b > a and high - low > atom:
            scale = (high - low) / (b - a)
            return a + (edges[0] - low) / scale, scale
    mean, std = signal.mean or 0.0, signal.std or 1.0
    return (edges[0] - (mean if lowest else -mean)) / std, std
