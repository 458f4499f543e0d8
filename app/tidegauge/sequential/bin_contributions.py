"""Which bins a change is in."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.scores import g_terms

Floats = npt.NDArray[np.float64]


class BinContributions(NamedTuple):
    """Shares of both sides, and what each bin adds to G, with the sign of its change; (…, bins)."""

    baseline: Floats
    current: Floats
    g: Floats


def bin_contributions(reference: Floats, counts: Floats) -> BinContributions:
    """Compare counts with a baseline's, bin by bin, (…, bins); neither side may be empty.

    >>> found = bin_contributions(np.array([50.0, 50.0]), np.array([5.0, 15.0]))
    >>> found.current.tolist(), found.g.round(6).tolist()
    ([0.25, 0.75], [-2.63978, 1.758401])
    """
    n, m = counts.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    baseline, current = reference / m, counts / n
    g = g_terms(counts, n, reference, m) * np.sign(current - baseline)
    return BinContributions(baseline, current, g)
