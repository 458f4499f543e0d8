"""What is amiss with INGEST's input, for /readyz, the metrics and the log. Outlives sessions."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from tidegauge import counting
from tidegauge.config import Settings
from tidegauge.counting import BREAKS, Beginning, Level, Overflow, Position
from tidegauge.telemetry import ONE_BY_ONE, Health, IngestMetrics

log = logging.getLogger(__name__)

#: How long /readyz tells of what happened to a source partition: until somebody has looked.
TELL_SECONDS = 900.0

#: How long /readyz says that there was an overflow after the last event of it.
SAID_SECONDS = 300.0

#: The log says so at most this often.
LOG_SECONDS = 60.0

#: Models that the counter names; those after them are counted under no name.
MOST_MODELS = 200

_SETTINGS: dict[Level, str] = {
    "model": "ingest.max_models",
    "version": "ingest.max_versions",
    "variant": "ingest.max_variants",
    "slice": "ingest.max_slices",
}

_HELD = (
    "a transaction is open, and nothing after its first record may be read; "
    "its producer must end it, or kafka-transactions.sh find-hanging and abort"
)

#: Clocks of serving nodes that agree with this worker's to so many seconds are right: such an event
#: is in the wrong window only at the edges of one, and less than the default grace early.
SKEW_ALLOWED_SECONDS = 5.0


class SourceCondition:
    """Outlives sessions, so that what one of them met is still told by the next."""

    def __init__(
        self, topic: str, *, metrics: IngestMetrics, health: Health, monotonic: Callable[[], float]
    ) -> None:
        self._topic = topic
        self._metrics = metrics
        self._health = health
        self._monotonic = monotonic
        self._told: dict[int, tuple[float, str]] = {}
        self._held: dict[int, int] = {}
        for happened in BREAKS:  # from 0 on, or the first one has no rate
            metrics.source_breaks.labels(happened)

    def begun(self, partition: int, its: Beginning) -> None:
        """Note where counting of a partition has begun, once that is committed."""
        if not its.said:
            return
        log.error("%s/%d: %s", self._topic, partition, its.said, extra=ONE_BY_ONE)
        self._metrics.source_lost.inc(its.lost)
        self._metrics.source_overlap.inc(its.overlap)
        if its.happened is not None:
            self._metrics.source_breaks.labels(its.happened).inc()
        self._told[partition] = (self._monotonic(), f"{self._topic}/{partition} {its.said}")
        self._say()

    def held(self, partitions: Mapping[int, int]) -> None:
        """Note how many offsets of which partitions an open transaction holds back."""
        for partition in partitions.keys() - self._held.keys():
            log.warning("%s/%d: %s", self._topic, partition, _HELD, extra=ONE_BY_ONE)
        self._held = dict(partitions)
        self._metrics.held.set(sum(partitions.values()))
        self._say()

    def _say(self) -> None:
        now = self._monotonic()
        self._told = {p: one for p, one in self._told.items() if now - one[0] < TELL_SECONDS}
        problems = [said for _, (_, said) in sorted(self._told.items())]
        if self._held:
            names = ", ".join(f"{self._topic}/{partition}" for partition in sorted(self._held))
            problems.insert(0, f"{names}: {sum(self._held.values())} records wait: {_HELD}")
        self._health.report("source", "degraded" if problems else "ok", "; ".join(problems))


class OverflowNotice:
    """Says what did not fit: metrics, /readyz and log. One for all sessions of a worker.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self, *, metrics: IngestMetrics, health: Health, clock: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._models: set[str] = set()
        self._unlogged: Counter[Level] = Counter()
        self._last: float | None = None
        self._logged: float | None = None

    def committed(self, overflow: Overflow) -> None:
        """Count the overflow of a committed flush, and forget it."""
        now = self._clock()
        for (level, model), events in overflow.events.items():
            self._metrics.overflow.labels(level, self._label(model)).inc(events)
            self._unlogged[level] += events
        if overflow.events:
            self._last = now
            said = self._said(overflow)
            self._health.report("names", "degraded", said)
            if self._logged is None or now - self._logged >= LOG_SECONDS:
                self._logged = now
                log.warning("%s", said)
                self._unlogged.clear()
            overflow.clear()
        elif self._last is not None and now - self._last >= SAID_SECONDS:
            self._last = None
            self._health.report("names", "ok")

    def _label(self, model: str) -> str:
        if model in self._models or len(self._models) < MOST_MODELS:
            self._models.add(model)
            return model
        return ""

    def _said(self, overflow: Overflow) -> str:
        settings = ", ".join(sorted(_SETTINGS[level] for level in self._unlogged))
        (level, _), (model, version, variant) = next(iter(overflow.examples.items()))
        return (
            f"more names than {settings} allow: {self._unlogged.total()} events were not counted, "
            f"as of model {model!a}, version {version!a}, variant {variant!a} (no slot for the "
            f"{level}); is a request id in one of them? What has a baseline is always counted"
        )


class FlushMetrics:
    """What a session has counted, and how far event time has come, for the metrics and /readyz."""

    def __init__(
        self, settings: Settings, metrics: IngestMetrics, health: Health, clock: Callable[[], float]
    ) -> None:
        self._topic = settings.topics.predictions
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._of: counting.Counter | None = None
        self._counted: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        for dimension in settings.ingest.segments:  # from 0 on, or its first events have no rate
            metrics.segments_dropped.labels(dimension)

    def committed(self, counter: counting.Counter) -> None:
        """Add what was counted since the last flush; nothing is remembered of another counter."""
        if counter is not self._of:
            self._of = counter
            self._counted.clear()
            self._dropped.clear()
        for path, counted in counter.counted.items():
            self._metrics.events.labels(path).inc(counted - self._counted[path])
            self._counted[path] = counted
        for dimension, dropped in counter.placer.dropped.items():
            self._metrics.segments_dropped.labels(dimension).inc(dropped - self._dropped[dimension])
            self._dropped[dimension] = dropped
        self._metrics.ignored_features.show("ingest", counter.ignored.series())

    def clocks(self, positions: Mapping[int, Position]) -> None:
        """Show how far event time has come, and which partitions have events of a wrong clock."""
        now = self._clock()
        clocks = {p: at.event_clock for p, at in positions.items()}
        latest = [clock.latest for clock in clocks.values() if clock.latest is not None]
        if latest:
            self._metrics.event_time.set(max(latest))
        skews = {p: clock.skew(now) for p, clock in sorted(clocks.items())}
        self._metrics.clock_skew.show("ingest", {(str(p),): skew for p, skew in skews.items()})
        ahead = {p: skew for p, skew in skews.items() if skew > SKEW_ALLOWED_SECONDS}
        self._health.report(
            "clocks",
            "degraded" if ahead else "ok",
            f"event times are up to {max(ahead.values()):.0f} s ahead of this worker's clock in "
            f"partitions {list(ahead)} of {self._topic}" if ahead else "",
        )  # fmt: skip
