"""Jensen-Shannon distance."""

from math import log
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.stats._shares import FloatArray
from tidegauge.stats.js import js_divergence

#: Nats in one unit of the divergence whose root is taken.
_NATS = {"nats": 1.0, "bits": log(2)}


def js_distance(
    p: ArrayLike, q: ArrayLike, *, unit: Literal["nats", "bits"], pseudocount: float = 0.5
) -> FloatArray:
    """Return √JS, the square root of the Jensen-Shannon divergence in ``unit``.

    A metric (symmetric, with the triangle inequality), unlike the divergence. 0 = the same shares
    in every bin; √ln 2 = .833 (nats) or 1 (bits) = no bin in common; NaN = a side counted nothing.
    The root of nats is what Evidently calls the distance, the root of bits what NannyML does: the
    same drift is 1.2 times as much in bits.

    ``p`` and ``q`` are counts in the same bins along the last axis, leading axes broadcast;
    ``pseudocount`` is added to every bin that either side has hit. One figure for each leading
    index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't pair up, a count
    is negative or ``unit`` is none of the two.

    Source: Endres & Schindelin 2003, "A New Metric for Probability Distributions".

    >>> reference, current = [200, 300, 250, 150, 100], [60, 130, 140, 100, 70]
    >>> round(float(js_distance(current, reference, unit="nats", pseudocount=0)), 6)
    0.098282
    >>> round(float(js_distance(current, reference, unit="bits", pseudocount=0)), 6)
    0.118049
    """
    if unit not in _NATS:
        raise ValueError(f"unit: found {unit!r}, expected one of {', '.join(_NATS)}")
    return np.asarray(np.sqrt(js_divergence(p, q, pseudocount=pseudocount) / _NATS[unit]))
