"""Reading what Kafka kept of a topic, without a consumer group to join."""

import logging
import math
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tidegauge.config import KafkaSettings
from tidegauge.contract import CountedRange, DecodingError, decode, unwrap
from tidegauge.kafka.steady_consumer import SteadyConsumer

log = logging.getLogger(__name__)

#: How far clocks may be apart: an event's may be ahead of a broker's by five minutes.
_MARGIN_SECONDS = 900.0

#: How long after its end a window may be reported: as long as histograms wait for DETECT.
_LATEST_SECONDS = 4 * 24 * 3600.0

_TIMEOUT_SECONDS = 30.0
_BATCH = 500

T = TypeVar("T")

Keep = Callable[[bytes | None], bool]

#: Is called with the place of a record that can't be read, and with what it is not and why.
Skipped = Callable[[str, str], None]


def refuse(place: str, why: str) -> None:
    """Raise ``ValueError`` that names the place of a record that can't be read."""
    raise ValueError(f"{place} is {why}")


class KafkaRecord(NamedTuple):
    """A record of a topic out of its envelope, if it has one, and where it was.

    Of a tombstone the value is empty.
    """

    place: str
    value: bytes
    key: bytes | None = None


def read_span(
    kafka: KafkaSettings,
    topic: str,
    since: float = -math.inf,
    until: float = math.inf,
    *,
    keep: Keep = lambda key: True,
    tombstones: bool = False,
    skipped: Skipped = refuse,
) -> Iterator[KafkaRecord]:
    """Yield the records of a topic that may be about [``since``, ``until``], in order of the log.

    Up to what is there when it begins. Records are found by their time, which is that of their
    writing: some before and after the span come too. ``keep`` says by its key whether a record is
    wanted. Without ``tombstones`` those are passed over. ``skipped`` is called with what has an
    envelope that can't be read; by default it raises ``ValueError``. Raises ``ValueError`` if there
    is no such topic, ``KafkaException`` if no answer comes.
    """
    consumer = _consumer(kafka, skipped)
    try:
        spans = _spans(consumer, topic, since - _MARGIN_SECONDS, until + _LATEST_SECONDS)
        # One after the other: what is waiting in memory is bounded by one partition's windows.
        for partition, (start, end) in sorted(spans.items()):
            if start < end:
                consumer.assign([TopicPartition(topic, partition, start)])
                for message in _partition(consumer, end):
                    there = tombstones or message.value() is not None
                    if there and keep(message.key()):
                        yield from _record(message, skipped)
    finally:
        consumer.close()


def read_tail(
    kafka: KafkaSettings, topic: str, since: float, *, at_least: int, skipped: Skipped = refuse
) -> Iterator[KafkaRecord]:
    """Yield what was written ``since``, epoch seconds, by the times that its records have.

    Of each partition the last ``at_least`` offsets in any case, markers of transactions among them.
    Up to what is there when it begins; raises as :func:`read_span` does.
    """
    consumer = _consumer(kafka, skipped)
    try:
        spans = _spans(consumer, topic, since, math.inf)
        for partition, (start, end) in sorted(spans.items()):
            begin = max(min(start, end - at_least), 0)
            if begin < end:
                consumer.assign([TopicPartition(topic, partition, begin)])
                for message in _partition(consumer, end):
                    if message.value() is not None:
                        yield from _record(message, skipped)
    finally:
        consumer.close()


def read_range(
    kafka: KafkaSettings, wanted: CountedRange, *, skipped: Skipped = refuse
) -> Iterator[Message]:
    """Yield the records of a partition from offset ``wanted.start`` to before ``wanted.to``.

    ``skipped`` is called with the offsets that are not there any more; by default it raises
    ``ValueError``. Raises ``ValueError`` if there is no such topic or partition, ``KafkaException``
    if no answer comes.
    """
    at = TopicPartition(wanted.topic, wanted.partition, wanted.start)
    consumer = _consumer(kafka, skipped)
    try:
        if wanted.partition not in _partitions(consumer, wanted.topic):
            raise ValueError(f"topic {wanted.topic} has no partition {wanted.partition}")
        low, high = consumer.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS)
        first, end = max(wanted.start, low), min(wanted.to, high)
        if (first, end) != (wanted.start, wanted.to):
            skipped(
                f"{wanted.topic}/{wanted.partition} at offset {wanted.start}",
                f"the first of {wanted.to - wanted.start} of which some are gone: Kafka has those "
                f"from {low} to {high - 1}",
            )
        if first < end:
            consumer.assign([TopicPartition(wanted.topic, wanted.partition, first)])
            yield from _partition(consumer, end)
    finally:
        consumer.close()


def read_topic(
    kafka: KafkaSettings,
    topic: str,
    kind: type[T],
    skipped: Skipped = refuse,
    since: float = -math.inf,
) -> Iterator[T]:
    """Yield every record of ``topic`` up to its present end, each partition in order.

    Those that may be about ``since``, epoch seconds, and later.

    ``skipped`` is called with what is no such record; by default it raises ``ValueError``. Raises
    ``ValueError`` if there is no such topic, ``KafkaException`` if no answer comes.
    """
    for record in read_span(kafka, topic, since, skipped=skipped):
        try:
            found = decode(record.value, kind)
        except DecodingError as error:
            skipped(record.place, f"no {kind.__name__}: {error}")
        else:
            yield found


def _consumer(kafka: KafkaSettings, skipped: Skipped) -> Consumer:
    return SteadyConsumer(
        {
            **kafka.librdkafka(),
            # No group is joined and nothing committed; librdkafka wants a name all the same.
            "group.id": f"tidegauge-read-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # What retention deletes meanwhile is passed over.
            "auto.offset.reset": "earliest",
            # It waits a second before it fetches more, unless told otherwise.
            "fetch.queue.backoff.ms": 5,
        },
        passed=skipped,
        logger=log,
    )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None or not found.partitions:
        raise ValueError(f"there is no topic {topic}; make it with: tidegauge topics create")
    return list(found.partitions)


def _spans(
    consumer: Consumer, topic: str, since: float, until: float
) -> dict[int, tuple[int, int]]:
    """Return by partition the offsets [from, to) of what was written between two moments."""
    found = _partitions(consumer, topic)
    marks = {
        p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_TIMEOUT_SECONDS)
        for p in found
    }
    firsts, ends = ({p: mark[which] for p, mark in marks.items()} for which in (0, 1))

    def offsets(at: float) -> dict[int, int]:
        if math.isinf(at):  # not by time: librdkafka's mock cluster finds nothing by time
            return ends if at > 0 else firsts
        wanted = [TopicPartition(topic, p, int(max(at, 0) * 1000)) for p in found]
        answer = consumer.offsets_for_times(wanted, timeout=_TIMEOUT_SECONDS)
        # Below zero: no record is as young as that.
        return {it.partition: it.offset if it.offset >= 0 else ends[it.partition] for it in answer}

    starts, stops = offsets(since), offsets(until)
    return {p: (starts[p], min(stops[p], ends[p])) for p in found}


def _record(message: Message, skipped: Skipped) -> Iterator[KafkaRecord]:
    """Yield the record, or none if its envelope can't be read."""
    place = f"{message.topic()}/{message.partition()} at offset {message.offset()}"
    try:
        record = KafkaRecord(place, unwrap(message.value()), message.key())
    except DecodingError as error:
        skipped(place, f"no CloudEvent: {error}")
    else:
        yield record


def _partition(consumer: Consumer, end: int) -> Iterator[Message]:
    while True:
        messages = consumer.consume(_BATCH, 0.05)
        if not messages:
            one = consumer.poll(_TIMEOUT_SECONDS)
            if one is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            messages = [one]
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            # The last offsets may be no records but marks of transactions.
            if error is not None or message.offset() >= end:
                return
            yield message
            if message.offset() == end - 1:
                return
