"""Hellinger distance."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import FloatArray, shares


def hellinger(current: ArrayLike, reference: ArrayLike) -> FloatArray:
    """Return the Hellinger distance √(½·Σ (√c - √r)²), without unit.

    Symmetric. 0 = the same shares in every bin; 1 = no bin in common; NaN = a side counted nothing.
    Empty bins need no smoothing and get none.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    Source: Le Cam & Yang 2000, "Asymptotics in Statistics", chapter 3.

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(hellinger(current, reference)), 6)
    0.098458
    """
    c, r = shares(current, reference, 0.0)
    squared = np.square(np.sqrt(c) - np.sqrt(r)).sum(axis=-1) / 2
    # The sum is at most 2 but for rounding.
    return np.asarray(np.sqrt(np.minimum(squared, 1.0)))
