"""Reading what Kafka kept of a topic, without a consumer group to join."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tidegauge.config import KafkaSettings
from tidegauge.contract import CountedRange, DecodingError, decode, unwrap
from tidegauge.kafka.clients import reader
from tidegauge.kafka.unreadable import Skipped

#: How far clocks may be apart: an event's may be ahead of a broker's by five minutes.
_MARGIN_SECONDS = 900.0

#: How long after its end a window may be reported: as long as histograms wait for DETECT.
_LATEST_SECONDS = 4 * 24 * 3600.0

#: How long nothing may come. A transaction that a worker died in ends by itself after 10 s.
_TIMEOUT_SECONDS = 30.0

#: Records read at once: few enough that DETECT joins them within a heartbeat, and that others get
#: their turn in between.
_BATCH = 500

#: How long a reading that is cancelled goes on at most.
_POLL_SECONDS = 0.2

T = TypeVar("T")

Keep = Callable[[bytes | None], bool]


def refuse(place: str, why: str) -> None:
    """Raise ``ValueError`` that names the place of a record that can't be read."""
    raise ValueError(f"{place} is {why}")


def place_of(message: Message) -> str:
    """Return the place of a record, as it is named to people."""
    return f"{message.topic()}/{message.partition()} at offset {message.offset()}"


def written_at(message: Message) -> float | None:
    """Return when a record was written, epoch seconds; None if it is not known."""
    kind, written_ms = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else float(written_ms) / 1000


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

    It ends at the end that the topic has when it begins. Records are found by the time at which
    they were written: some before and after the span come too. ``keep`` decides by its key whether
    a record is wanted. Tombstones are passed over without ``tombstones``. ``skipped`` is called
    with what has an envelope that can't be read; by default it raises ``ValueError``. Raises
    ``ValueError`` if there is no such topic, ``KafkaException`` if no answer comes.
    """
    with closing(reader(kafka, passed=skipped)) as consumer:
        spans = _spans(consumer, topic, since - _MARGIN_SECONDS, until + _LATEST_SECONDS)
        for message in messages_in(consumer, topic, spans):
            if (tombstones or message.value() is not None) and keep(message.key()):
                yield from _record(message, skipped)


def read_newest(
    kafka: KafkaSettings,
    topic: str,
    since: float = math.inf,
    *,
    at_least: int,
    skipped: Skipped = refuse,
) -> Iterator[Message]:
    """Yield what was written ``since``, epoch seconds, by the times that its records have.

    Of each partition the last ``at_least`` offsets in any case, markers of transactions among them.
    It ends at the end that the topic has when it begins; raises as :func:`read_span` does.
    """
    with closing(reader(kafka, passed=skipped)) as consumer:
        spans = _spans(consumer, topic, since, math.inf)
        begins = {
            partition: (max(min(start, end - at_least), 0), end)
            for partition, (start, end) in spans.items()
        }
        yield from messages_in(consumer, topic, begins)


def read_range(
    kafka: KafkaSettings, wanted: CountedRange, *, skipped: Skipped = refuse
) -> Iterator[Message]:
    """Yield the records of a partition from offset ``wanted.start`` to before ``wanted.to``.

    ``skipped`` is called with the offsets that are not there any more; by default it raises
    ``ValueError``. Raises ``ValueError`` if there is no such topic or partition, ``KafkaException``
    if no answer comes.
    """
    at = TopicPartition(wanted.topic, wanted.partition, wanted.start)
    with closing(reader(kafka, passed=skipped)) as consumer:
        if wanted.partition not in partitions_of(consumer, wanted.topic):
            raise ValueError(f"topic {wanted.topic} has no partition {wanted.partition}")
        low, high = consumer.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS)
        first, end = max(wanted.start, low), min(wanted.to, high)
        if (first, end) != (wanted.start, wanted.to):
            skipped(
                f"{wanted.topic}/{wanted.partition} at offset {wanted.start}",
                f"the first of {wanted.to - wanted.start} of which some are gone: Kafka has those "
                f"from {low} to {high - 1}",
            )
        yield from messages_in(consumer, wanted.topic, {wanted.partition: (first, end)})


def read_topic(
    kafka: KafkaSettings,
    topic: str,
    kind: type[T],
    skipped: Skipped = refuse,
    since: float = -math.inf,
    *,
    keep: Keep = lambda key: True,
) -> Iterator[T]:
    """Yield every record of ``topic`` up to its present end, each partition in order.

    Those that may be about ``since``, epoch seconds, and later. ``keep`` decides by its key whether
    a record is wanted.

    ``skipped`` is called with what is no such record; by default it raises ``ValueError``. Raises
    ``ValueError`` if there is no such topic, ``KafkaException`` if no answer comes.
    """
    for record in read_span(kafka, topic, since, keep=keep, skipped=skipped):
        yield from _decoded(record, kind, skipped)


def read_partitions(
    kafka: KafkaSettings, topic: str, partition: int | None, *, group: str
) -> Iterator[Message]:
    """Yield the records of a partition, or of all; waits for transactions open at its end.

    A reader that has come to the end has seen how they ended. Raises ``ValueError`` if there is no
    such topic, ``KafkaException`` if nothing comes.
    """
    # Which end a client gets depends on its isolation level.
    with closing(reader(kafka, group, isolation_level="read_uncommitted")) as consumer:
        wanted = partitions_of(consumer, topic) if partition is None else [partition]
        spans = _ends(consumer, topic, wanted)
    with closing(reader(kafka, group)) as consumer:
        yield from messages_in(consumer, topic, spans, wait=True)


def follow(
    kafka: KafkaSettings, topic: str, kind: type[T], since: float | None, skipped: Skipped
) -> Iterator[tuple[bytes, T] | None]:
    """Yield each record as it comes, and None after those that have come; never ends by itself.

    A record as it was written, and decoded. From what was written at ``since`` on, epoch seconds:
    None is from now on, and 0 from the beginning. Raises as :func:`read_topic` does.
    """
    with closing(reader(kafka, passed=skipped)) as consumer:
        found = sorted(partitions_of(consumer, topic))
        if since is None or since <= 0:
            offset = OFFSET_END if since is None else OFFSET_BEGINNING
            starts = [TopicPartition(topic, p, offset) for p in found]
        else:
            wanted = [TopicPartition(topic, p, int(since * 1000)) for p in found]
            # Where no record is as young as that, it is the end.
            starts = list(consumer.offsets_for_times(wanted, timeout=_TIMEOUT_SECONDS))
        consumer.assign(starts)
        for messages in batches(consumer, math.inf):
            for message in messages:
                if message.error() is None:
                    for record in _record(message, skipped):
                        yield from ((record.value, one) for one in _decoded(record, kind, skipped))
            yield None


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """Return the partitions of a topic.

    Raises ``ValueError`` if it isn't there, and ``KafkaException`` without permission to see it.
    """
    found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None and found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise KafkaException(found.error)
    if found.error is not None or not found.partitions:
        raise ValueError(f"there is no topic {topic}; make it with: tidegauge topics create")
    return list(found.partitions)


def is_at_end(message: Message) -> bool:
    """Whether a partition was read to its end; raises ``KafkaException`` for any other error."""
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return error is not None


def _spans(
    consumer: Consumer, topic: str, since: float, until: float
) -> dict[int, tuple[int, int]]:
    """Return by partition the offsets [from, to) of what was written between two moments."""
    found = partitions_of(consumer, topic)
    marks = _ends(consumer, topic, found)
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


def _ends(consumer: Consumer, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return by partition its first offset and its end."""
    return {
        p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_TIMEOUT_SECONDS)
        for p in partitions
    }


def _record(message: Message, skipped: Skipped) -> Iterator[KafkaRecord]:
    """Yield the record, or none if its envelope can't be read."""
    place = place_of(message)
    try:
        record = KafkaRecord(place, unwrap(message.value()), message.key())
    except DecodingError as error:
        skipped(place, f"no CloudEvent: {error}")
    else:
        yield record


def _decoded(record: KafkaRecord, kind: type[T], skipped: Skipped) -> Iterator[T]:
    try:
        found = decode(record.value, kind)
    except DecodingError as error:
        skipped(record.place, f"no {kind.__name__}: {error}")
    else:
        yield found


def messages_in(
    consumer: Consumer,
    topic: str,
    spans: Mapping[int, tuple[int, int]],
    *,
    wait: bool = False,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> Iterator[Message]:
    """Yield the records of offsets [from, to) by partition.

    With ``wait``, up to the end whatever open transactions hold back until they end. Raises
    ``KafkaException`` if nothing comes for ``timeout_seconds``.
    """
    # One after the other, so that memory is bounded by the windows of one partition.
    for partition, (start, end) in sorted(spans.items()):
        if start < end:
            consumer.assign([TopicPartition(topic, partition, start)])
            yield from _partition(consumer, f"{topic}[{partition}]", end, wait, timeout_seconds)


def _partition(
    consumer: Consumer, name: str, end: int, wait: bool, seconds: float
) -> Iterator[Message]:
    for messages in batches(consumer, seconds, f"{name} can't be read to {end}"):
        for message in messages:
            # The last offsets may be markers of transactions instead of records.
            if (is_at_end(message) and not wait) or message.offset() >= end:
                return
            if message.error() is None:
                yield message
                if message.offset() == end - 1:
                    return


def batches(
    consumer: Consumer, timeout_seconds: float, failure: str = "the topic can't be read"
) -> Iterator[list[Message]]:
    """Yield records and ends of partitions as they come, none if it is quiet for a moment.

    Raises ``KafkaException`` for any other error, and if nothing comes for ``timeout_seconds``,
    with ``failure`` as its text.
    """
    waited = 0.0
    while True:
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            waited += _POLL_SECONDS
            if waited >= timeout_seconds:
                detail = f"{failure}: nothing came for {timeout_seconds:g} s"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, detail))
            yield []
            continue
        waited = 0.0
        # With a timeout it would wait for all of them, or for the whole of that time.
        messages = [first, *consumer.consume(_BATCH - 1, 0.0)]
        for message in messages:
            is_at_end(message)  # or it raises
        yield messages
