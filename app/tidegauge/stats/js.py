"""Jensen-Shannon divergence."""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import FloatArray, relative_entropy, shares


def js_divergence(p: ArrayLike, q: ArrayLike, *, pseudocount: float = 0.5) -> FloatArray:
    """Return the Jensen-Shannon divergence ½·KL(p‖m) + ½·KL(q‖m) with m = (p + q)/2, in nats.

    Symmetric. 0 = the same shares in every bin; ln 2 = no bin in common; NaN = a side counted
    nothing. Finite without a pseudocount too. The *distance* that other tools show is its square
    root, ``js_distance``: a distance of 0.1 is a divergence of 0.01.

    ``p`` and ``q`` are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up or a count
    is negative.

    Source: Lin 1991, "Divergence Measures Based on the Shannon Entropy".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(js_divergence(current, reference, pseudocount=0)), 6)
    0.009659
    """
    p_shares, q_shares = shares(p, q, pseudocount)
    middle = (p_shares + q_shares) / 2
    to_middle = relative_entropy(p_shares, middle) + relative_entropy(q_shares, middle)
    return np.asarray(to_middle / 2)
