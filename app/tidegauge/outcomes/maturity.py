"""How many of the labels of a cohort have come by now, from the delays of earlier cohorts."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tidegauge.contract import LAG_EDGES, Figure, no_figure
from tidegauge.outcomes.counts import OutcomeCounts
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


@dataclass(frozen=True)
class Maturity:
    """How complete a cohort's labels are.

    ``maturity``: the share of the labels that come at all that have come by its age. ``arrived``:
    its labels ÷ those that are expected by now of as many predictions, below 1 if labels are late
    or lost. Both with a reason where there are no earlier cohorts to tell by.
    """

    maturity: Figure
    arrived: Figure

    @property
    def mature(self) -> bool:
        """Whether ``MATURE`` of the labels have come."""
        return self.maturity.value is not None and self.maturity.value >= MATURE


def maturity_of(
    counts: OutcomeCounts,
    age: float,
    curve: LagCurve | None,
    earlier: Iterable[tuple[float, OutcomeCounts]] = (),
) -> Maturity:
    """Return how complete the labels of a cohort are, ``age`` seconds after its end.

    ``earlier``: age and counts of earlier cohorts, which say how many predictions get a label.
    """
    predicted, labelled = int(counts.predicted.sum()), int(counts.lags.sum())
    if curve is None:
        unknown = no_figure("no_earlier_cohorts", predicted)
        return Maturity(unknown, unknown)
    share = curve.share_by(age)
    maturity = Figure(n=predicted, value=share)
    came = due = 0.0
    for its_age, its in earlier:
        came += int(its.lags.sum())
        due += int(its.predicted.sum()) * curve.share_by(its_age)
    expected = predicted * share * min(came / due, 1.0) if due else 0.0
    if not expected:
        return Maturity(maturity, no_figure("no_earlier_cohorts", predicted))
    arrived = Figure(n=predicted, value=labelled / expected)
    if labelled <= predicted:
        # Of the predictions, as a share of what is expected of them.
        arrived.low, arrived.high = (
            end * predicted / expected for end in wilson(labelled, predicted)
        )
        arrived.method = "wilson"
    return Maturity(maturity, arrived)
