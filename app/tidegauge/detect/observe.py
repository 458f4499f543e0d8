"""What closed windows say to Prometheus, and what has to be taken back."""

from collections.abc import Iterator
from contextlib import suppress

from prometheus_client import Gauge

from tidegauge.contract import WindowReport
from tidegauge.detect.closing import Closed
from tidegauge.detect.partition import PartitionState
from tidegauge.detect.values import Slice, SliceState
from tidegauge.rules import surprise
from tidegauge.telemetry import DetectMetrics

_STATISTICS = (
    "psi",
    "kl_current_reference_nats",
    "kl_reference_current_nats",
    "js_nats",
    "wasserstein_bins",
)

Labels = tuple[str, ...]
_Series = tuple[Gauge, Labels]


class Observer:
    """Sets the gauges to the last window of each model, and counts what was emitted.

    Figures are of all of a model's traffic; of a segment only what is firing is shown, since its
    figures would be as many series as the model's for each value. They are in the window reports.

    A gauge stays where it was set. So what a partition showed is taken back when another worker
    takes it over, and what was firing is shown again by whoever does: a model's state is on exactly
    one worker's page.
    """

    def __init__(self, metrics: DetectMetrics) -> None:
        self._metrics = metrics
        #: By partition and slice, the series that are set.
        self._shown: dict[int, dict[Labels, dict[_Series, float]]] = {}
        #: What is set of each series: asking the gauge for it takes longer than setting it.
        self._children: dict[_Series, Gauge] = {}

    def restored(self, state: PartitionState) -> None:
        """Show what was firing when the partition's last owner wrote its state."""
        for where, value in state.slices.items():
            self._show(state.partition, _name(where), dict(self._lasting(where, value)))

    def passed(self, state: PartitionState, closed: Closed) -> None:
        """Show what one pass over a partition led to."""
        metrics = self._metrics
        for report in closed.reports:
            if report.revision == 0:
                labels = (report.model, report.version, report.variant)
                where = Slice(*labels, tuple(sorted(report.segment.items())))
                series = dict(self._lasting(where, state.slices[where]))
                if not report.segment:
                    self._count(report)
                    series.update(self._series_of(report, labels))
                self._show(state.partition, _name(where), series)
        for alert in closed.alerts:
            metrics.alerts.labels(alert.rule, alert.severity, alert.state).inc()
        for action in closed.actions:
            metrics.actions.labels(action.kind).inc()
        watermark = (metrics.watermark, (str(state.partition),))
        self._show(state.partition, (), {watermark: state.progress.watermark})

    def owned(self, partitions: set[int]) -> None:
        """Take back what was shown of partitions that another worker has now."""
        for partition in self._shown.keys() - partitions:
            for name in list(self._shown[partition]):
                self._show(partition, name, {})
            del self._shown[partition]

    def _show(self, partition: int, name: Labels, series: dict[_Series, float]) -> None:
        before = self._shown.setdefault(partition, {}).get(name, {})
        for one in before.keys() - series.keys():
            gauge, values = one
            self._children.pop(one, None)
            with suppress(KeyError):
                gauge.remove(*values)
        for one, value in series.items():
            child = self._children.get(one)
            if child is None:
                gauge, values = one
                child = self._children[one] = gauge.labels(*values)
            child.set(value)
        self._shown[partition][name] = series

    def _lasting(self, where: Slice, value: SliceState) -> Iterator[tuple[_Series, float]]:
        name = _name(where)
        for episode in value.alerts.firing:
            alert = (*name, episode.signal or "", episode.rule, episode.severity)
            yield (self._metrics.alert_firing, alert), 1.0
        if value.last_end and not where.segment:
            labels = (where.model, where.version, where.variant)
            yield (self._metrics.window_end, labels), value.last_end

    def _count(self, report: WindowReport) -> None:
        metrics = self._metrics
        labels = (report.model, report.version, report.variant)
        metrics.windows_closed.labels(*labels).inc()
        metrics.errors.labels(*labels).inc(report.errors)
        for part in report.parts:
            latency = part.signals["latency_ms"].histogram
            metrics.latency.add(labels, latency.counts, latency.sum)

    def _series_of(self, report: WindowReport, labels: Labels) -> Iterator[tuple[_Series, float]]:
        metrics = self._metrics
        if report.prediction_mean_5m is not None:
            yield (metrics.prediction_mean, labels), report.prediction_mean_5m
        # If the baseline changed inside the window, the larger part speaks for it.
        for part in sorted(report.parts, key=lambda part: part.events):
            for name, signal in part.signals.items():
                if name in ("latency_ms", "status"):
                    continue
                yield (metrics.missing_share, (*labels, name)), signal.missing_share
                if signal.unseen_share is not None:
                    yield (metrics.unseen_share, (*labels, name)), signal.unseen_share
                towards_alarm = surprise(part, signal)
                if towards_alarm is not None:
                    yield (metrics.surprise, (*labels, name)), towards_alarm
                for statistic in _STATISTICS:
                    value = getattr(signal.drift, statistic, None)
                    if value is not None:
                        yield (metrics.drift, (*labels, name, statistic)), value


def _name(where: Slice) -> Labels:
    segment = ", ".join(f"{dimension}={value}" for dimension, value in where.segment)
    return where.model, where.version, where.variant, segment
