"""Population stability index."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import FloatArray, shares, symmetric_entropy


def psi(current: ArrayLike, reference: ArrayLike, *, pseudocount: float = 0.5) -> FloatArray:
    """Return the population stability index Σ (c - r)·ln(c / r), in nats.

    It is KL(c‖r) + KL(r‖c), so symmetric. 0 = the same shares in every bin; ∞ (only without a
    pseudocount) = a bin is empty on one side alone; NaN = a side counted nothing.

    Both sides are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Yurdakul 2018, "Statistical Properties of Population Stability Index": without drift PSI
    is distributed about as (1/n + 1/m)·χ² with B - 1 degrees of freedom.

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(psi(current, reference, pseudocount=0)), 6)
    0.077833
    """
    c, r = shares(current, reference, pseudocount)
    return np.asarray(symmetric_entropy(c, r))
