"""Audit facts: making them of other records, reporting one, and reading the chained records.

A fact about one model is in its chain. One about several, such as a silence of ``credit-*``, is in
the chain of no model, and its input ``models`` is a glob that says which.
"""

import glob
from collections.abc import Iterator
from typing import NamedTuple

from tidegauge.config import Settings
from tidegauge.contract import (
    Acknowledgement,
    AuditFact,
    Configuration,
    Silence,
    counted,
    deterministic_id,
    encode,
    matchers_text,
)
from tidegauge.kafka import (
    PARTITIONER,
    RecordWriter,
    read_partitions,
)


def facts_of(record: Acknowledgement | Silence | Configuration) -> list[AuditFact]:
    """Return the facts of a record, the same each time it is handed on."""
    if isinstance(record, Acknowledgement):
        return [fact_of(record)]
    if isinstance(record, Silence):
        return _of_silence(record)
    return [_of_configuration(record)]


def fact_of(record: Acknowledgement) -> AuditFact:
    """Return the fact that an action was taken, or has failed."""
    result = {f"result {name}": value for name, value in record.result.items()}
    return AuditFact(
        id=deterministic_id("audit", record.id),
        time=int(record.time),
        actor=record.actor,
        event=f"action.{record.outcome}",
        subject=record.action,
        model=record.model,
        version=record.version,
        reason=record.note,
        inputs={"action": record.kind, "acknowledgement": record.id, **result},
    )


def _of_silence(record: Silence) -> list[AuditFact]:
    wanted = record.matchers
    model, version = _plain(wanted.model), _plain(wanted.version)
    inputs = {"silence": record.id, "covers": matchers_text(record)}
    if record.until is not None:
        inputs["until"] = str(int(record.until))
    if wanted.episode:
        inputs["episode"] = wanted.episode
    if record.alert:
        inputs["alert"] = record.alert
    if not model:
        inputs["models"] = wanted.model

    def fact(event: str, time: float, actor: str, reason: str) -> AuditFact:
        return AuditFact(
            id=deterministic_id("audit", event, record.id),
            time=int(time),
            actor=f"user:{actor}",
            event=event,
            subject=record.alert or record.id,
            model=model,
            version=version if model else "",
            reason=reason,
            inputs=inputs,
        )

    began = "alert.acknowledged" if record.reminders_only else "silence.created"
    facts = [fact(began, record.since, record.who, record.why)]
    # Of a silence that was ended, the compacted topic may have this record alone.
    if record.ended_at is not None:
        facts.append(
            fact("silence.ended", record.ended_at, record.ended_by, f"ended: {record.why}")
        )
    return facts


def _plain(pattern: str) -> str:
    """Return the one name that a glob fits, "" if there may be several."""
    return "" if glob.has_magic(pattern) else pattern


def _of_configuration(record: Configuration) -> AuditFact:
    differs = {"added": record.added, "removed": record.removed, "changed": record.changed}
    words = [f"{what}: {', '.join(names)}" for what, names in differs.items() if names]
    if not record.previous_sha256:
        words = [f"{counted(len(record.entries), record.kind.removesuffix('s'))}, the first known"]
    return AuditFact(
        id=deterministic_id("audit", record.id),
        time=int(record.time),
        actor=record.actor,
        event=f"{record.kind}.changed",
        subject=record.sha256,
        model="",
        version="",
        reason="; ".join(words) or "rewritten, without any other meaning",
        inputs={
            "models": "*",
            "source": record.source,
            "sha256": record.sha256,
            "previous_sha256": record.previous_sha256,
            **{what: ", ".join(names) for what, names in differs.items()},
        },
    )


class StoredRecord(NamedTuple):
    """A record where it stands in the topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


def report_fact(settings: Settings, fact: AuditFact) -> None:
    """Send a fact and wait until the brokers have it, but not for brokers that are away.

    Raises :class:`tidegauge.kafka.NotTaken`; what the fact is about has happened all the same.
    """
    topic, more = settings.topics.audit_facts, {"partitioner": PARTITIONER}
    writer = RecordWriter(settings.kafka, topic, "audit fact", at_once=True, more=more)
    writer.write(encode(fact), fact.model.encode())


def read_audit(settings: Settings, partition: int | None = None) -> Iterator[StoredRecord]:
    """Yield the records of one partition, or of all: partition by partition, each in its order.

    Waits for transactions that are open at the end of a partition. Raises ``ValueError`` if there
    is no such topic, ``KafkaException`` if no answer comes.
    """
    topic, group = settings.topics.audit, f"{settings.ledger.group_id}-reader"
    for message in read_partitions(settings.kafka, topic, partition, group=group):
        value = message.value() or b""
        yield StoredRecord(message.partition(), message.offset(), message.key(), value)
