"""Reads the records of partitions between two offsets, without joining a group.

DETECT reads its changelog so, and the input that Faust has left out. Each reading has a consumer of
its own, which blocks in a thread, so heartbeats and other partitions go on. ``Offsets`` answers
what else DETECT needs to know of topics.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tidegauge.config import KafkaSettings
from tidegauge.contract import CountedRange, DataRange
from tidegauge.kafka.admin import Admin
from tidegauge.kafka.clients import reader
from tidegauge.kafka.reader import batches

T = TypeVar("T")

#: Brokers that give nothing for so long, though there is more to read, don't answer.
_TIMEOUT_SECONDS = 10.0


class LogShorterError(Exception):
    """A partition ends before what was read of it: the topic was deleted and created again."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} ends before what was read of it")
        self.partition = partition


class ReadRecords(NamedTuple):
    """Records in the order of each partition, and the partitions that are read to their end."""

    records: list[Message]
    at_end: set[int]


class PartitionReader:
    """Reads partitions of one topic. One reading may be cancelled while the next one begins.

    ``group`` is the name of a consumer group that it never joins.
    """

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        self.topic = topic
        self._kafka = kafka
        self._group = group

    async def read(
        self, begins: Mapping[int, int], ends: Mapping[int, int] | None = None
    ) -> AsyncGenerator[ReadRecords, None]:
        """Yield the records of partitions from an offset each to the end; may yield nothing new.

        Records that retention or compaction has deleted are passed over. Records after the end may
        come with the last ones before it. Without ``ends``, the end is the one that a partition has
        when the reading begins. Raises ``KafkaException`` if the brokers don't answer or the topic
        is gone, and :class:`LogShorterError` if a partition ends before what was read of it.
        """
        async with aclosing(_in_a_thread(self._read(begins, ends))) as batches:
            async for batch in batches:
                yield batch

    def _read(
        self, begins: Mapping[int, int], ends: Mapping[int, int] | None
    ) -> Generator[ReadRecords, None, None]:
        consumer = reader(
            self._kafka,
            self._group,
            fetch_wait_max_ms=50,
            queued_max_messages_kbytes=32 * 1024,
        )
        try:
            left = dict(ends or {})
            if ends is None:
                for partition, begin in begins.items():
                    # The end is without what is in open transactions.
                    low, high = consumer.get_watermark_offsets(
                        TopicPartition(self.topic, partition), timeout=_TIMEOUT_SECONDS
                    )
                    if begin > high:
                        raise LogShorterError(partition)
                    if max(begin, low) < high:
                        left[partition] = high
                    yield ReadRecords([], set())
                yield ReadRecords([], begins.keys() - left.keys())
            if left:
                consumer.assign([TopicPartition(self.topic, p, begins[p]) for p in left])
                yield from self._read_assigned(consumer, left)
        finally:
            consumer.close()

    def _read_assigned(self, consumer: Consumer, ends: dict[int, int]) -> Iterator[ReadRecords]:
        for messages in batches(consumer, _TIMEOUT_SECONDS):
            reached = {}
            for message in messages:
                # At the end of a partition it is the next offset, after those without a record
                # (compacted ones, and markers).
                is_record = message.error() is None
                reached[message.partition()] = message.offset() + is_record
            at_end = {p for p, offset in reached.items() if p in ends and offset >= ends[p]}
            for partition in at_end:
                del ends[partition]
            consumer.pause([TopicPartition(self.topic, p) for p in at_end])
            yield ReadRecords([m for m in messages if m.error() is None], at_end)
            if not ends:
                return


async def _in_a_thread(batches: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Run a blocking generator in a thread; leaves no thread behind when it is closed."""
    reading = None
    try:
        while True:
            reading = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
            batch = await asyncio.shield(reading)
            if batch is None:
                break
            yield batch
    finally:
        if reading is not None:
            # A cancelled reader leaves the thread reading, and what runs can't be closed.
            await asyncio.wait([reading])
        await asyncio.to_thread(batches.close)


#: Brokers that have no such topic, or no ids of topics.
_NO_ID = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)

#: A broker that restarts is back within seconds.
_RETRYING = Retrying(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(60),
    wait=wait_fixed(1),
    reraise=True,
)


class Offsets:
    """Asks the brokers for offsets. Blocks; thread-safe."""

    def __init__(self, kafka: KafkaSettings, group_id: str) -> None:
        self._consumer = reader(kafka, f"{group_id}-offsets")
        self._admin = Admin(kafka)
        self._lock = threading.Lock()

    def data(self, topic: str, counted: Mapping[int, int], *, since: int, until: int) -> DataRange:
        """Return the data of a topic from ``since`` on, up to the offsets ``counted`` by ``until``.

        Raises ``KafkaException`` if the brokers don't answer for a minute.
        """
        with self._lock:
            cluster = _RETRYING(self._consumer.list_topics, topic, timeout=_TIMEOUT_SECONDS)
            # A topic that was deleted, or made again with fewer partitions, has none of that data.
            there = sorted(counted.keys() & cluster.topics[topic].partitions.keys())
            times = [TopicPartition(topic, p, since * 1000) for p in there]
            ask = self._consumer.offsets_for_times
            starts = _RETRYING(ask, times, timeout=_TIMEOUT_SECONDS) if times else []
        # Below zero: no record is as young as that, so there is nothing to train on.
        found = {at.partition: at.offset for at in starts if at.offset >= 0}
        offsets = [
            CountedRange(topic=topic, partition=p, start=min(found.get(p, to), to), to=to)
            for p, to in sorted(counted.items())
        ]
        return DataRange(since=since, until=until, offsets=offsets)

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return up to where each partition can be read, without records still in a transaction.

        Raises ``KafkaException`` if the brokers don't answer.
        """
        return {p: self._range(topic, p)[1] for p in partitions}

    def begin(self, topic: str, partition: int) -> int:
        """Return the first offset that retention has left; raises as :meth:`ends` does."""
        return self._range(topic, partition)[0]

    def _range(self, topic: str, partition: int) -> tuple[int, int]:
        at = TopicPartition(topic, partition)
        with self._lock:
            found: tuple[int, int] = self._consumer.get_watermark_offsets(
                at, timeout=_TIMEOUT_SECONDS
            )
        return found

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has, 0 if there is none; raises as :meth:`ends`."""
        with self._lock:
            found = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
        return len(found.partitions)

    def topic_id(self, topic: str) -> str:
        """Return Kafka's id of a topic, "" if there is none; raises as :meth:`ends` does."""
        with self._lock:
            cluster = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS)
        # The mock cluster of librdkafka has no controller, and no ids of topics.
        if cluster.controller_id not in cluster.brokers:
            return ""
        try:
            return self._admin.describe(topic, _TIMEOUT_SECONDS)[0]
        except KafkaException as error:
            if error.args[0].code() in _NO_ID:
                return ""
            raise

    def close(self) -> None:
        """Release the client."""
        self._consumer.close()
