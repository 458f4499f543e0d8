"""Following the alerts as they come."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaException,
    TopicPartition,
)

from tidegauge.config import Settings
from tidegauge.contract import Alert, DecodingError, decode, unwrap
from tidegauge.kafka import Skipped, SteadyConsumer

log = logging.getLogger(__name__)

_SECONDS = 30.0
_POLL_SECONDS = 0.5


def follow(
    settings: Settings, topic: str, since: float | None, skipped: Skipped
) -> Iterator[tuple[bytes, Alert]]:
    """Yield each alert once, with its record, however often it was sent; never ends by itself.

    From what was written at ``since`` on, epoch seconds: None is from now on, and what is before
    all of it from the beginning. ``skipped`` is called with what is no alert. Raises ``ValueError``
    for a topic that isn't there, ``KafkaException`` if no answer comes.
    """
    consumer = SteadyConsumer(
        {
            **settings.kafka.librdkafka(),
            # No group is joined and nothing committed; librdkafka wants a name all the same.
            "group.id": f"tidegauge-tail-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 50,
        },
        passed=skipped,
        logger=log,
    )
    seen: set[str] = set()
    try:
        found = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
        if found.error is not None or not found.partitions:
            raise ValueError(f"there is no topic {topic}; make it with: tidegauge topics create")
        consumer.assign(_starts(consumer, topic, sorted(found.partitions), since))
        while True:
            message = consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            try:
                raw = unwrap(message.value())
                alert = decode(raw, Alert)
            except DecodingError as problem:
                place = f"{message.topic()}/{message.partition()} at offset {message.offset()}"
                skipped(place, f"no alert: {problem}")
                continue
            if alert.id not in seen:
                seen.add(alert.id)
                yield raw, alert
    finally:
        consumer.close()


def _starts(
    consumer: Consumer, topic: str, partitions: list[int], since: float | None
) -> list[TopicPartition]:
    if since is None:
        return [TopicPartition(topic, p, OFFSET_END) for p in partitions]
    if since <= 0:
        return [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions]
    wanted = [TopicPartition(topic, p, int(since * 1000)) for p in partitions]
    # Where no record is as young as that, it is the end.
    found: Any = consumer.offsets_for_times(wanted, timeout=_SECONDS)
    return list(found)
