"""Quantiles and shifts of values, estimated from bins: values are spread evenly within each."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import Bools, Floats, paired, shares


def histogram_quantile(
    edges: Sequence[float],
    counts: Sequence[float],
    q: float,
    *,
    minimum: float | None,
    maximum: float | None,
) -> float | None:
    """Estimate the ``q``-quantile, in the unit of ``edges``; ``None`` if nothing was counted.

    Interpolates linearly inside the bin that holds rank q·n, as Prometheus' ``histogram_quantile``
    does. The bins are narrowed to ``minimum`` and ``maximum``, so that q = 0 and q = 1 give exactly
    these, and the open outer bins have an end; where one of them is ``None``, the outer bin is
    taken to end at its edge. The error is at most the width of the bin.

    Bin i holds ``edges[i-1]`` ≤ x < ``edges[i]``; ``counts`` has ``len(edges) + 1`` entries, which
    may be fractions.
    Raises ``ValueError`` if ``q`` is outside 0…1, a count is negative, or the counts don't fit the
    edges.

    >>> histogram_quantile([10.0, 20.0], [1, 2, 1], 0.5, minimum=5.0, maximum=40.0)
    15.0
    >>> histogram_quantile([10.0, 20.0], [0, 0, 4], 0.25, minimum=24.0, maximum=40.0)
    28.0
    >>> histogram_quantile([10.0], [0, 0], 0.5, minimum=None, maximum=None) is None
    True
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q: found {q}, expected a number between 0 and 1")
    if len(counts) != len(edges) + 1:
        raise ValueError(
            f"counts: found {len(counts)} bins, expected {len(edges) + 1} for {len(edges)} edges"
        )
    if min(counts) < 0:
        raise ValueError("counts: found a negative number, expected how often each bin was hit")
    cumulative = list(accumulate(counts))
    if cumulative[-1] == 0:
        return None
    # A float holds no integer beyond 2**53, so the product may be more than there is.
    rank = min(q * cumulative[-1], cumulative[-1])
    # Rank 0 is the lower end of the first bin that was hit, not of an empty bin before it.
    index = bisect_left(cumulative, rank) if rank > 0 else bisect_right(cumulative, 0)
    lower = edges[index - 1] if index > 0 else None
    upper = edges[index] if index < len(edges) else None
    if minimum is not None:
        lower = minimum if lower is None else max(lower, minimum)
    if maximum is not None:
        upper = maximum if upper is None else min(upper, maximum)
    if lower is None or upper is None:
        return upper if lower is None else lower
    into = (rank - (cumulative[index] - counts[index])) / counts[index]
    # Written so that both ends are met exactly and neither can be passed by rounding.
    return min(max(lower * (1 - into) + upper * into, lower), upper)


def quantile_shift(edges: ArrayLike, current: ArrayLike, reference: ArrayLike, q: float) -> Floats:
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
    e, c, r = _binned(edges, current, reference)
    return np.asarray(_quantile(e, c, q) - _quantile(e, r, q))


def mean_shift(edges: ArrayLike, current: ArrayLike, reference: ArrayLike) -> Floats:
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
    c, r = _means(*_binned(edges, current, reference))
    return np.asarray(c - r)


def standardised_mean_shift(edges: ArrayLike, current: ArrayLike, reference: ArrayLike) -> Floats:
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
    e, c, r = _binned(edges, current, reference)
    c_mean, r_mean = _means(e, c, r)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((c_mean - r_mean) / _standard_deviation(e, r))


def _binned(
    edges: ArrayLike, current: ArrayLike, reference: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Check and broadcast edges and the counts between them: one shape, but for one more edge.

    Raises ``ValueError`` if the counts don't pair up or one is negative, if there isn't one edge
    more than bins, or if edges are not finite or descend. Two edges may be equal: a bin of one
    value.

    >>> [one.tolist() for one in _binned([0, 1, 2], [3, 4], [[5, 6]])]
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


def _means(edges: Floats, current: Floats, reference: Floats) -> tuple[Floats, ...]:
    """Return the mean of both sides: every value counts as the middle of its bin."""
    # Halved before they are added: edges near the largest float would overflow.
    middle = edges[..., :-1] / 2 + edges[..., 1:] / 2
    c, r = shares(current, reference, 0.0)
    return (c * middle).sum(axis=-1), (r * middle).sum(axis=-1)


def _standard_deviation(edges: Floats, counts: Floats) -> Floats:
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


def _quantile(edges: Floats, counts: Floats, q: float) -> Floats:
    """Return the ``q``-quantile of one side, as ``histogram_quantile`` does for one histogram."""
    cumulative = np.cumsum(counts, axis=-1)
    rank = q * cumulative[..., -1:]
    # Rank 0 is the lower end of the first bin that was hit, not of an empty bin before it.
    before: Bools = cumulative < rank if q > 0 else cumulative <= 0
    index = np.minimum(before.sum(axis=-1, keepdims=True), counts.shape[-1] - 1)
    inside = np.take_along_axis(counts, index, axis=-1)
    lower = np.take_along_axis(edges, index, axis=-1)
    upper = np.take_along_axis(edges, index + 1, axis=-1)
    reached = np.take_along_axis(cumulative, index, axis=-1) - inside
    into = (rank - reached) / np.where(cumulative[..., -1:] > 0, inside, np.nan)
    # Written so that both ends are met exactly and neither can be passed by rounding.
    return np.asarray(np.clip(lower * (1 - into) + upper * into, lower, upper)[..., 0])
