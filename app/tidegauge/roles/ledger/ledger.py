"""LEDGER: chains audit facts until it is stopped, over any number of sessions.

A session is a membership of the consumer group with a transactional producer. Records and the
offsets of their facts are committed in one Kafka transaction. Whatever goes wrong, the session
ends, and with it everything in memory; the next one reads it back.

Nothing else can add to a chain between reading it back and going on with it: the member that had
the partition before can't commit any more once the group has given it to another, and what it had
committed or left open by then is waited for (``tidegauge.audit.read_audit``).
"""

import logging
import threading
import time

from tidegauge.audit import ChainIndex, Entry, Origin, read_audit
from tidegauge.config import Settings
from tidegauge.kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Membership,
    Message,
    Quarantine,
    RebalancingError,
    SessionError,
    TopicPartition,
    commit,
    is_of_a_record,
    ledger_consumer,
    ledger_producer,
    run_sessions,
)
from tidegauge.telemetry import ONE_BY_ONE, Health, LedgerMetrics, RecordFaults

log = logging.getLogger(__name__)

#: Facts of one transaction. They are few: an alert or an action each.
BATCH = 500

_POLL_SECONDS = 0.1

#: A call to the brokers that takes longer than this is given up, and the session begins again.
BROKER_SECONDS = 10.0


class Ledger:
    """``run`` works until the stop event is set; whatever ends a session, the next one begins."""

    def __init__(
        self, settings: Settings, *, metrics: LedgerMetrics, health: Health, stop: threading.Event
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.health = health
        self._stop = stop
        self.progress = health.progress("ledger", done="chained")
        self.quarantine = Quarantine()
        #: By partition and offset, why a fact can't be written: that is chained in its place.
        self.unwritable: dict[tuple[int, int], str] = {}
        topics = (settings.topics.audit_facts,)
        self.faults = RecordFaults(metrics.records_set_aside, health, topics)

    def run(self) -> None:
        """Chain facts until stopped, then leave."""
        self.health.report("ledger", "failed", "joining the consumer group")
        run_sessions(lambda: Session(self), self._stop, failed=self._report)

    def _report(self, error: object) -> None:
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self.health.beat("ledger")
        self.progress.lag(0)
        self.health.report("ledger", "failed", f"session ended: {error}; rejoining")
        log.warning("ledger session ended, rejoining from the committed offsets: %s", error)


class Session:
    """One membership of the consumer group with one transactional producer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._metrics = ledger.metrics
        self._settings = ledger.settings
        self._facts = self._settings.topics.audit_facts
        self._chains: dict[int, ChainIndex] = {}
        #: By partition, how many breaks were found when it was read back.
        self._breaks: dict[int, int] = {}
        self._consumer = ledger_consumer(self._settings, passed=ledger.faults.skipped)
        self._membership = Membership(self._consumer, errors=(Exception,))
        self._producer = ledger_producer(self._settings)

    def run(self, stop: threading.Event) -> None:
        """Join the group and chain facts until stopped."""
        self._producer.init_transactions(BROKER_SECONDS)
        self._check_partitions()
        self._membership.join(self._facts, assigned=self._on_assign, revoked=self._on_revoke)
        while not stop.is_set():
            most = min(BATCH, self._ledger.quarantine.limit or BATCH)
            self._take(self._membership.consume(most, _POLL_SECONDS))
            self._ledger.health.beat("ledger")

    def close(self) -> None:
        """Leave the group. Facts that were not committed are read again."""
        self._membership.leave()
        self._producer.purge()

    def _check_partitions(self) -> None:
        """Refuse topics between which a model could change its partition, and so its chain."""
        found = self._consumer.list_topics(timeout=BROKER_SECONDS).topics
        audit = self._settings.topics.audit
        counts = [len(found[t].partitions) if t in found else 0 for t in (self._facts, audit)]
        if 0 in counts or counts[0] != counts[1]:
            raise SessionError(
                f"topic {self._facts} has {counts[0]} partitions and {audit} has {counts[1]}; "
                "expected the same number, and not 0: see tidegauge topics create"
            )

    def _take(self, messages: list[Message]) -> None:
        facts: list[tuple[int, Message]] = []
        for message in messages:
            error = message.error()
            if error is not None:
                _check(error)
            # Records of a partition that was just revoked belong to its new owner.
            elif (partition := message.partition()) in self._chains:
                assert partition is not None  # noqa: S101 - a record has one
                facts.append((partition, message))
        if not facts:
            return
        self._ledger.progress.lag(len(facts), f"{len(facts)} facts are waiting")
        entries, offsets = [], {}
        for partition, message in facts:
            offset = message.offset()
            assert offset is not None  # noqa: S101 - a record has one
            entry = self._entry(partition, offset, message)
            if entry is None:
                self._metrics.duplicates.inc()
            else:
                entries.append((partition, entry))
            offsets[partition] = offset + 1
        try:
            commit(
                self._producer,
                topic=self._settings.topics.audit,
                records=((partition, entry.model, entry.value) for partition, entry in entries),
                offsets=[TopicPartition(self._facts, p, offset) for p, offset in offsets.items()],
                group=self._consumer.consumer_group_metadata(),
            )
        except RebalancingError as error:
            raise SessionError(f"not committed: {error}") from error
        except (KafkaException, TimeoutError, BufferError) as error:
            self._note_failure(error, facts)
            raise SessionError(f"not committed: {error}") from error
        self._ledger.quarantine.passed(len(facts))
        self._ledger.progress.moved()
        self._ledger.progress.lag(0)
        self._observe([entry for _, entry in entries])

    def _entry(self, partition: int, offset: int, message: Message) -> Entry | None:
        """Chain the fact of a message; None if it is in the chain already."""
        origin = Origin(self._facts, partition, offset, message.timestamp()[1] // 1000)
        key, value = _raw(message.key()), _raw(message.value())
        why = self._ledger.unwritable.get((partition, offset))
        if why is not None:
            return self._chains[partition].refuse(key, value, origin, why)
        return self._chains[partition].take(key, value, origin)

    def _note_failure(self, error: Exception, facts: list[tuple[int, Message]]) -> None:
        """Find the fact that can't be written, if it is one and not the brokers."""
        if not is_of_a_record(error):
            return
        begin: dict[int, int] = {}
        for partition, message in facts:
            begin.setdefault(partition, message.offset() or 0)
        if self._ledger.quarantine.failed(begin, len(facts)):
            [(partition, offset)] = begin.items()
            self._ledger.unwritable[partition, offset] = (
                f"it can't be written to the trail: {error}"
            )
            self._ledger.faults.quarantined(f"{self._facts}/{partition} at offset {offset}", error)

    def _observe(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._metrics.records.inc()
            if entry.refused:
                self._metrics.refused.inc()
                log.error("not a fact, chained as fact.refused: %s", entry.value.decode())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The offsets first: the brokers answer only once no transaction over them is open.
        committed = consumer.committed(partitions, timeout=BROKER_SECONDS)
        begin = []
        for at in committed:
            if at.error is not None:
                raise KafkaException(at.error)
            self._restore(at.partition)
            low, _ = consumer.get_watermark_offsets(at, timeout=BROKER_SECONDS)
            if 0 <= at.offset < low:
                log.error(
                    "%s/%d: facts %d to %d were deleted by retention before they were chained",
                    at.topic, at.partition, at.offset, low, extra=ONE_BY_ONE,
                )  # fmt: skip
                self._metrics.lost.inc(low - at.offset)
            begin.append(TopicPartition(at.topic, at.partition, max(at.offset, low)))
        consumer.incremental_assign(begin)
        self._report_owned()

    def _restore(self, partition: int) -> None:
        began, index, n = time.monotonic(), ChainIndex(), 0
        for stored in read_audit(self._settings, partition):
            index.restore(stored.offset, stored.value)
            n += 1
            if n % 10_000 == 0:
                self._ledger.health.beat("ledger")
        breaks = index.restored()
        for model, one in breaks:
            log.error(
                "the chain of %s breaks in partition %d at offset %d, %s: %s",
                model or "an unknown model", partition, one.offset, one.kind, one.detail,
            )  # fmt: skip
        self._breaks[partition] = len(breaks)
        self._chains[partition] = index
        log.info("partition %d: %d records in %.1f s", partition, n, time.monotonic() - began)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for at in partitions:
            self._chains.pop(at.partition, None)
            self._breaks.pop(at.partition, None)
        consumer.incremental_unassign(partitions)
        self._report_owned()

    def _report_owned(self) -> None:
        owned, breaks = sorted(self._chains), sum(self._breaks.values())
        self._metrics.breaks.set(breaks)
        detail = f"owns partitions {owned}"
        if breaks:
            detail += f"; the audit trail breaks in {breaks} places: see tidegauge audit verify"
        log.info("%s of %s", detail, self._facts)
        self._ledger.health.report("ledger", "degraded" if breaks else "ok", detail)


def _raw(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _check(error: KafkaError) -> None:
    """Raise for an error that stays; log one that passes."""
    if error.fatal():
        raise SessionError(str(error))
    log.warning("consumer: %s", error)
