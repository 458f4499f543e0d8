"""One session: a membership of the consumer group with a transactional producer.

Histograms, dead letters and source offsets are committed in one Kafka transaction. Whatever goes
wrong, the session ends, and with it everything in memory.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from tidegauge.config import Settings
from tidegauge.contract import encode
from tidegauge.counting import (
    DEAD_LETTERS,
    Admission,
    Beginning,
    Counted,
    Counter,
    Position,
    Promoted,
    Tenure,
    last_of,
    partitions_of,
)
from tidegauge.kafka import (
    Consumer,
    DeadLettersError,
    KafkaError,
    KafkaException,
    Message,
    ReadFrom,
    RebalancingError,
    SessionError,
    StuckError,
    TopicPartition,
    UnreadableBatches,
    commit,
    ingest_consumer,
    ingest_producer,
    is_end,
    stopping,
)
from tidegauge.roles.ingest.backstop import Backstop
from tidegauge.roles.ingest.conditions import OverflowNotice, SourceCondition
from tidegauge.roles.ingest.dead_letters import DeadLetterWriter, FallbackLevel, to_send
from tidegauge.roles.ingest.lag import HeldPartitions, LagWatch
from tidegauge.roles.ingest.source import SourceTopic
from tidegauge.telemetry import Health, IngestMetrics, Progress

log = logging.getLogger(__name__)

#: Messages taken at once: enough for columns to pay (see ``bench/compare.py``), few enough that a
#: batch is done in some 20 ms.
BATCH = 4_000

#: ``consume`` waits this long for a full batch, so it bounds the delay at low rates. 100 empty
#: rounds a second cost about 1 % of a core.
POLL_SECONDS = 0.01

#: Cells of long gone windows are dropped by beginning a new tenure; a window's cell is then split
#: over two tenures, which costs DETECT little if it is rare.
TENURE_SECONDS = 600.0
TENURE_CELLS = 50_000

#: A call to the brokers that takes longer than this is given up, and the session begins anew. With
#: what leaving takes it must be over well before a pod's grace period of 30 s is.
BROKER_SECONDS = 10.0

#: Clocks of serving nodes that agree with this worker's to so many seconds are right: such an event
#: is in the wrong window only at the edges of one, and less than the default grace early.
SKEW_ALLOWED_SECONDS = 5.0


#: The offset that comes next is not there (any more): only an assignment can tell where to begin.
_OFFSET_IS_GONE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION})

Callback = Callable[[Consumer, list[TopicPartition]], None]


class _NotNowError(SessionError):
    """A flush failed that may succeed soon; until then nothing needs to be dropped."""


class Session:
    """One membership of the consumer group with one transactional producer."""

    def __init__(
        self,
        settings: Settings,
        *,
        promoted: Callable[[], Promoted],
        baselines_age: Callable[[], float],
        metrics: IngestMetrics,
        health: Health,
        progress: Progress,
        letters: DeadLetterWriter,
        condition: SourceCondition,
        admission: Admission,
        overflow: OverflowNotice,
        backstop: Backstop,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._promoted = promoted
        self._baselines_age = baselines_age
        self._metrics = metrics
        self._health = health
        self._progress = progress
        self._letters = letters
        self._condition = condition
        self._admission = admission
        self._overflow = overflow
        self._backstop = backstop
        self._clock = clock
        self._monotonic = monotonic
        self._topics = settings.topics
        self._counter = self._new_counter()
        self._committed = dict.fromkeys(self._counter.counted, 0)
        self._dropped = dict.fromkeys(settings.ingest.segments, 0)
        for dimension in self._dropped:  # from 0 on, or its first events have no rate
            metrics.segments_dropped.labels(dimension)
        self._tenure = Tenure(began=monotonic(), positions={})
        #: Why the session is over, if it is.
        self._over: str | None = None
        self._closing = False
        self._flushed_at = monotonic()
        #: Since when flushes are put off, by the monotonic clock.
        self._put_off_since: float | None = None
        self._consumer = ingest_consumer(settings)
        alone = letters.level != "full"
        self._lag = LagWatch(
            self._consumer,
            self._topics.predictions,
            progress,
            quiet_seconds=settings.health.stall_seconds / 4,
            monotonic=monotonic,
        )
        self._held = HeldPartitions()
        self._source = SourceTopic(settings, self._consumer, monotonic=monotonic)
        #: Where counting of partitions has begun of which nothing is committed yet.
        self._beginnings: dict[int, Beginning] = {}
        self._unreadable = UnreadableBatches()
        #: How far partitions were read that are read again since counting failed.
        self._read_before: dict[int, int] = {}
        self._producer = ingest_producer(settings, alone=alone)
        self._destinations = 0

    def _new_counter(self) -> Counter:
        return Counter(
            source=self._topics.predictions,
            settings=self._settings.ingest,
            window_of=self._settings.window_of,
            clock=self._clock,
            admission=self._admission,
        )

    def run(self, stop: threading.Event) -> None:
        """Join the group and count until stopped, then flush."""
        self._backstop.dropped()
        self._producer.init_transactions(BROKER_SECONDS)
        self._source.begin()
        self._destinations = self._partitions_of(self._topics.histograms)
        self._counter.use(self._promoted(), self._tenure)
        self._consumer.subscribe(
            [self._topics.predictions],
            on_assign=self._guarded(self._on_assign),
            on_revoke=self._guarded(self._on_revoke),
            on_lost=self._on_lost,
        )
        while not stop.is_set():
            messages = self._consumer.consume(self._backstop.batch(BATCH), POLL_SECONDS)
            if self._over:
                raise SessionError(self._over)
            try:
                self._take(messages)
            except (SessionError, KafkaException):
                raise
            except Exception as error:
                self._count_again(error, messages)
            # Freed before the next ones are made: those are then made where the processor's cache
            # still has these.
            del messages
            if self._flush_is_due():
                self._flush_or_wait()
            self._lag.ask(self._tenure.positions)
            self._health.beat("ingest")
        self._flush()

    def close(self) -> None:
        """Leave the group. What was not flushed is not committed, so nothing is lost by it."""
        self._closing = True
        self._tenure = Tenure(began=self._monotonic(), positions={})
        self._consumer.close()
        self._producer.purge()

    def _partitions_of(self, topic: str) -> int:
        found = self._consumer.list_topics(topic, timeout=BROKER_SECONDS).topics[topic]
        if found.error is not None or not found.partitions:
            raise SessionError(
                f"topic {topic} is not there ({found.error}); make it with: tidegauge topics create"
            )
        return len(found.partitions)

    def _take(self, messages: list[Message]) -> None:
        messages, steps = self._unreadable.take(messages)
        for step in steps:
            self._read_on(step)
        if not messages:
            return
        owned = self._tenure.positions
        # Asking each of millions of messages costs, so the answers are handed on.
        partitions = partitions_of(messages)
        last = {p: messages[place] for p, place in last_of(partitions).items()}
        # Records of a partition that has just been revoked may still be in the batch: its new
        # owner counts them. An error may be of no partition at all.
        if not last.keys() <= owned.keys():
            messages = [m for m in messages if m.partition() in owned or m.error() is not None]
        # Said before they are counted: if that takes for ever, this is the lag.
        taken = {p: m.offset() + 1 for p, m in last.items() if m.error() is None}
        self._lag.say(owned, taken)
        if self._read_before:
            self._check_rewound(messages)
        records = sum(to - owned[p].to for p, to in taken.items() if p in owned)
        to_count, refused = self._backstop.take(messages, records)
        known = partitions if len(to_count) == len(partitions) else None  # none was left out
        self._counter.count(to_count, self._tenure, known)
        for message, why in refused:
            self._counter.refuse(message, why)
        if self._backstop.limit is not None:
            # To see that it can be committed, before the transaction is begun.
            self._counter.settle(self._tenure)
            list(self._records(self._tenure))
        errors = [message for message in self._counter.take_errors() if not is_end(message)]
        for message in errors:
            _check(message)
        if errors:  # they say nothing of how far the partition was read
            last = {m.partition(): m for m in messages if m.error() is None or is_end(m)}
        now = self._monotonic()
        for partition, message in last.items():
            position = owned.get(partition)
            if position is None:
                continue
            position.caught_up = is_end(message)
            to = message.offset() + (0 if position.caught_up else 1)
            if to > position.to:
                position.to = to
                position.arrived = now
        self._backstop.counted()
        for message in stopping(messages) if errors else ():
            if message.partition() in owned:
                self._search(message)

    def _search(self, error: Message) -> None:
        """Begin to search for the end of a batch that the client can't read."""
        partition = error.partition()
        at = self._tenure.positions[partition]
        source = TopicPartition(self._topics.predictions, partition)
        _, end = self._consumer.get_watermark_offsets(source, timeout=BROKER_SECONDS)
        step = self._unreadable.begin(error, at.to, end)
        if step is not None:
            at.caught_up = False
            self._read_on(step)

    def _read_on(self, step: ReadFrom) -> None:
        """Go on after an unreadable batch, or where the search for its end leads."""
        if step.passed is not None:
            at = self._tenure.positions[step.partition]
            self._counter.refuse_range(step.partition, *step.passed)
            at.to, at.arrived = step.offset, self._monotonic()
            self._read_before.pop(step.partition, None)
        topic = self._topics.predictions
        self._consumer.seek(TopicPartition(topic, step.partition, step.offset))
        # Each step halves what is left, so there is an end to them: this is no stall.
        self._progress.moved()

    def _count_again(self, error: Exception, messages: list[Message]) -> None:
        """Drop what was counted since the last flush, and go back to the committed offsets.

        The backstop finds the record that ``error`` is of; if it can be of none, it is raised.
        """
        if not self._backstop.failed(error, self._tenure.positions):
            raise error
        log.warning("counting failed, and begins again at the committed offsets", exc_info=error)
        self._metrics.aborted.inc()
        read = {partition: at.to for partition, at in self._tenure.positions.items()}
        self._counter = self._new_counter()
        self._committed = dict.fromkeys(self._committed, 0)
        self._dropped = dict.fromkeys(self._dropped, 0)
        for message in messages:
            if message.error() is None and message.partition() in read:
                read[message.partition()] = message.offset() + 1
        self._tenure = self._tenure.rewound(self._monotonic())
        self._counter.use(self._promoted(), self._tenure)
        for partition, at in self._tenure.positions.items():
            if read[partition] > at.to:
                self._read_before[partition] = read[partition]
            if read[partition] > at.to or partition in self._unreadable:
                self._consumer.seek(TopicPartition(self._topics.predictions, partition, at.to))
        self._unreadable.clear()

    def _check_rewound(self, messages: list[Message]) -> None:
        """See that the client hands out again what it did before :meth:`_count_again`."""
        for message in messages:
            if message.error() is None:
                before = self._read_before.pop(message.partition(), None)
                if before is not None and message.offset() >= before:
                    raise SessionError(
                        f"partition {message.partition()} was to be read again from before offset "
                        f"{before}, and went on at {message.offset()}"
                    )

    def _guarded(self, callback: Callback) -> Callback:
        """Let a callback that fails end the session, and keep it out of the way of leaving.

        confluent-kafka would raise what its own calls raise inside a callback as a ``KafkaError``,
        which is no exception: no ``except`` catches it, and the thread would end without a word.
        If the callback didn't assign, it does so by itself; what is read then is not counted.
        """

        def guarded(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if self._closing or self._over:
                return
            try:
                callback(consumer, partitions)
            except (SessionError, KafkaException) as error:
                self._over = str(error)

        return guarded

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._flush()
        now = self._monotonic()
        committed = consumer.committed(partitions, timeout=BROKER_SECONDS)
        beginnings = self._source.beginnings(committed)
        for partition, its in beginnings.items():
            self._tenure.positions[partition] = Position(
                origin=its.origin,
                start=its.begin,
                since=its.begin,
                to=max(its.begin, its.low),
                arrived=now,
                series=its.series,
                known_end=self._source.ends[partition],
            )
        self._beginnings |= beginnings
        self._renew()
        consumer.incremental_assign(
            [
                TopicPartition(t.topic, t.partition, self._tenure.positions[t.partition].to)
                for t in partitions
            ]
        )
        self._say_owned()

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._flush()
        for at in partitions:
            self._tenure.positions.pop(at.partition, None)
            self._read_before.pop(at.partition, None)
            self._beginnings.pop(at.partition, None)
            self._unreadable.drop(at.partition)
        self._renew()
        consumer.incremental_unassign(partitions)
        self._say_owned()

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._over = f"partitions {sorted(t.partition for t in partitions)} were lost"

    def _renew(self) -> None:
        self._tenure = self._tenure.successor(self._monotonic())
        self._metrics.tenures.inc()

    def _say_owned(self) -> None:
        owned = sorted(self._tenure.positions)
        log.info("owns partitions %s of %s", owned, self._topics.predictions)
        self._health.say("ingest", "ok", f"owns partitions {owned}")
        self._observe_clocks()

    def _flush_is_due(self) -> bool:
        # By the monotonic clock: one that was set back would put off every flush by as much.
        waited = self._monotonic() - self._flushed_at
        letters = len(self._counter.dead_letters)
        if self._backstop.flush_is_due:
            return True
        return waited >= self._settings.ingest.flush_seconds or letters >= DEAD_LETTERS

    def _flush_or_wait(self) -> None:
        """Flush; while the group is being rebalanced, go on counting and try again.

        A session that ended instead would leave the group and join it again: two more rebalances,
        which end other members' sessions. Partitions that move are flushed when they are revoked,
        by the new generation, or are lost.
        """
        try:
            self._flush()
        except _NotNowError as error:
            now = self._monotonic()
            if self._put_off_since is None:
                self._put_off_since = now
            full = len(self._counter.dead_letters) >= DEAD_LETTERS
            if full or now - self._put_off_since > BROKER_SECONDS:
                raise
            log.info("%s; trying again", error)
        else:
            self._put_off_since = None

    def _flush(self) -> None:
        """Commit everything counted so far; raises, and the session is over, if it can't."""
        began = time.perf_counter()
        tenure = self._tenure
        self._flushed_at = self._monotonic()
        if not tenure.positions:
            self._progress.lag(0)
            self._condition.held({})
            return
        if self._over:  # an assignment may follow in the same round, with a generation that counts
            raise SessionError(self._over)
        moved = any(at.to > at.since for at in tenure.positions.values())
        self._check_source(moved=moved)
        level = self._letters.level
        try:
            self._counter.settle(tenure)
            self._commit(tenure, level)
        except RebalancingError as error:
            raise _NotNowError(f"the group is being rebalanced: {error}") from error
        except StuckError as error:
            self._replace_producer()
            raise _NotNowError(f"not committed: {error}") from error
        except DeadLettersError as error:
            self._letters.failed(error)
            raise SessionError(f"flush failed: {error}") from error
        except (KafkaException, TimeoutError) as error:
            raise SessionError(f"flush failed: {error}") from error
        except Exception as error:
            if not self._backstop.failed(error, tenure.positions):
                raise
            log.exception("a flush failed")
            raise SessionError(f"flush failed: {type(error).__name__}: {error}") from error
        if moved:
            self._progress.moved()
        tenure.flushed()
        self._backstop.committed(tenure.positions)
        for partition, its in self._beginnings.items():
            self._condition.begun(partition, its)
        self._beginnings.clear()
        self._letters.committed(self._counter.dead_letters, level)
        self._overflow.committed(self._counter.overflow)
        self._observe(time.perf_counter() - began)
        self._counter.use(self._promoted(), tenure)
        if self._monotonic() - tenure.began > TENURE_SECONDS or len(tenure.cells) > TENURE_CELLS:
            self._renew()

    def _check_source(self, *, moved: bool) -> None:
        """See that what was read is of the topic that it is committed for."""
        try:
            self._source.check(moved=moved)
        except KafkaException as error:
            raise _NotNowError(f"{self._topics.predictions} can't be looked at: {error}") from error

    def _replace_producer(self) -> None:
        """Go on with another producer, whose first act is to end the transaction of this one.

        What was counted stays, and is committed by the next flush. Raises ``KafkaException``.
        """
        self._metrics.aborted.inc()
        alone = self._letters.level != "full"
        self._producer = ingest_producer(self._settings, alone=alone)
        self._producer.init_transactions(BROKER_SECONDS)

    def _records(self, tenure: Tenure) -> Iterator[tuple[int, bytes]]:
        age = self._baselines_age()
        return tenure.records(
            now=self._clock(),
            monotonic=self._monotonic(),
            idle_seconds=self._settings.ingest.idle_seconds,
            source=self._topics.predictions,
            sources=self._source.partitions,
            destinations=self._destinations,
            baselines_age_seconds=age if math.isfinite(age) else None,
            topic_id=self._source.topic_id,
        )

    def _commit(self, tenure: Tenure, level: FallbackLevel) -> None:
        self._lag.look(tenure.positions)
        topic_id = self._source.topic_id
        commit(
            self._producer,
            histograms=self._records(tenure),
            histogram_topic=self._topics.histograms,
            letters=[
                encode(replace(letter, topic_id=topic_id))
                for letter in to_send(self._counter.dead_letters, level)
            ],
            letter_topic=self._topics.dead_letters,
            offsets=[
                TopicPartition(
                    self._topics.predictions,
                    p,
                    at.to,
                    metadata=Counted(
                        origin=at.origin,
                        to=at.to,
                        topic_id=topic_id,
                        series=at.series,
                        end=at.least_end,
                    ).metadata(),
                )
                for p, at in tenure.positions.items()
            ],
            group=self._consumer.consumer_group_metadata(),
        )

    def _observe(self, seconds: float) -> None:
        self._metrics.flush.observe(seconds)
        for path, counted in self._counter.counted.items():
            self._metrics.events.labels(path).inc(counted - self._committed[path])
            self._committed[path] = counted
        for dimension, dropped in self._counter.placer.dropped.items():
            self._metrics.segments_dropped.labels(dimension).inc(dropped - self._dropped[dimension])
            self._dropped[dimension] = dropped
        self._metrics.ignored_features.show("ingest", self._counter.ignored.series())
        self._observe_clocks()
        self._metrics.lag.set(self._lag.say(self._tenure.positions))
        self._condition.held(self._held.of(self._tenure.positions, self._monotonic()))

    def _observe_clocks(self) -> None:
        """Show how far event time has come, and which partitions have events of a wrong clock."""
        now = self._clock()
        clocks = {p: at.event_clock for p, at in self._tenure.positions.items()}
        latest = [clock.latest for clock in clocks.values() if clock.latest is not None]
        if latest:
            self._metrics.event_time.set(max(latest))
        skews = {p: clock.skew(now) for p, clock in sorted(clocks.items())}
        self._metrics.clock_skew.show("ingest", {(str(p),): skew for p, skew in skews.items()})
        ahead = {p: skew for p, skew in skews.items() if skew > SKEW_ALLOWED_SECONDS}
        self._health.say(
            "clocks",
            "degraded" if ahead else "ok",
            f"event times are up to {max(ahead.values()):.0f} s ahead of this worker's clock in "
            f"partitions {list(ahead)} of {self._topics.predictions}" if ahead else "",
        )  # fmt: skip


def _check(message: Message) -> None:
    """Raise for an error that stays; log one that passes."""
    error = message.error()
    assert error is not None  # noqa: S101 - only errors are checked
    if error.fatal() or error.code() in _OFFSET_IS_GONE:
        raise SessionError(str(error))
    log.warning("consumer: %s", error)
