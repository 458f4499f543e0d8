"""INGEST's sessions, each a membership of the consumer group with a transactional producer.

Histograms, dead letters and source offsets are committed in one Kafka transaction. Whatever goes
wrong, the session ends, everything in memory is dropped, and the next session counts again from the
committed offsets.
"""

import logging
import threading
import time

from tidegauge.counting import DEAD_LETTERS, Beginning, PendingPredictions, Tenure
from tidegauge.kafka import (
    Consumer,
    DeadLettersError,
    KafkaException,
    Membership,
    RebalancingError,
    SessionError,
    StuckError,
    TopicPartition,
    run_sessions,
)
from tidegauge.roles import SourceTopic
from tidegauge.roles.ingest.conditions import (
    HeldPartitions,
    LagWatch,
)
from tidegauge.roles.ingest.reader_writer import BROKER_SECONDS, SourceReader, SourceWriter
from tidegauge.roles.ingest.state import SourceState

log = logging.getLogger(__name__)

#: Messages taken at once: enough for columns to pay (see ``bench/compare.py``), few enough that a
#: batch is done in some 20 ms.
BATCH = 4_000

#: Cells of long gone windows are dropped by beginning a new tenure; a window's cell is then split
#: over two tenures, which costs DETECT little if it is rare.
TENURE_SECONDS = 600.0
TENURE_CELLS = 50_000


class _NotNowError(SessionError):
    """A flush failed that may succeed soon; until then nothing needs to be dropped."""


class Session:
    """One membership of the consumer group with one transactional producer."""

    def __init__(self, state: SourceState) -> None:
        self.state = state
        self._flushed_at = state.monotonic()
        #: Since when flushes are put off, by the monotonic clock.
        self._put_off_since: float | None = None
        consumer = state.new_consumer()
        self.membership = Membership(consumer)
        self.lag = LagWatch(
            consumer,
            state.topic,
            state.progress,
            quiet_seconds=state.settings.health.stall_seconds / 4,
            monotonic=state.monotonic,
        )
        self._held = HeldPartitions()
        self.source = SourceTopic(
            state.settings,
            state.topic,
            consumer,
            counted_in=state.settings.topics.histograms if state.counts else None,
            monotonic=state.monotonic,
        )
        #: Where counting of partitions has begun of which nothing is committed yet.
        self._beginnings: dict[int, Beginning] = {}
        self.writer = SourceWriter(state, self.source)
        self.reader = SourceReader(state, consumer, records=self.writer.records, lag=self.lag)

    def run(self, stop: threading.Event) -> None:
        """Join the group and count until stopped, then flush."""
        self.state.backstop.dropped()
        self.writer.begin()
        self.source.begin()
        self.writer.partitions_of(self.state.destination)
        self.reader.begin()
        self.membership.join(self.state.topic, assigned=self._on_assign, revoked=self._on_revoke)
        seconds = self.state.poll_seconds
        while not stop.is_set():
            messages = self.membership.consume(self.state.backstop.batch(BATCH), seconds)
            began = time.perf_counter()
            try:
                self.reader.take(messages)
            except (SessionError, KafkaException):
                raise
            except Exception as error:
                self.reader.count_again(error, messages)
                self.state.metrics.aborted.inc()
            # Freed before the next ones are made: those are then made where the processor's cache
            # still has these.
            del messages
            if self.flush_is_due():
                self.flush_or_wait()
            self.lag.ask_quiet(self.reader.tenure.positions)
            self.state.beat()
            self.state.rest(time.perf_counter() - began)
        self.flush()

    def close(self) -> None:
        """Leave the group. What was not flushed is not committed, so nothing is lost by it."""
        self.reader.tenure = Tenure(began=self.state.monotonic(), positions={})
        self.membership.leave()
        self.writer.producer.purge()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.flush()
        committed = consumer.committed(partitions, timeout=BROKER_SECONDS)
        beginnings = self.source.beginnings(committed)
        for partition, its in beginnings.items():
            self.reader.add(partition, its, self.source.ends[partition])
        self._beginnings |= beginnings
        self._renew()
        consumer.incremental_assign(
            [
                TopicPartition(t.topic, t.partition, self.reader.tenure.positions[t.partition].to)
                for t in partitions
            ]
        )
        self._report_owned()

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.flush()
        for at in partitions:
            self.reader.drop(at.partition)
            self._beginnings.pop(at.partition, None)
        self._renew()
        consumer.incremental_unassign(partitions)
        self._report_owned()

    def _renew(self) -> None:
        self.reader.tenure = self.reader.tenure.successor(self.state.monotonic())
        self.state.metrics.tenures.inc()

    def _report_owned(self) -> None:
        owned = sorted(self.reader.tenure.positions)
        log.info("owns partitions %s of %s", owned, self.state.topic)
        self.state.report("ok", f"owns partitions {owned}")
        self.state.owns(self.reader.tenure.positions)

    def flush_is_due(self) -> bool:
        """Whether it is time to commit, or too much waits for that."""
        # By the monotonic clock: one that was set back would put off every flush by as much.
        waited = self.state.monotonic() - self._flushed_at
        letters = len(self.reader.counter.dead_letters)
        if self.state.backstop.flush_is_due:
            return True
        return waited >= self.state.settings.ingest.flush_seconds or letters >= DEAD_LETTERS

    def flush_or_wait(self) -> None:
        """Flush; while the group is being rebalanced, go on counting and try again.

        A session that ended instead would leave the group and join it again: two more rebalances,
        which end other members' sessions. Partitions that move are flushed when they are revoked,
        by the new generation, or are lost.
        """
        try:
            self.flush()
        except _NotNowError as error:
            now = self.state.monotonic()
            if self._put_off_since is None:
                self._put_off_since = now
            full = len(self.reader.counter.dead_letters) >= DEAD_LETTERS
            if full or now - self._put_off_since > BROKER_SECONDS:
                raise
            log.info("%s; trying again", error)
        else:
            self._put_off_since = None

    def flush(self) -> None:
        """Commit everything counted so far; raises, and the session is over, if it can't."""
        began = time.perf_counter()
        tenure = self.reader.tenure
        self._flushed_at = self.state.monotonic()
        if not tenure.positions:
            self.state.progress.lag(0)
            self.state.condition.held({})
            return
        # An assignment may follow in the same round, with a generation that counts.
        self.membership.check()
        moved = any(at.to > at.since for at in tenure.positions.values())
        self._check_source(moved=moved)
        level = self.state.letters.level
        try:
            self.reader.counter.settle(tenure)
            if tenure.pending and not self.writer.has_outcomes():
                self.reader.counter.predictions.leave_out(tenure.pending)
                tenure.pending = PendingPredictions()
            self.lag.note_ends(tenure.positions)
            group = self.reader.consumer.consumer_group_metadata()
            self.writer.commit(tenure, self.reader.counter.dead_letters, level, group)
        except RebalancingError as error:
            raise _NotNowError(f"the group is being rebalanced: {error}") from error
        except StuckError as error:
            self.state.metrics.aborted.inc()
            self.writer.replace_producer()
            raise _NotNowError(f"not committed: {error}") from error
        except DeadLettersError as error:
            self.state.letters.failed(error)
            raise SessionError(f"flush failed: {error}") from error
        except (KafkaException, TimeoutError) as error:
            raise SessionError(f"flush failed: {error}") from error
        except Exception as error:
            if not self.state.backstop.failed(error, tenure.positions):
                raise
            log.exception("a flush failed")
            raise SessionError(f"flush failed: {type(error).__name__}: {error}") from error
        if moved:
            self.state.progress.moved()
        tenure.flushed()
        self.state.backstop.committed(tenure.positions)
        for partition, its in self._beginnings.items():
            self.state.condition.begun(partition, its)
        self._beginnings.clear()
        self.state.letters.committed(self.reader.counter.dead_letters, level)
        self._observe(time.perf_counter() - began)
        self.reader.begin()
        if (
            self.state.monotonic() - tenure.began > TENURE_SECONDS
            or len(tenure.cells) > TENURE_CELLS
        ):
            self._renew()

    def _check_source(self, *, moved: bool) -> None:
        """See that what was read is of the topic that it is committed for."""
        try:
            self.source.check(moved=moved)
        except KafkaException as error:
            raise _NotNowError(f"{self.state.topic} can't be looked at: {error}") from error

    def _observe(self, seconds: float) -> None:
        positions = self.reader.tenure.positions
        self.state.metrics.flush.observe(seconds)
        self.state.committed(self.reader.counter, positions)
        self.state.waiting = self.lag.report(positions)
        self.state.metrics.lag.set(self.state.waiting)
        self.state.condition.held(self._held.of(positions, self.state.monotonic()))


class Combiner:
    """The role: runs sessions, one after the other, until the stop event is set."""

    def __init__(self, state: SourceState, stop: threading.Event) -> None:
        self.state = state
        self._stop = stop

    def run(self) -> None:
        """Count until stopped; then flush, commit and leave."""
        self.state.report("failed", "joining the consumer group")
        run_sessions(self._begin, self._stop, failed=self._report)

    def _begin(self) -> Session:
        return Session(self.state)

    def _report(self, error: object) -> None:
        self.state.metrics.aborted.inc()
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self.state.beat()
        self.state.progress.lag(0)
        self.state.report("failed", f"session ended: {error}; rejoining")
        name = self.state.name
        log.warning("%s session ended, rejoining from the committed offsets: %s", name, error)
