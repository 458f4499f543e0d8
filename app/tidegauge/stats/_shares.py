"""From two count vectors to two share vectors, and the relative entropy of such a pair."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: Indices into another array.
Places = NDArray[np.intp]

#: Half a count a bin: the divergences stay finite, and at the sample sizes that are judged
#: (1,000 events and more) it moves them by less than their own noise.
PSEUDOCOUNT = 0.5


def paired(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides as floats of one shape: bins on the last axis, leading axes broadcast.

    Raises ``ValueError`` if the bins don't pair up, there are none, or a count is negative.

    >>> [side.tolist() for side in paired([[1, 2], [3, 4]], [5, 6])]
    [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [5.0, 6.0]]]
    """
    a = np.asarray(first, dtype=np.float64)
    b = np.asarray(second, dtype=np.float64)
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"counts of shape {a.shape} and {b.shape} can't be compared: "
            "the last axis of both must hold the same bins"
        )
    if not a.shape[-1]:
        raise ValueError("counts: found no bins, expected at least one")
    if min(a.min(initial=0.0), b.min(initial=0.0)) < 0:
        raise ValueError("counts: found a negative number, expected how often each bin was hit")
    a, b = np.broadcast_arrays(a, b)
    return a, b


def shares(first: ArrayLike, second: ArrayLike, pseudocount: float) -> tuple[Floats, Floats]:
    """Turn counts into shares of their total, along the last axis.

    ``pseudocount`` is added to every bin of both sides, except to bins that are empty on both:
    such a bin says nothing about a difference, and smoothing it would make the figure depend on how
    many bins nobody ever used. Where a side counted nothing at all, its shares are NaN.

    Raises ``ValueError`` if the bins don't pair up, or a count or ``pseudocount`` is negative.

    >>> [side.tolist() for side in shares([3, 0, 0], [1, 2, 0], 0.5)]
    [[0.875, 0.125, 0.0], [0.375, 0.625, 0.0]]
    """
    if pseudocount < 0:
        raise ValueError(f"pseudocount: found {pseudocount}, expected 0 or more")
    return shares_of_pair(*paired(first, second), pseudocount)


def shares_of_pair(a: Floats, b: Floats, pseudocount: float) -> tuple[Floats, Floats]:
    """Do the same with both sides as ``paired`` returns them."""
    used = a + b > 0
    return _side(a, used, pseudocount), _side(b, used, pseudocount)


def _side(counts: Floats, used: NDArray[np.bool_], pseudocount: float) -> Floats:
    nothing = counts.sum(axis=-1, keepdims=True) == 0
    smoothed = counts + pseudocount * used
    total = smoothed.sum(axis=-1, keepdims=True)
    total[nothing] = np.nan
    return np.asarray(smoothed / total)


def relative_entropy(p: Floats, q: Floats) -> Floats:
    """Return Σ p·ln(p/q) along the last axis, with 0·ln 0 = 0 and p·ln(p/0) = ∞.

    Never below 0: what rounding leaves there for two equal sides is cut off.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = p * np.log(p / q)
    terms[p == 0] = 0.0
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0))


def symmetric_entropy(p: Floats, q: Floats) -> Floats:
    """Return Σ (p - q)·ln(p/q), the relative entropies in both directions together."""
    return relative_entropy(p, q) + relative_entropy(q, p)


def degrees_of_pair(a: Floats, b: Floats) -> NDArray[np.int64]:
    """Return one less than the number of bins that either side has hit, and 0 of none."""
    return np.asarray(np.maximum(np.count_nonzero(a + b, axis=-1) - 1, 0), dtype=np.int64)
