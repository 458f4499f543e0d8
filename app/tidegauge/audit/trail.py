"""The audit trail in Kafka: reporting a fact from a command, and reading the chained records."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from tidegauge.config import Settings
from tidegauge.contract import AuditFact, encode
from tidegauge.kafka import (
    PARTITIONER,
    RecordWriter,
    partitions_of,
    read_partition,
    reader,
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


def read_audit(settings: Settings) -> Iterator[StoredRecord]:
    """Yield every record, partition by partition, each in the order of the log.

    Raises ``ValueError`` if there is no such topic, ``KafkaException`` if no answer comes.
    """
    with closing(reader(settings.kafka, _group(settings))) as consumer:
        partitions = partitions_of(consumer, settings.topics.audit)
    for partition in sorted(partitions):
        yield from read_chains(settings, partition)


def read_chains(settings: Settings, partition: int) -> Iterator[StoredRecord]:
    """Yield the records of one partition; waits for transactions that are open at its end."""
    topic, group = settings.topics.audit, _group(settings)
    for message in read_partition(settings.kafka, topic, partition, group=group):
        yield StoredRecord(partition, message.offset(), message.key(), message.value() or b"")


def _group(settings: Settings) -> str:
    return f"{settings.ledger.group_id}-reader"
