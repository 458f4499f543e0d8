"""Degrees of freedom of a comparison of two samples."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegauge.stats._shares import degrees_of_pair, paired


def degrees_of_freedom(current: ArrayLike, reference: ArrayLike) -> NDArray[np.int64]:
    """Return B - 1, with B the bins that either side has hit: those of ``g_two_sample`` and chi².

    0 = one bin or none, so there is nothing to compare. Bins that nobody ever hit don't count:
    they can't contribute to the statistic, and a test that reckons with them misses drifts.

    Both sides are counts in the same bins along the last axis, leading axes broadcast. One figure
    for each leading index, 0-dimensional for two vectors. Raises ``ValueError`` if the bins don't
    pair up or a count is negative.

    >>> int(degrees_of_freedom([60, 130, 0, 0], [200, 300, 10, 0]))
    2
    """
    return degrees_of_pair(*paired(current, reference))
