"""How late events come: the youngest of the source topic, held against the windows' settings."""

import logging
import time
import uuid
from typing import NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, Message, TopicPartition

from tidegauge.config import Settings
from tidegauge.counting import RefusedError, decode_event

log = logging.getLogger(__name__)

#: Records looked at of each partition.
_RECORDS = 20

_SECONDS = 10.0


class EventTimes(NamedTuple):
    """Of ``events`` looked at, ``late`` come later than their windows take them."""

    events: int
    late: int
    most_seconds: float


def latest_event_times(settings: Settings) -> EventTimes:
    """Look at the youngest events; raises ``KafkaException`` if the brokers don't answer.

    An event is as late as it was written after it happened. Batches of columns are passed over.
    """
    consumer = Consumer(
        {
            **settings.kafka.librdkafka(),
            # No group is joined and nothing committed; librdkafka wants a name all the same.
            "group.id": f"tidegauge-check-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        },
        logger=log,
    )
    found: list[tuple[float, bool]] = []
    try:
        topic = settings.topics.predictions
        there = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        begin = []
        for partition in there:
            at = TopicPartition(topic, partition)
            low, high = consumer.get_watermark_offsets(at, timeout=_SECONDS)
            if low < high:
                begin.append(TopicPartition(topic, partition, max(high - _RECORDS, low)))
        consumer.assign(begin)
        unread = {at.partition for at in begin}
        deadline = time.monotonic() + _SECONDS
        while unread and time.monotonic() < deadline:
            for message in consumer.consume(_RECORDS, 0.2):
                if message.error() is not None:
                    unread.discard(message.partition())
                elif (one := _lateness(message, settings)) is not None:
                    found.append(one)
    finally:
        consumer.close()
    return EventTimes(
        events=len(found),
        late=sum(late for _, late in found),
        most_seconds=max((seconds for seconds, _ in found), default=0.0),
    )


def _lateness(message: Message, settings: Settings) -> tuple[float, bool] | None:
    """Return how long after its event a record was written, and whether that is too long."""
    kind, written_ms = message.timestamp()
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        event = decode_event(message.value() or b"")
    except RefusedError:  # what ingest makes a dead letter of
        return None
    seconds = written_ms / 1000 - event.epoch
    window = settings.window_of(event.model)
    return seconds, seconds > window.seconds + window.grace_seconds + window.late_seconds
