"""What waits to be counted, and what is wrong with the input: for /readyz, metrics and the log."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from tidegauge import counting
from tidegauge.config import Settings
from tidegauge.counting import BREAKS, Beginning, Level, Overflow, Position
from tidegauge.kafka import Consumer, KafkaException, TopicPartition
from tidegauge.telemetry import ONE_BY_ONE, Health, IngestMetrics, LabelMetrics, Progress

#: How long the brokers may take to say where a quiet partition ends; counting waits meanwhile.
_ASK_SECONDS = 2.0

#: A transaction of a producer that lives ends within seconds, or moves on what may be read.
HELD_SECONDS = 10.0


def behind(
    positions: Mapping[int, Position],
    highs: Mapping[int, int],
    taken: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Return by partition how many records lie behind what was last committed, where there are any.

    ``highs`` are the ends that the fetcher has seen; beyond the last record they may have markers
    of transactions, so they don't apply to a partition that was read to its end: there, only the
    end that the brokers returned counts. ``taken`` are the offsets after the records just read.
    """
    found = {}
    for partition, at in positions.items():
        high = 0 if at.caught_up else highs.get(partition, 0)
        to = max(high, at.end, at.to, (taken or {}).get(partition, 0))
        if to > at.since:
            found[partition] = to - at.since
    return found


def describe(lag: Mapping[int, int]) -> str:
    """Return the lag in words.

    >>> describe({3: 5, 0: 7})
    'partitions [0, 3] have a lag of 12 events'
    """
    return f"partitions {sorted(lag)} have a lag of {sum(lag.values())} events"


class HeldPartitions:
    """Knows which partitions an open transaction has held back for :data:`HELD_SECONDS`. Pure."""

    def __init__(self) -> None:
        #: By partition, where it stands and since when.
        self._since: dict[int, tuple[int, float]] = {}

    def of(self, positions: Mapping[int, Position], now: float) -> dict[int, int]:
        """Return by partition how many offsets are held; ``now`` is by the monotonic clock."""
        held = {p: at for p, at in positions.items() if at.held_back}
        self._since = {
            p: seen if (seen := self._since.get(p)) and seen[0] == at.to else (at.to, now)
            for p, at in held.items()
        }
        return {
            p: at.held_back for p, at in held.items() if now - self._since[p][1] >= HELD_SECONDS
        }


@dataclass(eq=False)
class LagWatch:
    """Reports to the worker's progress what waits; asks for quiet ends each ``quiet_seconds``."""

    consumer: Consumer
    topic: str
    progress: Progress
    _: KW_ONLY
    quiet_seconds: float
    monotonic: Callable[[], float]

    def __post_init__(self) -> None:
        self._asked_at = self.monotonic()

    def report(
        self, positions: Mapping[int, Position], taken: Mapping[int, int] | None = None
    ) -> int:
        """Report what waits as far as this process knows, and return how many records that is.

        What an open transaction holds back is returned too, and is no work that waits: a restart
        would not help.
        """
        self.note_ends(positions)
        lag = behind(positions, {p: at.high for p, at in positions.items()}, taken)
        self.progress.lag(len(lag), describe(lag))
        return sum(lag.values()) + sum(at.held_back for at in positions.values())

    def note_ends(self, positions: Mapping[int, Position]) -> None:
        """Note where the partitions end by what has been fetched, open transactions included."""
        for partition, position in positions.items():
            at = TopicPartition(self.topic, partition)
            _, high = self.consumer.get_watermark_offsets(at, cached=True)
            position.high = max(high, 0)  # below zero: nothing was fetched yet

    def ask_quiet(self, positions: Mapping[int, Position]) -> None:
        """Ask now and then where quiet partitions end: a fetcher that hangs shows no lag."""
        now = self.monotonic()
        if now - self._asked_at < self.quiet_seconds:
            return
        self._asked_at = now
        for partition, position in positions.items():
            if now - position.arrived < self.quiet_seconds:
                continue
            at = TopicPartition(self.topic, partition)
            try:
                # The last stable offset: what an open transaction holds back can't be counted yet.
                _, position.end = self.consumer.get_watermark_offsets(at, timeout=_ASK_SECONDS)
            except KafkaException:
                return  # if the brokers are away, the next flush reports it


log = logging.getLogger(__name__)

#: How long /readyz shows what happened to a source partition, so that an operator can see it.
SHOWN_SECONDS = 900.0

#: How long /readyz shows an overflow after the last event of it.
OVERFLOW_SECONDS = 300.0

#: The log has a line about it at most this often.
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
    """The state of the source topic. Outlives sessions, so that a new one still reports it."""

    def __init__(
        self,
        topic: str,
        *,
        name: str,
        metrics: IngestMetrics | LabelMetrics,
        health: Health,
        monotonic: Callable[[], float],
    ) -> None:
        """``name`` is that of the condition."""
        self._topic = topic
        self._name = name
        self._metrics = metrics
        self._health = health
        self._monotonic = monotonic
        self._shown: dict[int, tuple[float, str]] = {}
        self._held: dict[int, int] = {}
        for happened in BREAKS:  # from 0 on, or the first one has no rate
            metrics.source_breaks.labels(happened)

    def begun(self, partition: int, its: Beginning) -> None:
        """Note where counting of a partition has begun, once that is committed."""
        if not its.detail:
            return
        log.error("%s/%d: %s", self._topic, partition, its.detail, extra=ONE_BY_ONE)
        self._metrics.source_lost.inc(its.lost)
        self._metrics.source_overlap.inc(its.overlap)
        if its.happened is not None:
            self._metrics.source_breaks.labels(its.happened).inc()
        self._shown[partition] = (self._monotonic(), f"{self._topic}/{partition} {its.detail}")
        self._publish()

    def held(self, partitions: Mapping[int, int]) -> None:
        """Note how many offsets of which partitions an open transaction holds back."""
        for partition in partitions.keys() - self._held.keys():
            log.warning("%s/%d: %s", self._topic, partition, _HELD, extra=ONE_BY_ONE)
        self._held = dict(partitions)
        self._metrics.held.set(sum(partitions.values()))
        self._publish()

    def _publish(self) -> None:
        now = self._monotonic()
        self._shown = {p: one for p, one in self._shown.items() if now - one[0] < SHOWN_SECONDS}
        problems = [problem for _, (_, problem) in sorted(self._shown.items())]
        if self._held:
            names = ", ".join(f"{self._topic}/{partition}" for partition in sorted(self._held))
            problems.insert(0, f"{names}: {sum(self._held.values())} records wait: {_HELD}")
        self._health.report(self._name, "degraded" if problems else "ok", "; ".join(problems))


class OverflowNotice:
    """Reports names that had no slot: metrics, /readyz and log. One for all sessions of a worker.

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
            message = self._message(overflow)
            self._health.report("names", "degraded", message)
            if self._logged is None or now - self._logged >= LOG_SECONDS:
                self._logged = now
                log.warning("%s", message)
                self._unlogged.clear()
            overflow.clear()
        elif self._last is not None and now - self._last >= OVERFLOW_SECONDS:
            self._last = None
            self._health.report("names", "ok")

    def _label(self, model: str) -> str:
        if model in self._models or len(self._models) < MOST_MODELS:
            self._models.add(model)
            return model
        return ""

    def _message(self, overflow: Overflow) -> str:
        settings = ", ".join(sorted(_SETTINGS[level] for level in self._unlogged))
        (level, _), (model, version, variant) = next(iter(overflow.examples.items()))
        return (
            f"more names than {settings} allow: {self._unlogged.total()} events were not counted, "
            f"as of model {model!a}, version {version!a}, variant {variant!a} (no slot for the "
            f"{level}); is a request id in one of them? What has a baseline is always counted"
        )


class CommittedTotals:
    """Adds to metrics what has come to totals since the last flush."""

    def __init__(self) -> None:
        self._owner: object = None
        self._before: Counter[tuple[int, str]] = Counter()

    def show(self, owner: object, *shown: tuple[Any, Mapping[Any, int]]) -> None:
        """Show totals by label, each with its metric; another owner's begin at 0."""
        if owner is not self._owner:
            self._owner = owner
            self._before.clear()
        for place, (metric, totals) in enumerate(shown):
            for label, total in totals.items():
                metric.labels(label).inc(total - self._before[place, label])
                self._before[place, label] = total


class FlushMetrics:
    """What a session has counted, and how far event time has come, for the metrics and /readyz."""

    def __init__(
        self, settings: Settings, metrics: IngestMetrics, health: Health, clock: Callable[[], float]
    ) -> None:
        self._topic = settings.topics.predictions
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._totals = CommittedTotals()
        for dimension in settings.ingest.segments:  # from 0 on, or its first events have no rate
            metrics.segments_dropped.labels(dimension)

    def committed(self, counter: counting.Counter) -> None:
        """Add what was counted since the last flush; nothing is remembered of another counter."""
        metrics, predictions = self._metrics, counter.predictions
        self._totals.show(
            counter,
            (metrics.events, counter.counted),
            (metrics.segments_dropped, counter.placer.dropped),
            (metrics.awaited, predictions.routed),
            (metrics.awaited_faults, predictions.faults),
        )
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
