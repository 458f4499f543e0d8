"""OUTCOMES' sessions, each a membership of the consumer group with a transactional producer.

Cells, dead letters and the offsets of the topic of outcomes are committed in one transaction.
Whatever goes wrong, the session ends with everything in memory; the next one reads the topic from
its beginning to the committed offsets, and goes on there.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tidegauge.config import Settings
from tidegauge.contract import encode
from tidegauge.kafka import (
    Consumer,
    DeadLettersError,
    KafkaError,
    KafkaException,
    Membership,
    Message,
    RebalancingError,
    SessionError,
    TopicPartition,
    commit,
    is_end,
    outcomes_consumer,
    outcomes_producer,
    run_sessions,
)
from tidegauge.roles.outcomes.backstop import JoinBackstop
from tidegauge.roles.outcomes.letters import LetterBatches
from tidegauge.roles.outcomes.source import BROKER_SECONDS, OutcomeLog
from tidegauge.roles.outcomes.state import JoinState, pause_seconds
from tidegauge.telemetry import Health, OutcomeMetrics, RecordFaults

log = logging.getLogger(__name__)

#: Records taken at once: one may have 12,000 predictions.
_BATCH = 100
_POLL_SECONDS = 0.05

#: Counts of a tenure, each of a stratum in a window, at some 15 kB; the next one begins with none.
#: DETECT keeps each tenure in which labels of a cohort came, so there should be few.
_TENURE_COUNTS = 2_000
_TENURE_SECONDS = 24 * 3600.0

#: Dead letters of one flush at most, about.
_LETTERS = 10_000

#: How often the oldest prediction is looked for, among millions.
_OLDEST_SECONDS = 10.0


@dataclass(eq=False)
class Outcomes:
    """The role: ``run`` works until the stop event is set, over any number of sessions.

    ``clock`` is the wall clock; both clocks are in seconds.
    """

    settings: Settings
    metrics: OutcomeMetrics
    health: Health
    stop: threading.Event
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.progress = self.health.progress("outcomes", done="joined")
        topics = (self.settings.topics.outcomes,)
        self.faults = RecordFaults(self.metrics.records_set_aside, self.health, topics)
        self.backstop = JoinBackstop(self.faults)
        self.letters = LetterBatches(self.monotonic)

    def run(self) -> None:
        """Join labels until stopped; then flush, commit and leave."""
        self.health.report("outcomes", "failed", "joining the consumer group")
        run_sessions(lambda: Session(self), self.stop, failed=self._report)

    def _report(self, error: object) -> None:
        self.metrics.aborted.inc()
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self.health.beat("outcomes")
        self.progress.lag(0)
        self.health.report("outcomes", "failed", f"session ended: {error}; rejoining")
        log.warning("outcomes session ended, rejoining from the committed offsets: %s", error)


class Session:
    """One membership of the consumer group with one transactional producer."""

    def __init__(self, role: Outcomes) -> None:
        self._role = role
        self._topics = role.settings.topics
        self._consumer = outcomes_consumer(role.settings, passed=role.faults.skipped)
        self._membership = Membership(self._consumer, errors=(Exception,))
        self._alone = role.letters.alone
        self._producer = outcomes_producer(role.settings, alone=self._alone)
        self._source = OutcomeLog(role.settings, self._consumer, role.backstop, role.monotonic)
        self.state = JoinState(role.settings, role.monotonic())
        self._flushed_at = self._oldest_at = role.monotonic()
        self._destinations = 0
        #: Since when flushes are put off while the group is being rebalanced.
        self._put_off_since: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Join the group and join labels until stopped, then flush."""
        self._producer.init_transactions(BROKER_SECONDS)
        self._source.topic.begin()
        self._destinations = self._source.topic.partitions_of(self._topics.histograms)
        self._membership.join(
            self._topics.outcomes, assigned=self._on_assign, revoked=self._on_revoke
        )
        while not stop.is_set():
            self._take(self._membership.consume(_BATCH, _POLL_SECONDS))
            waited = self._role.monotonic() - self._flushed_at
            is_full = self.state.letters_wait >= _LETTERS
            every = self._role.settings.outcomes.flush_seconds
            cells = self.state.changed_cells if self._put_off_since is None else 0
            if waited >= pause_seconds(every, cells) or is_full:
                self._flush_or_wait(must=is_full)
            self._role.health.beat("outcomes")
        self._flush_or_wait(must=True)

    def close(self) -> None:
        """Leave the group. What was not flushed is not committed, so nothing is lost by it."""
        self._membership.leave()
        self._producer.purge()

    def _take(self, messages: list[Message]) -> None:
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            error = message.error()
            if error is not None and not is_end(message):
                _check(error)
            # Records of a partition that was just revoked belong to its new owner.
            elif (partition := message.partition()) in self.state.positions:
                by_partition.setdefault(partition, []).append(message)
        now = self._role.monotonic()
        for partition, its in by_partition.items():
            records = [message for message in its if message.error() is None]
            for joined in self._source.join(records, self.state.joins[partition]):
                self.state.cells.add(joined)
            at, last = self.state.positions[partition], its[-1]
            at.caught_up = is_end(last)
            to = last.offset() + (0 if at.caught_up else 1)
            if to > at.to:
                at.to, at.arrived = to, now
        if by_partition:
            self._report_lag()

    def _report_lag(self) -> None:
        lag = self._source.lag(self.state.positions)
        self._role.metrics.lag.set(lag)
        self._role.progress.lag(lag, f"{lag} records of {self._topics.outcomes} wait")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._flush()
        # The brokers answer only once no transaction over these offsets is open.
        committed = consumer.committed(partitions, timeout=BROKER_SECONDS)
        began = self._role.monotonic()
        names = sorted(at.partition for at in partitions)
        self._role.health.report("outcomes", "failed", f"reading partitions {names} back")
        for error in (at.error for at in committed if at.error is not None):
            raise KafkaException(error)
        for partition, position, low in self._source.positions(committed, began):
            join = self.state.new_join()
            for _ in self._source.read_back(join, partition, low, position.to):
                self._role.health.beat("outcomes")
                self._role.progress.moved()
            self.state.joins[partition] = join
            self.state.positions[partition] = position
        seconds = self._role.monotonic() - began
        self._role.metrics.restore.set(seconds)
        log.info("read partitions %s back in %.1f s", names, seconds)
        self.state.renew(self._role.monotonic())
        consumer.incremental_assign(
            [
                TopicPartition(t.topic, t.partition, self.state.positions[t.partition].to)
                for t in partitions
            ]
        )
        self._report_owned()

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._flush()
        for at in partitions:
            self.state.positions.pop(at.partition, None)
            self.state.joins.pop(at.partition, None)
        self.state.renew(self._role.monotonic())
        consumer.incremental_unassign(partitions)
        self._report_owned()

    def _report_owned(self) -> None:
        owned = sorted(self.state.positions)
        log.info("owns partitions %s of %s", owned, self._topics.outcomes)
        self._role.health.report("outcomes", "ok", f"owns partitions {owned}")
        self._show()

    def _flush_or_wait(self, *, must: bool) -> None:
        """Flush, or go on joining while the group is rebalanced, or the topic can't be seen."""
        try:
            self._flush()
        except (RebalancingError, KafkaException) as error:
            now = self._role.monotonic()
            self._put_off_since = now if self._put_off_since is None else self._put_off_since
            if must or now - self._put_off_since > BROKER_SECONDS:
                raise SessionError(f"not committed: {error}") from error
        else:
            self._put_off_since = None

    def _flush(self) -> None:
        """Commit everything joined so far; raises, and the session is over, if it can't."""
        began, state, role = time.perf_counter(), self.state, self._role
        self._flushed_at = role.monotonic()
        if not state.positions:
            role.progress.lag(0)
            return
        self._membership.check()
        self._source.topic.check(moved=any(at.to > at.since for at in state.positions.values()))
        state.settle()
        sends = role.letters.are_sent
        letters = state.letters(role.clock())
        try:
            commit(
                self._producer,
                topic=self._topics.histograms,
                records=_keyless(
                    state.records(
                        now=role.clock(),
                        monotonic=role.monotonic(),
                        partitions=self._source.topic.partitions,
                        destinations=self._destinations,
                        topic_id=self._source.topic.topic_id,
                    )
                ),
                letters=list(map(encode, letters)) if sends else [],
                letter_topic=self._topics.dead_letters,
                offsets=[
                    TopicPartition(self._topics.outcomes, p, it.to, metadata=it.metadata())
                    for p, it in state.counted(self._source.topic.topic_id).items()
                ],
                group=self._consumer.consumer_group_metadata(),
            )
        except DeadLettersError as error:
            then = role.letters.failed(alone=self._alone, refused=error.refused)
            raise SessionError(f"flush failed: {error}; they {then}") from error
        except (KafkaException, TimeoutError) as error:
            raise SessionError(f"flush failed: {error}") from error
        if letters and sends:
            role.letters.delivered()
        elif letters:
            role.metrics.letters_dropped.inc(len(letters))
        self._observe(time.perf_counter() - began)
        state.flushed()
        is_old = role.monotonic() - state.began > _TENURE_SECONDS
        if is_old or len(state.cells) > _TENURE_COUNTS:
            state.renew(role.monotonic())

    def _observe(self, seconds: float) -> None:
        metrics = self._role.metrics
        metrics.flush.observe(seconds)
        if any(at.to > at.since for at in self.state.positions.values()):
            self._role.progress.moved()
        for result, n in self.state.results().items():
            metrics.labels.labels(result).inc(n)
        joins = self.state.joins.values()
        metrics.duplicate_predictions.inc(sum(it.held.duplicate_predictions for it in joins))
        metrics.late_predictions.inc(sum(it.held.late_predictions for it in joins))
        self._report_lag()
        self._show()

    def _show(self) -> None:
        metrics, joins = self._role.metrics, list(self.state.joins.values())
        metrics.pending.set(sum(len(join.held.pending) for join in joins))
        metrics.pending_bytes.set(sum(join.held.nbytes for join in joins))
        metrics.waiting.set(sum(join.held.waiting for join in joins))
        now = self._role.monotonic()
        if now - self._oldest_at >= _OLDEST_SECONDS or not joins:
            self._oldest_at = now
            ages = [
                join.clock - oldest
                for join in joins
                if (oldest := join.held.pending.oldest(join.clock)) is not None
            ]
            metrics.pending_oldest.set(max(ages, default=0))


def _keyless(records: Iterable[tuple[int, bytes]]) -> Iterable[tuple[int, None, bytes]]:
    return ((partition, None, value) for partition, value in records)


def _check(error: KafkaError) -> None:
    """Raise for an error that stays; log one that passes."""
    gone = (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION)
    if error.fatal() or error.code() in gone:
        raise SessionError(str(error))
    log.warning("consumer: %s", error)
