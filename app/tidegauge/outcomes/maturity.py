"""How many of the labels of a cohort have come by now, from the delays of earlier cohorts."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tidegauge.contract import LAG_EDGES, Figure, no_figure
from tidegauge.outcomes.labelled_rows import Integers
from tidegauge.stats import wilson

#: A cohort is mature when this share of its labels has come, by the delays of earlier ones.
MATURE = 0.95

#: Labels that a step of the curve takes: fewer say nothing about the next cohort.
_LEAST_LABELS = 20


#: As long as the labels of the oldest cohorts grow by more than this from an edge to the next, how
#: many will come at all is unknown.
_FLAT = 1.01


class LagCurve(NamedTuple):
    """The share of labels that have come by each age, in seconds, ascending; the last is 1.

    ``labels`` is how many labels are behind it. Labels that come later than the oldest cohort is
    old are unknown to it.
    """

    ages: tuple[float, ...]
    shares: tuple[float, ...]
    labels: int

    def share_by(self, age: float) -> float:
        """Return the share of labels that have come by an age, linear between two points."""
        if age <= 0:
            return 0.0
        at = bisect_right(self.ages, age)
        if at == len(self.ages):
            return 1.0
        before, share = (self.ages[at - 1], self.shares[at - 1]) if at else (0.0, 0.0)
        return share + (self.shares[at] - share) * (age - before) / (self.ages[at] - before)


def lag_curve(cohorts: Iterable[tuple[float, Integers]]) -> LagCurve | None:
    """Estimate the curve by the chain ladder; None while no cohort is old enough to tell.

    ``cohorts``: age of the youngest prediction of each, in seconds, and its ``lags``. From one edge
    of ``LAG_EDGES`` to the next, the labels of all cohorts that are older than the latter grow by
    f = Σ C(next) / Σ C; the share that has come by an edge is 1 / Π f of the steps after it. So
    young cohorts say how fast labels begin to come, and old ones how long they go on.

    Source: Mack 1993, "Distribution-free Calculation of the Standard Error of Chain Ladder Reserve
    Estimates".

    >>> lags = np.zeros(21, dtype=np.int64)
    >>> lags[[0, 1]] = 30, 10
    >>> curve = lag_curve([(3600.0, lags), (100.0, lags)])
    >>> curve.share_by(60.0), curve.share_by(7200.0)
    (0.75, 1.0)
    """
    held = [(age, np.cumsum(np.maximum(lags, 0))) for age, lags in cohorts]
    # Labels by each edge and by the one before it, of the cohorts that are old enough.
    sums = [
        (sum(int(came[at]) for came in old), sum(int(came[at - 1]) for came in old) if at else 0)
        for at, edge in enumerate(LAG_EDGES)
        for old in [[came for age, came in held if age >= edge]]
    ]
    known = [at for at, (labels, _) in enumerate(sums) if labels >= _LEAST_LABELS]
    if not known:
        return None
    last = known[-1]
    labels, before = sums[last]
    if last + 1 < len(LAG_EDGES) and labels > before * _FLAT:
        return None
    shares = [1.0]
    for at in range(last, 0, -1):
        now, before = sums[at]
        shares.append(shares[-1] * before / now if now else 0.0)
    shares.reverse()
    return LagCurve(tuple(map(float, LAG_EDGES[: last + 1])), tuple(shares), labels)


def arrived_of(
    labelled: int,
    predicted: int,
    share: float | None,
    earlier: Iterable[tuple[int, int, float | None]],
) -> Figure:
    """Return a cohort's labels ÷ those expected by now: below 1, labels are late or lost.

    ``share``: which share of its labels is to be expected by now, None if that is unknown.
    ``earlier``: labels, predictions and that share of cohorts that say how many predictions get a
    label. The interval is Wilson's of labelled ÷ predicted, in the same unit.
    """
    came = due = 0.0
    for its_labelled, its_predicted, its_share in earlier:
        came += its_labelled
        due += its_predicted * (its_share or 0.0)
    expected = predicted * (share or 0.0) * min(came / due, 1.0) if due > 0 else 0.0
    if expected <= 0 or labelled < 0:
        return no_figure("no_earlier_cohorts", predicted)
    arrived = Figure(n=predicted, value=labelled / expected)
    if labelled <= predicted:
        # Of the predictions, as a share of what is expected of them.
        arrived.low, arrived.high = (
            end * predicted / expected for end in wilson(labelled, predicted)
        )
        arrived.method = "wilson"
    return arrived
