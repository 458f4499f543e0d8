"""Quantiles of a histogram."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate


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
