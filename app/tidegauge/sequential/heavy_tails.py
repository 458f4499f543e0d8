"""How heavy the tails of a baseline's scores are, as the degrees of freedom of F.

Where blocks of a baseline vary by outliers rather than evenly, as a level with heavy tails does, or
one that jumps for ten minutes each night, the fourth moment of the scores tells. Of F with k and f
degrees of freedom E F² / (E F)² = (k + 2)/k · (f - 2)/(f - 4); so where it is R times that of χ²
with k,

    f = (4 R - 2) / (R - 1)

(the method of moments; Johnson, Kotz & Balakrishnan 1995, chapter 27). R of normal scores has the
standard error sqrt(24 / blocks) / 3 (Fisher 1930).
"""

from collections.abc import Sequence

import numpy as np

from tidegauge.stats import Floats

#: Standard errors that R is beyond 1 by, before it counts.
_ERRORS = 3.0


#: How much larger Σ w^4 / (Σ w²)² is of exponential weights than of as many equal ones.
_OF_MEMORY = 2.0


def tail_degrees(squares: Floats, directions: Floats, fourth: Floats, blocks: float) -> float:
    """Return f, infinite where the tails are no heavier than normal ones.

    ``squares`` are the scores of the blocks, squared and divided by what is expected of them, each
    a mean over so many ``directions``; sampling adds ``fourth`` to the fourth moment of normal
    ones. ``blocks`` is how many independent ones they are worth. All arrays are (blocks).

    >>> rng = np.random.default_rng(1)
    >>> one, none = np.ones(200_000), np.zeros(200_000)
    >>> tail_degrees(rng.normal(size=200_000) ** 2, one, none, 200_000.0)
    inf
    >>> round(tail_degrees(rng.standard_t(10, size=200_000) ** 2, one, none, 200_000.0), 1)
    10.0
    """
    normal = float(((directions + 2) / directions + fourth).mean())
    mean = float(squares.mean())
    if not mean > 0:
        return float("inf")
    ratio = float((squares**2).mean()) / mean**2 / normal
    if ratio - 1 <= _ERRORS * np.sqrt(24 / blocks) / 3:
        return float("inf")
    return (4 * ratio - 2) / (ratio - 1)


def of_bin(share: Floats, n: Floats) -> Floats:
    """Return what sampling adds to the fourth moment of one bin's score (binomial)."""
    variance = share * (1 - share)
    return np.where(variance > 0, (1 - 6 * variance) / np.where(variance > 0, n * variance, 1.0), 0)


def of_shape(shares: Floats, n: Floats, df: Floats) -> Floats:
    """Return what it adds to that of X²/df over all bins, (blocks, bins) with ``n`` events each.

    Var X² = 2 df + (Σ 1/p - B² - 2B + 2) / n, of B bins (Haldane 1937).
    """
    there = shares > 0
    bins = there.sum(axis=-1)
    inverse = np.where(there, 1 / np.where(there, shares, 1.0), 0.0).sum(axis=-1)
    return np.asarray(np.maximum(inverse - bins**2 - 2 * bins + 2, 0.0) / n / df**2)


def of_score(shares: Floats, score: Floats, n: Floats) -> Floats:
    """Return what it adds to that of the mean of a ``score`` of unit variance, (blocks, bins)."""
    return np.asarray(((shares * score**4).sum(axis=-1) - 3) / np.maximum(n, 1.0))


def carried(seconds: Sequence[float], degrees: Floats) -> Floats:
    """Return degrees (spans, directions) that fall no faster than those of independent blocks do.

    The kurtosis 6/(f - 4) of a mean over k of these is a k-th; of a memory, which weighs some of
    them more, about twice that. A few long blocks can't tell it.
    """
    found = degrees.copy()
    for at in range(1, len(found)):
        before = np.where(found[at - 1] > 4, found[at - 1] - 4, np.inf)
        kurtosis = 6 / before * seconds[at - 1] / seconds[at] * (_OF_MEMORY if at == 1 else 1)
        found[at] = np.minimum(found[at], 4 + 6 / np.maximum(kurtosis, 1e-9))
    return found
