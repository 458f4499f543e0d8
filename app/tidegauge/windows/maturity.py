"""How many of a cohort's labels have come by now: from the delays of the labels of older cohorts.

A young cohort has had no time for long delays, so delays can't be pooled as they are. For each bin
of delays, only cohorts are compared that have been open for longer than the bin's upper edge: the
estimator of a right-truncated distribution by reverse hazards (Lagakos, Barraj & De Gruttola,
Biometrika 75, 1988; the chain ladder of insurers).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.contract import LAG_EDGES

#: A cohort is mature once so much of its labels has come.
MATURE_SHARE = 0.95

#: The curve is believed up to this part of the time that the oldest cohort has been open: of what
#: comes later than that, nothing is known.
KNOWN_PART = 0.5

_EDGES = np.array(LAG_EDGES, dtype=np.float64)


class CohortDelays(NamedTuple):
    """Labels of a cohort by delay, in the bins of ``LAG_EDGES``, and how long it has been open."""

    age_seconds: float
    counts: npt.NDArray[np.int64]


class DelayCurve(NamedTuple):
    """Share of labels that come within each of ``LAG_EDGES``; ``known_seconds``: up to where."""

    shares: npt.NDArray[np.float64]
    known_seconds: float

    def share_within(self, age_seconds: float) -> float | None:
        """Return which share of labels comes within ``age_seconds``, 0 to 1; None if unknown.

        Between two edges the share of the lower one: a cohort is not called mature too soon.
        """
        age = min(age_seconds, self.known_seconds)
        at = int(np.searchsorted(_EDGES, age, side="right")) - 1
        return float(self.shares[at]) if at >= 0 else None


def delay_curve(cohorts: Sequence[CohortDelays]) -> DelayCurve | None:
    """Estimate the share of labels within each edge; None if no cohort has a label.

    F(edge_j) = Π over bins k > j of 1 - n_k / N_k, where n_k are labels in bin k, N_k labels up to
    its upper edge, both of cohorts that have been open for longer than that edge. Edges that no
    cohort has reached are taken for the end: F = 1.
    """
    labelled = [one for one in cohorts if one.counts.any()]
    if not labelled:
        return None
    ages = np.array([one.age_seconds for one in labelled])
    # A count may be negative for a moment only if records were lost.
    counts = np.maximum(np.array([one.counts for one in labelled]), 0)
    upto = counts.cumsum(axis=1)
    shares = np.ones(len(_EDGES))
    for k in range(len(_EDGES) - 1, 0, -1):  # bin k lies between edge k - 1 and edge k
        old = ages >= _EDGES[k]
        total = int(upto[old, k].sum())
        came = int(counts[old, k].sum())
        shares[k - 1] = shares[k] * (1.0 - came / total if total else 1.0)
    return DelayCurve(shares, KNOWN_PART * float(ages.max()))
