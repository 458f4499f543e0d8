"""The transactional combiner: raw events in, mergeable histograms out, exactly once.

Histograms, dead letters and source offsets are committed in one Kafka transaction. Whatever goes
wrong, everything in memory is dropped and counting begins again at the committed offsets.
"""

import logging
import threading
import time
from collections.abc import Callable

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random,
)

from tidegauge.contract import encode
from tidegauge.ingest.bounded import bounded
from tidegauge.ingest.clients import consumer_config, producer_config
from tidegauge.ingest.counter import Counter, Promoted
from tidegauge.ingest.tenure import Position, Tenure
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, IngestMetrics

log = logging.getLogger(__name__)

#: Messages taken at once: enough for columns to pay (see ``bench/ingest.py``), few enough that a
#: batch is done in some 20 ms.
BATCH = 4_000

#: ``consume`` waits this long for a full batch, so it bounds the delay at low rates. 100 empty
#: rounds a second cost about 1 % of a core.
POLL_SECONDS = 0.01

#: Cells of long gone windows are dropped by beginning a new tenure; a window's cell is then split
#: over two tenures, which costs DETECT little if it is rare.
TENURE_SECONDS = 600.0
TENURE_CELLS = 50_000

#: Dead letters that wait for a flush; with their payloads 64 MB at most, however bad the input is.
DEAD_LETTERS = 1_000

#: A call to the brokers that takes longer than this is given up, and the session begins anew.
BROKER_SECONDS = 30.0


#: A transaction that is not committed by now has been given up by the brokers (clients.py).
COMMIT_SECONDS = 10.0


class SessionError(Exception):
    """The session can't go on; what it holds in memory is dropped and the next one begins."""


class Combiner:
    """INGEST. ``run`` works until the stop event is set, over any number of sessions."""

    def __init__(
        self,
        settings: Settings,
        *,
        promoted: Callable[[], Promoted],
        metrics: IngestMetrics,
        health: Health,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._promoted = promoted
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._clock = clock

    def run(self) -> None:
        """Count until stopped; then flush, commit and leave."""
        self._health.say("ingest", "failed", "joining the consumer group")
        retrying = Retrying(
            retry=retry_if_exception_type((SessionError, KafkaException)),
            wait=wait_random(0.5, 2),
            stop=stop_when_event_set(self._stop),
            sleep=self._sleep,
            before_sleep=self._report,
            retry_error_callback=self._report,
        )
        retrying(self._run_session)

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _run_session(self) -> None:
        session = Session(
            self._settings,
            promoted=self._promoted,
            metrics=self._metrics,
            health=self._health,
            clock=self._clock,
        )
        try:
            session.run(self._stop)
        finally:
            session.close()

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        self._metrics.aborted.inc()
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self._health.beat("ingest")
        self._health.say("ingest", "failed", f"session ended: {error}; rejoining")
        log.warning("ingest session ended, rejoining from the committed offsets: %s", error)


class Session:
    """One membership of the consumer group with one transactional producer."""

    def __init__(
        self,
        settings: Settings,
        *,
        promoted: Callable[[], Promoted],
        metrics: IngestMetrics,
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._promoted = promoted
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._topics = settings.topics
        self._counter = Counter(
            source=self._topics.predictions,
            settings=settings.ingest,
            window_of=settings.window_of,
            clock=clock,
        )
        self._committed = dict.fromkeys(self._counter.counted, 0)
        self._tenure = Tenure(began=clock(), positions={})
        self._lost: str | None = None
        self._flushed_at = time.monotonic()
        self._consumer = Consumer(consumer_config(settings), logger=log)
        self._producer = Producer(producer_config(settings), logger=log)
        self._sources = self._destinations = 0

    def run(self, stop: threading.Event) -> None:
        """Join the group and count until stopped, then flush."""
        self._producer.init_transactions(BROKER_SECONDS)
        self._sources = self._partitions_of(self._topics.predictions)
        self._destinations = self._partitions_of(self._topics.histograms)
        self._counter.use(self._promoted(), self._tenure)
        self._consumer.subscribe(
            [self._topics.predictions],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        while not stop.is_set():
            self._take(self._consumer.consume(BATCH, POLL_SECONDS))
            if self._lost:
                raise SessionError(self._lost)
            if self._flush_is_due():
                self._flush()
            self._health.beat("ingest")
        self._flush()

    def close(self) -> None:
        """Leave the group. What was not flushed is not committed, so nothing is lost by it."""
        self._tenure = Tenure(began=self._clock(), positions={})
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
        if not messages:
            return
        owned = self._tenure.positions
        last = {message.partition(): message for message in messages}
        # Records of a partition that has just been revoked may still be in the batch: its new
        # owner counts them. An error may be of no partition at all.
        if not last.keys() <= owned.keys():
            messages = [m for m in messages if m.partition() in owned or m.error() is not None]
        self._counter.count(messages, self._tenure)
        errors = [message for message in self._counter.take_errors() if not _is_end(message)]
        for message in errors:
            _check(message)
        if errors:  # they have no offset, so they say nothing of how far the partition was read
            last = {m.partition(): m for m in messages if m.error() is None or _is_end(m)}
        now = self._clock()
        for partition, message in last.items():
            position = owned.get(partition)
            if position is None:
                continue
            position.caught_up = _is_end(message)
            to = message.offset() + (0 if position.caught_up else 1)
            if to > position.to:
                position.to = to
                position.arrived = now

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._flush()
        now = self._clock()
        for at in consumer.committed(partitions, timeout=BROKER_SECONDS):
            low, _ = consumer.get_watermark_offsets(at, timeout=BROKER_SECONDS)
            begin = at.offset if at.offset >= 0 else low
            # The origin travels in the metadata of the committed offset, so that DETECT can tell
            # a first record from one it has missed.
            origin = int(at.metadata) if at.metadata else begin
            if begin < low:
                self._metrics.source_lost.inc(low - begin)
                log.error(
                    "%s/%d: offsets %d to %d were deleted by retention before they were counted",
                    at.topic, at.partition, begin, low,
                )  # fmt: skip
            self._tenure.positions[at.partition] = Position(
                origin=origin, start=begin, since=begin, to=max(begin, low), arrived=now
            )
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
        self._renew()
        consumer.incremental_unassign(partitions)
        self._say_owned()

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._lost = f"partitions {sorted(t.partition for t in partitions)} were lost"

    def _renew(self) -> None:
        self._tenure = self._tenure.successor(self._clock())
        self._metrics.tenures.inc()

    def _say_owned(self) -> None:
        owned = sorted(self._tenure.positions)
        log.info("owns partitions %s of %s", owned, self._topics.predictions)
        self._health.say("ingest", "ok", f"owns partitions {owned}")

    def _flush_is_due(self) -> bool:
        # By the monotonic clock: one that was set back would put off every flush by as much.
        waited = time.monotonic() - self._flushed_at
        letters = len(self._counter.dead_letters)
        return waited >= self._settings.ingest.flush_seconds or letters >= DEAD_LETTERS

    def _flush(self) -> None:
        """Commit everything counted so far; raises, and the session is over, if it can't."""
        began = time.perf_counter()
        tenure = self._tenure
        self._flushed_at = time.monotonic()
        if not tenure.positions:
            return
        if self._lost:  # an assignment may follow in the same round, with a generation that counts
            raise SessionError(self._lost)
        self._counter.settle(tenure)
        try:
            self._commit(tenure)
        except (KafkaException, TimeoutError) as error:
            raise SessionError(f"flush failed: {error}") from error
        tenure.flushed()
        self._observe(time.perf_counter() - began)
        self._counter.use(self._promoted(), tenure)
        now = self._clock()
        if now - tenure.began > TENURE_SECONDS or len(tenure.cells) > TENURE_CELLS:
            self._renew()

    def _commit(self, tenure: Tenure) -> None:
        producer = self._producer
        records = tenure.records(
            now=self._clock(),
            idle_seconds=self._settings.ingest.idle_seconds,
            source=self._topics.predictions,
            sources=self._sources,
            destinations=self._destinations,
        )
        # Begun only now: an open transaction holds back every reader of committed records.
        producer.begin_transaction()
        for partition, record in records:
            producer.produce(self._topics.histograms, record, partition=partition)
        for letter in self._counter.dead_letters:
            producer.produce(self._topics.dead_letters, encode(letter))
        offsets = [
            TopicPartition(self._topics.predictions, p, at.to, metadata=str(at.origin))
            for p, at in tenure.positions.items()
        ]
        group = self._consumer.consumer_group_metadata()

        def commit() -> None:
            producer.send_offsets_to_transaction(offsets, group, COMMIT_SECONDS)
            producer.commit_transaction(COMMIT_SECONDS)

        # librdkafka's send_offsets_to_transaction passes over its timeout, and after a restart of
        # the coordinator may never return (confluentinc/librdkafka issues 5456 and 5511). The next
        # session's producer fences this one.
        bounded(commit, 2 * COMMIT_SECONDS)

    def _observe(self, seconds: float) -> None:
        self._metrics.flush.observe(seconds)
        for path, counted in self._counter.counted.items():
            self._metrics.events.labels(path).inc(counted - self._committed[path])
            self._committed[path] = counted
        for letter in self._counter.dead_letters:
            self._metrics.dead_letters.labels(letter.reason).inc()
        self._counter.dead_letters.clear()
        latest = [at.latest for at in self._tenure.positions.values() if at.latest is not None]
        if latest:
            self._metrics.event_time.set(max(latest))
        self._metrics.lag.set(self._lag())

    def _lag(self) -> int:
        lag = 0
        for partition, at in self._tenure.positions.items():
            topic = TopicPartition(self._topics.predictions, partition)
            _, high = self._consumer.get_watermark_offsets(topic, cached=True)
            if not at.caught_up and high > 0:
                lag += max(0, high - at.to)
        return lag


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _check(message: Message) -> None:
    """Raise for an error that stays; log one that passes."""
    error = message.error()
    assert error is not None  # noqa: S101 - only errors are checked
    if error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise SessionError(str(error))
    log.warning("consumer: %s", error)
