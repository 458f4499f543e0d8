"""Cohorts of predictions, judged by their labels: what a rule finds, and whether it is chance.

A cohort is judged like a window: it is the window in which its predictions were made, once it is
mature. A rule holds if the figure lies beyond its threshold *and* that is no chance: the interval
of the figure excludes the threshold, or for a drop from the baseline that of the worsening excludes
0. An alert that fires lasts for as long as figures lie beyond, as with the size of a drift.

The level of these intervals follows from the budget of false alarms: of ``alarms_per_month`` of a
labelled model, :data:`SHARE_OF_COHORTS` is for its cohorts, in equal parts for each cohort of a
month, each version, variant and group that it has, and each rule. By Boole's inequality that bounds
what all of them raise by chance together.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tidegauge import stats
from tidegauge.alerting.metrics import MetricName
from tidegauge.alerting.model import Rule
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.contract import CohortEvidence, Figure, PerformanceReport, WindowReport

#: Of a labelled model's budget of false alarms, the part for rules on cohorts.
SHARE_OF_COHORTS = 0.2

MONTH_SECONDS = 30 * 24 * 3600


class CohortWindow(WindowReport, kw_only=True):
    """A cohort as a window.

    ``references`` are the baseline's figures. ``alarms`` is the part of the budget, of ``looks``
    judgements a month.
    """

    cohort: PerformanceReport
    references: Mapping[str, Figure]
    alarms: float
    looks: float

    @property
    def chance(self) -> float:
        """With which chance a rule may hold by chance; below that of a coin."""
        return min(self.alarms / self.looks, 0.25)


def cohort_window(
    report: PerformanceReport,
    references: Mapping[str, Figure],
    *,
    rules: RuleSet,
    alarms_per_month: float,
    parts: int,
) -> CohortWindow:
    """Return a report on one of the ``parts`` of a cohort as that on a window."""
    window = CohortWindow(
        id=report.id,
        model=report.model,
        version=report.version,
        variant=report.variant,
        segment=report.group,
        window_start=report.cohort_start,
        window_end=report.cohort_end,
        revision=report.revision,
        closed_by=float(report.time),
        events=report.performance.labelled,
        errors=0,
        counted=report.counted,
        prediction_mean_5m=None,
        latency=None,
        parts=[],
        cohort=report,
        references=references,
        alarms=alarms_per_month * SHARE_OF_COHORTS,
        looks=1.0,
    )
    cohorts = MONTH_SECONDS / (report.cohort_end - report.cohort_start)
    watching = sum(one.watches(window) for one in rules.compiled)
    window.looks = max(cohorts, 1.0) * max(parts, 1) * max(watching, 1)
    return window


class CohortFigure(NamedTuple):
    """A figure of a cohort, and what it is compared with."""

    window: CohortWindow
    figure: Figure
    reference: Figure | None

    @property
    def base(self) -> float | None:
        """The baseline's figure."""
        return None if self.reference is None else self.reference.value

    def evidence(self, rule: Rule) -> CohortEvidence:
        """Return what an alert by ``rule`` rests on."""
        report, window = self.window.cohort, self.window
        worse = report.worsening.get(rule.metric)
        return CohortEvidence(
            time=report.time,
            predicted=report.performance.predicted,
            labelled=report.performance.labelled,
            maturity=report.maturity,
            figure=self.figure,
            baseline_figure=self.reference,
            drop_from_baseline=rule.drop_from_baseline,
            worsening=None if worse is None else worse.value,
            bound=self.bound(rule),
            chance=window.chance,
            alarms_per_month=window.alarms,
            judgements_per_month=window.looks,
        )

    def is_beyond_chance(self, rule: Rule) -> bool:
        """Whether the interval at the level of the budget excludes that it is chance."""
        bound = self.bound(rule)
        if bound is None:
            return False
        return bound > 0 if rule.drop_from_baseline is not None else rule.holds(bound)

    def bound(self, rule: Rule) -> float | None:
        """Return the end of the interval that is nearer to what the rule must exclude.

        What binning may have added to the figure is taken away too.
        """
        ends = stats.at_chance(self.figure, self.window.chance)
        if ends is None:
            return None
        low, high = ends
        if rule.drop_from_baseline is None:
            error = self.figure.binning_error
            return low - error if rule.comparison == "above" else high + error
        return self._worsening_at_least(rule, low, high)

    def _worsening_at_least(self, rule: Rule, low: float, high: float) -> float | None:
        value, reference, base = self.figure.value, self.reference, self.base
        if reference is None or value is None or base is None:
            return None
        # Of 0 there is no share, and yet more than 0 is worse.
        unit = abs(base) or 1.0
        ends = stats.at_chance(reference, self.window.chance)
        if ends is None:
            return None
        sign = -1.0 if rule.comparison == "above" else 1.0
        try:
            least, _ = stats.square_and_add(
                [(sign / unit, base, *ends), (-sign / unit, value, low, high)]
            )
        except OverflowError:
            return None
        return least - (self.figure.binning_error + reference.binning_error) / unit


def figure_of(metric: MetricName, window: CohortWindow) -> Iterator[tuple[float, CohortFigure]]:
    """Yield the value of a figure; nothing where there is none."""
    figure = window.cohort.performance.figures.get(metric)
    if figure is not None and figure.value is not None:
        yield figure.value, CohortFigure(window, figure, window.references.get(metric))
