"""What counts between edges say of the values, taken as spread evenly within each bin."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegauge.stats._shares import FloatArray, paired, shares

#: Edges, current and reference counts in one shape, but for one more edge than bins.
Binned = tuple[FloatArray, FloatArray, FloatArray]


def binned(edges: ArrayLike, current: ArrayLike, reference: ArrayLike) -> Binned:
    """Check and broadcast edges and the counts between them.

    Raises ``ValueError`` if the counts don't pair up or one is negative, if there isn't one edge
    more than bins, or if edges are not finite or descend. Two edges may be equal: a bin of one
    value.

    >>> [one.tolist() for one in binned([0, 1, 2], [3, 4], [[5, 6]])]
    [[[0.0, 1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]
    """
    c, r = paired(current, reference)
    e = np.asarray(edges, dtype=np.float64)
    if e.ndim == 0 or e.shape[-1] != c.shape[-1] + 1:
        raise ValueError(
            f"edges: found shape {e.shape} for {c.shape[-1]} bins, expected {c.shape[-1] + 1} on "
            "the last axis: both ends of every bin, the outermost included"
        )
    if not np.isfinite(e).all() or (e[..., 1:] < e[..., :-1]).any():
        raise ValueError("edges: expected finite numbers that never descend")
    leading = np.broadcast_shapes(e.shape[:-1], c.shape[:-1])
    return (
        np.broadcast_to(e, (*leading, e.shape[-1])),
        np.broadcast_to(c, (*leading, c.shape[-1])),
        np.broadcast_to(r, (*leading, r.shape[-1])),
    )


def means(edges: FloatArray, current: FloatArray, reference: FloatArray) -> tuple[FloatArray, ...]:
    """Return the mean of both sides: every value counts as the middle of its bin."""
    # Halved before they are added: edges near the largest float would overflow.
    middle = edges[..., :-1] / 2 + edges[..., 1:] / 2
    c, r = shares(current, reference, 0.0)
    return (c * middle).sum(axis=-1), (r * middle).sum(axis=-1)


def standard_deviation(edges: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the standard deviation of one side: of the bins' middles, and width²/12 within."""
    share, _ = shares(counts, counts, 0.0)
    # In units of a power of two, which is exact: squares of large edges would overflow.
    _, exponent = np.frexp(np.abs(edges).max(axis=-1, keepdims=True))
    scaled = np.ldexp(edges, -exponent)
    middle = (scaled[..., :-1] + scaled[..., 1:]) / 2
    width = scaled[..., 1:] - scaled[..., :-1]
    mean = (share * middle).sum(axis=-1, keepdims=True)
    variance = (share * (np.square(middle - mean) + np.square(width) / 12)).sum(axis=-1)
    return np.asarray(np.ldexp(np.sqrt(variance), exponent[..., 0]))


def quantile(edges: FloatArray, counts: FloatArray, q: float) -> FloatArray:
    """Return the ``q``-quantile of one side, as ``histogram_quantile`` does for one histogram."""
    cumulative = np.cumsum(counts, axis=-1)
    rank = q * cumulative[..., -1:]
    # Rank 0 is the lower end of the first bin that was hit, not of an empty bin before it.
    before: NDArray[np.bool_] = cumulative < rank if q > 0 else cumulative <= 0
    index = np.minimum(before.sum(axis=-1, keepdims=True), counts.shape[-1] - 1)
    inside = np.take_along_axis(counts, index, axis=-1)
    lower = np.take_along_axis(edges, index, axis=-1)
    upper = np.take_along_axis(edges, index + 1, axis=-1)
    reached = np.take_along_axis(cumulative, index, axis=-1) - inside
    into = (rank - reached) / np.where(cumulative[..., -1:] > 0, inside, np.nan)
    # Written so that both ends are met exactly and neither can be passed by rounding.
    return np.asarray(np.clip(lower * (1 - into) + upper * into, lower, upper)[..., 0])
