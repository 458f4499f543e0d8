"""Reading the audit topic, from its beginning to where it ends now."""

import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tidegauge.audit.clients import reader_config
from tidegauge.config import Settings
from tidegauge.kafka import SteadyConsumer

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0

#: How long nothing may come. A transaction that somebody died in ends by itself after 10 s.
_QUIET_SECONDS = 30.0

_BATCH = 1_000


class StoredRecord(NamedTuple):
    """A record where it stands in the topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


def read_audit(settings: Settings) -> Iterator[StoredRecord]:
    """Yield every record, partition by partition, each in the order of the log.

    Raises ``ValueError`` if there is no such topic, ``KafkaException`` if no answer comes.
    """
    topic = settings.topics.audit
    consumer = Consumer(reader_config(settings), logger=log)
    try:
        found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
        if found.error is not None or not found.partitions:
            raise ValueError(f"there is no topic {topic}; make it with: tidegauge topics create")
    finally:
        consumer.close()
    for partition in sorted(found.partitions):
        yield from read_partition(settings, partition)


def read_partition(settings: Settings, partition: int) -> Iterator[StoredRecord]:
    """Yield the records of one partition; waits for transactions that are open at its end."""
    at = TopicPartition(settings.topics.audit, partition, 0)
    end = _end(settings, at)
    consumer = SteadyConsumer(reader_config(settings), logger=log)
    try:
        low, _ = consumer.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS)
        consumer.assign([TopicPartition(at.topic, partition, low)])
        reached, heard = low, time.monotonic()
        while reached < end:
            for message in consumer.consume(_BATCH, 0.2):
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                offset = message.offset()
                if error is not None:  # behind the marker of a transaction
                    reached = max(reached, offset)
                    continue
                reached, heard = offset + 1, time.monotonic()
                if offset < end:
                    yield StoredRecord(partition, offset, message.key(), message.value() or b"")
            if time.monotonic() - heard > _QUIET_SECONDS:
                detail = f"{at.topic}/{partition}: nothing came after {reached}, its end is {end}"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, detail))
    finally:
        consumer.close()


def _end(settings: Settings, at: TopicPartition) -> int:
    """Return where the partition ends, with what is in transactions that are still open.

    Whoever reads up to there has seen how they ended.
    """
    # The end that a client is told depends on its own isolation level.
    config = {**reader_config(settings), "isolation.level": "read_uncommitted"}
    consumer = Consumer(config, logger=log)
    try:
        found: tuple[int, int] = consumer.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS)
        return found[1]
    finally:
        consumer.close()
