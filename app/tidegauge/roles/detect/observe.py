"""The metrics of closed windows: which slices have series, and when they are removed."""

from collections.abc import Callable, Mapping, Set
from contextlib import suppress

from tidegauge.alerting import surprise
from tidegauge.contract import Drift, WindowReport, segment_text
from tidegauge.telemetry import DetectMetrics, GaugeTable
from tidegauge.windows import (
    Closed,
    Failures,
    PartitionState,
    Raising,
    RawRecord,
    Slice,
    SliceState,
)

Labels = tuple[str, ...]

#: Slices without a baseline that have series of their own, 33 each. The page is some 8 MB then, and
#: rendered in under a second; scrapers take it.
MOST_WITHOUT_BASELINE = 2_000

#: What the others are counted under, all together: no model, so that sums stay right.
OTHERS: Labels = ("", "", "")


class ShownSlices:
    """Names (model, version, variant) of slices with series of their own, by partition.

    Those that were ever counted by a baseline, and of the rest the first so many. ``take_back`` is
    called with a name whose series go.
    """

    def __init__(
        self, take_back: Callable[[Labels], None], most: int = MOST_WITHOUT_BASELINE
    ) -> None:
        self._take_back = take_back
        self._most = most
        self._based: dict[Labels, int] = {}
        self._rest: dict[Labels, int] = {}
        self._left_out: dict[Labels, int] = {}

    @property
    def left_out(self) -> int:
        """How many slices are counted under :data:`OTHERS`."""
        return len(self._left_out)

    def labels(self, name: Labels, partition: int, *, based: bool) -> Labels:
        """Return the labels of a slice; ``based``: it was just counted by a baseline."""
        if name in self._based:
            return name
        if based:
            self._rest.pop(name, None)
            self._left_out.pop(name, None)
            self._based[name] = partition
            return name
        if name in self._rest:
            return name
        if len(self._rest) < self._most:
            self._left_out.pop(name, None)
            self._rest[name] = partition
            return name
        self._left_out[name] = partition
        return OTHERS

    def drop(self, name: Labels) -> None:
        """Take the series of a slice back: it was forgotten."""
        self._left_out.pop(name, None)
        if self._based.pop(name, None) is not None or self._rest.pop(name, None) is not None:
            self._take_back(name)

    def owned(self, partitions: Set[int]) -> None:
        """Make room for others, if there is none, of slices that another worker has now.

        Not before: after most rebalances they come back, and a counter should not start from 0.
        """
        for name in [it for it, of in self._left_out.items() if of not in partitions]:
            del self._left_out[name]
        if len(self._rest) >= self._most:
            for name in [it for it, of in self._rest.items() if of not in partitions]:
                self.drop(name)


#: All but how certain they are.
_CERTAINTY = ("values_surprise_nats", "design_effect")
_STATISTICS = tuple(it for it in Drift.__struct_fields__ if it not in _CERTAINTY)

#: By gauge, the values of its series.
Series = dict[GaugeTable, dict[Labels, float]]


class Observer:
    """Sets the gauges to the last window of each model, and counts what was emitted.

    Figures are of all of a model's traffic. A segment has only series for firing alerts: its
    figures would be as many series as the model's for each value. They are in the window reports.

    Names that producers make up have no baseline. A bounded number of slices without one has series
    of its own; the rest are counted under no name.

    A gauge keeps its value. So the series of a partition are removed when another worker takes it
    over, and that worker shows its firing alerts again: a model's state is on exactly one worker's
    page.
    """

    def __init__(self, metrics: DetectMetrics) -> None:
        self._metrics = metrics
        #: By partition and slice, the gauges that show something of it.
        self._shown: dict[int, dict[Labels, set[GaugeTable]]] = {}
        self._slices = ShownSlices(self._take_back)
        metrics.slices_left_out.set_function(lambda: float(self._slices.left_out))

    def _take_back(self, labels: Labels) -> None:
        metrics = self._metrics
        for counter in (metrics.events, metrics.windows_closed, metrics.errors):
            with suppress(KeyError):  # not counted yet
                counter.remove(*labels)
        metrics.latency.remove(labels)

    def joined(
        self, state: PartitionState, record: RawRecord, counted: Mapping[Slice, int]
    ) -> None:
        """Count the events that a record brought, by slice."""
        based = {(it.model, it.version, it.variant) for it in record.cells if it.baseline}
        for where, events in counted.items():
            if not where.segment:  # or an event would be there once more for each of its segments
                name = where.model, where.version, where.variant
                shown = self._slices.labels(name, state.partition, based=name in based)
                self._metrics.events.labels(*shown).inc(events)

    def restored(self, state: PartitionState) -> None:
        """Show the alerts that fired when the partition's last owner wrote its state."""
        for where, value in state.slices.items():
            self._show(state.partition, _name(where), self._lasting(where, value))

    def passed(
        self, state: PartitionState, closed: Closed, failures: Failures | None = None
    ) -> None:
        """Show the results of one pass over a partition."""
        failures = failures or Raising()
        metrics = self._metrics
        for report in closed.reports:
            if report.revision == 0:
                try:
                    self._reported(state, report)
                except Exception as error:
                    failures.failed(Slice.of(report), "showing its figures", error)
        late = [where for where in closed.late if where in state.slices]
        for where in (*closed.silent, *late):
            name = _name(where)
            for gauge, values in self._lasting(where, state.slices[where]).items():
                gauge.show((state.partition, name), values)
                self._shown.setdefault(state.partition, {}).setdefault(name, set()).add(gauge)
        for where in closed.forgotten:
            self._show(state.partition, _name(where), {})
            self._shown[state.partition].pop(_name(where))
            if not where.segment:
                self._slices.drop((where.model, where.version, where.variant))
        for alert in closed.alerts:
            event = alert.event
            metrics.alerts.labels(alert.rule, alert.severity, event).inc()
        for action in closed.actions:
            metrics.actions.labels(action.kind).inc()
        watermark: dict[Labels, float] = {(str(state.partition),): state.progress.watermark}
        self._show(state.partition, (), {metrics.watermark: watermark})

    def owned(self, partitions: set[int]) -> None:
        """Remove the series of partitions that another worker has now."""
        for partition in self._shown.keys() - partitions:
            for name in list(self._shown[partition]):
                self._show(partition, name, {})
            del self._shown[partition]
        self._slices.owned(partitions)

    def _reported(self, state: PartitionState, report: WindowReport) -> None:
        where = Slice.of(report)
        value = state.slices.get(where)  # forgotten by now, if time has leapt that far
        series = self._lasting(where, value) if value else {}
        if not report.segment:
            name = (report.model, report.version, report.variant)
            based = any(part.baseline for part in report.parts)
            labels = self._slices.labels(name, state.partition, based=based)
            self._count(report, labels)
            if labels == name:
                series |= self._series_of(report, labels)
            else:
                series.pop(self._metrics.window_end, None)
        self._show(state.partition, _name(where), series)

    def _show(self, partition: int, name: Labels, series: Series) -> None:
        shown, owner = self._shown.setdefault(partition, {}), (partition, name)
        for gauge in shown.get(name, set()) - series.keys():
            gauge.show(owner, {})
        for gauge, values in series.items():
            gauge.show(owner, values)
        shown[name] = set(series)

    def _lasting(self, where: Slice, value: SliceState) -> Series:
        name = _name(where)
        firing = {
            (*name, episode.signal or "", episode.rule, episode.severity): 1.0
            for episode in value.alerts.firing
        }
        series: Series = {self._metrics.alert_firing: firing}
        if value.last_end and not where.segment:
            labels = (where.model, where.version, where.variant)
            series[self._metrics.window_end] = {labels: float(value.last_end)}
        return series

    def _count(self, report: WindowReport, labels: Labels) -> None:
        metrics = self._metrics
        metrics.windows_closed.labels(*labels).inc()
        metrics.errors.labels(*labels).inc(report.errors)
        for part in report.parts:
            latency = part.signals["latency_ms"].histogram
            metrics.latency.add(labels, latency.counts, latency.sum)

    def _series_of(self, report: WindowReport, labels: Labels) -> Series:
        means, missing, unseen, surprises, drift = (dict[Labels, float]() for _ in range(5))
        if report.prediction_mean_5m is not None:
            means[labels] = report.prediction_mean_5m
        # If the baseline changed inside the window, the larger part is shown.
        for part in sorted(report.parts, key=lambda part: part.events):
            for name, signal in part.signals.items():
                if name in ("latency_ms", "status"):
                    continue
                one = (*labels, name)
                missing[one] = signal.missing_share
                if signal.unseen_share is not None:
                    unseen[one] = signal.unseen_share
                towards_alarm = surprise(part, signal)
                if towards_alarm is not None:
                    surprises[one] = towards_alarm
                if signal.drift is not None:
                    for statistic in _STATISTICS:
                        value: float | None = getattr(signal.drift, statistic)
                        if value is not None:
                            drift[*one, statistic] = value
        metrics = self._metrics
        return {
            metrics.prediction_mean: means,
            metrics.missing_share: missing,
            metrics.unseen_share: unseen,
            metrics.surprise: surprises,
            metrics.drift: drift,
        }


def _name(where: Slice) -> Labels:
    segment = segment_text(dict(where.segment))
    return where.model, where.version, where.variant, segment
