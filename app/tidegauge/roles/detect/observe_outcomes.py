"""The metrics of labels: figures of each model's latest cohorts, and how late labels are."""

from collections.abc import Iterable, Iterator, Sequence, Set

import msgspec

from tidegauge.contract import LAG_EDGES, PerformanceReport, segment_text
from tidegauge.outcomes import share_held
from tidegauge.telemetry import DetectMetrics
from tidegauge.windows import (
    Arrivals,
    Closed,
    CohortAlertsKey,
    OutcomeWindow,
    PartitionState,
)

Labels = tuple[str, ...]

#: Versions and variants of a model with series, those with the most labels; 20 each.
MOST_SHOWN = 50

#: The values of the label ``cohort``: of figures by labels, and of estimates without them.
MATURE, OVER = "latest_mature", "latest"

#: Middles of the bins of delays, seconds; of the last one its lower edge.
_MIDDLES = [
    *(
        (low + high) / 2
        for low, high in zip((0, *LAG_EDGES[:-1]), LAG_EDGES, strict=True)
    ),
    LAG_EDGES[-1],
]  # fmt: skip


#: Of the alerts on cohorts of a partition, beside those of its slices.
_OWNER = "cohorts"


def _name(where: CohortAlertsKey) -> Labels:
    return where.model, where.version, where.variant, segment_text(dict(where.group))


class OutcomeObserver:
    """Sets the gauges to each model's latest cohorts, and counts delays of labels.

    Figures are those of the latest mature one, estimates of the latest one that is over.

    A model has series once its baseline is known: whoever may write to the topic of histograms can
    make up names, which have none. Groups have no series: their figures are in the reports.
    """

    def __init__(self, metrics: DetectMetrics) -> None:
        self._metrics = metrics
        #: By partition, model and value of the label ``cohort``, what the gauges show.
        self._shown: dict[int, dict[tuple[str, str], OutcomeWindow]] = {}
        #: Partitions whose alerts on cohorts are shown.
        self._firing: set[int] = set()

    def passed(self, state: PartitionState, arrivals: Iterable[Arrivals]) -> None:
        """Count the delays of the labels that arrived in windows that are over."""
        for one in arrivals:
            if one.baselines & state.baselines.keys():
                counts = [max(0, int(count)) for count in one.delays]
                total = sum(count * at for count, at in zip(counts, _MIDDLES, strict=True))
                self._metrics.label_delay.add((one.window.model,), counts, total)

    def unseen(self, state: PartitionState) -> Iterator[OutcomeWindow]:
        """Yield the latest cohorts that the gauges don't show: after a takeover, or new."""
        shown = self._shown.setdefault(state.partition, {})
        for model, cohort in [it for it in shown if it[0] not in state.outcomes.models]:
            self._show(state.partition, model, cohort, [])
            del shown[model, cohort]
        for model in state.outcomes.models:
            latest = dict(_latest(state, model))
            missing = {its for cohort, its in latest.items() if shown.get((model, cohort)) != its}
            yield from sorted(missing)

    def reported(
        self, state: PartitionState, window: OutcomeWindow, reports: Sequence[PerformanceReport]
    ) -> None:
        """Show a cohort that was reported, if it is one of the latest of its model."""
        whole = [one for one in reports if not one.group and one.baseline in state.baselines]
        whole.sort(key=lambda one: (-one.performance.labelled, one.version, one.variant))
        for cohort, its in _latest(state, window.model):
            if its == window:
                self._shown.setdefault(state.partition, {})[window.model, cohort] = window
                self._show(state.partition, window.model, cohort, whole[:MOST_SHOWN])

    def judged(self, state: PartitionState, closed: Closed) -> None:
        """Count what rules on cohorts have led to, and show the alerts that fire."""
        for alert in closed.alerts:
            self._metrics.alerts.labels(alert.rule, alert.severity, alert.event).inc()
        for action in closed.actions:
            self._metrics.actions.labels(action.kind).inc()
        if closed.alerts or state.partition not in self._firing:
            self._firing.add(state.partition)
            firing = {
                (*_name(where), episode.signal or "", episode.rule, episode.severity): 1.0
                for where, value in state.outcomes.alerts.items()
                for episode in value.alerts.firing
            }
            self._metrics.alert_firing.show((state.partition, _OWNER), firing)

    def owned(self, partitions: Set[int]) -> None:
        """Remove the series of partitions that another worker has now."""
        for partition in self._firing - partitions:
            self._metrics.alert_firing.show((partition, _OWNER), {})
        self._firing &= partitions
        for partition in self._shown.keys() - partitions:
            for model, cohort in self._shown.pop(partition):
                self._show(partition, model, cohort, [])

    def _show(
        self, partition: int, model: str, cohort: str, reports: Sequence[PerformanceReport]
    ) -> None:
        show = self._show_realised if cohort == MATURE else self._show_estimated
        show((partition, model), reports)

    def _show_realised(self, owner: tuple[int, str], reports: Sequence[PerformanceReport]) -> None:
        figures, worse, coverage, maturity = (dict[Labels, float]() for _ in range(4))
        for one in reports:
            name = (one.model, one.version, one.variant)
            for figure, its in one.performance.figures.items():
                if its.value is not None:
                    figures[*name, figure, MATURE] = its.value
            for figure, its in one.worsening.items():
                if its.value is not None:
                    worse[*name, figure, MATURE] = its.value
            if (covered := one.performance.figures["label_coverage"].value) is not None:
                coverage[name] = covered
            if one.maturity is not None:
                maturity[name] = one.maturity
        metrics = self._metrics
        metrics.performance.show(owner, figures)
        metrics.performance_worsening.show(owner, worse)
        metrics.label_coverage.show(owner, coverage)
        metrics.label_maturity.show(owner, maturity)

    def _show_estimated(self, owner: tuple[int, str], reports: Sequence[PerformanceReport]) -> None:
        figures, held = dict[Labels, float](), dict[Labels, float]()
        for one in reports:
            if one.estimated is msgspec.UNSET:
                continue
            for figure, its in one.estimated.figures.items():
                name = (one.model, one.version, one.variant, figure)
                if its.value is not None:
                    figures[*name, OVER] = its.value
                if (share := share_held(one.estimated.record, figure).value) is not None:
                    held[name] = share
        self._metrics.estimated_performance.show(owner, figures)
        self._metrics.estimates_held.show(owner, held)


def _latest(state: PartitionState, model: str) -> Iterator[tuple[str, OutcomeWindow]]:
    latest = state.outcomes.latest(model)
    for cohort, window in ((MATURE, latest.mature), (OVER, latest.over)):
        if window is not None:
            yield cohort, window
