"""What a partition has between two offsets, read by a consumer that never joins the group.

DETECT reads its changelog so, and the input that Faust has left out. Each reading has a consumer of
its own, which blocks in a thread, so heartbeats and other partitions go on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import aclosing
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tidegauge.config import KafkaSettings
from tidegauge.kafka.clients import reader

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Records read at once: few enough that they are joined within a heartbeat, and that others get
#: their turn in between.
_BATCH = 500

#: Brokers that give nothing for so long, though there is more to read, don't answer.
_TIMEOUT_SECONDS = 10.0

#: How long a reading that is cancelled goes on at most.
_POLL_SECONDS = 0.2


class LogShorterError(Exception):
    """A partition ends before what was read of it: the topic was deleted and made anew."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} ends before what was read of it")
        self.partition = partition


class ReadRecords(NamedTuple):
    """Records in the order of each partition, and the partitions that are read to their end."""

    records: list[Message]
    at_end: set[int]


class ChangelogReader:
    """Reads partitions of one topic. One reading may be cancelled while the next one begins."""

    def __init__(self, kafka: KafkaSettings, group_id: str, topic: str) -> None:
        self.topic = topic
        self._kafka = kafka
        self._group = f"{group_id}-readback"

    async def read(self, begins: Mapping[int, int]) -> AsyncGenerator[ReadRecords, None]:
        """Yield the records of partitions from an offset each to the end; may yield nothing new.

        The end is the one that a partition has when the reading begins. Raises ``KafkaException``
        if the brokers don't answer or the topic is gone, and :class:`LogShorterError` if a
        partition has fewer records than were read before.
        """
        async with aclosing(_in_a_thread(self._read(begins))) as batches:
            async for batch in batches:
                yield batch

    def _read(self, begins: Mapping[int, int]) -> Generator[ReadRecords, None, None]:
        consumer = reader(
            self._kafka,
            self._group,
            fetch_wait_max_ms=50,
            queued_max_messages_kbytes=32 * 1024,
        )
        try:
            ends = {}
            for partition, begin in begins.items():
                # The end is without what is in open transactions.
                low, high = consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=_TIMEOUT_SECONDS
                )
                if begin > high:
                    raise LogShorterError(partition)
                if max(begin, low) < high:
                    ends[partition] = high
                yield ReadRecords([], set())
            yield ReadRecords([], begins.keys() - ends.keys())
            if ends:
                consumer.assign([TopicPartition(self.topic, p, begins[p]) for p in ends])
                yield from self._read_assigned(consumer, ends)
        finally:
            consumer.close()

    def _read_assigned(self, consumer: Consumer, ends: dict[int, int]) -> Iterator[ReadRecords]:
        for messages in _batches(consumer):
            reached = {}
            for message in messages:
                # At the end of a partition it is the next offset, behind what has no record:
                # compacted, or a marker.
                is_record = message.error() is None
                reached[message.partition()] = message.offset() + is_record
            at_end = {p for p, offset in reached.items() if p in ends and offset >= ends[p]}
            for partition in at_end:
                del ends[partition]
            consumer.pause([TopicPartition(self.topic, p) for p in at_end])
            yield ReadRecords([m for m in messages if m.error() is None], at_end)
            if not ends:
                return


class InputSequence:
    """The input in the order of the log, with nothing left out.

    Faust drops what it had buffered at a rebalance, may hand out the rest of it, and a seek does
    not reach what it is handing out already. The offsets don't show it: they have holes where
    transactions ended. So before the first record of a partition after its recovery, or after a
    doubt, what lies between is read from the brokers themselves.
    """

    def __init__(self, kafka: KafkaSettings, group_id: str, topic: str) -> None:
        self._kafka = kafka
        self._group = f"{group_id}-sequence"
        self._topic = topic
        self._doubted: set[int] = set()

    def needs_gap_check(self, partition: int) -> None:
        """Don't take for granted that the next record delivered is the next one of the log."""
        self._doubted.add(partition)

    def doubts(self, partition: int) -> bool:
        """Return whether records may have been left out."""
        return partition in self._doubted

    def settled(self, partition: int) -> None:
        """Take note that all that was left out has been taken."""
        self._doubted.discard(partition)

    async def between(
        self, partition: int, begin: int, end: int
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield offset and value of the committed records from ``begin`` to before ``end``.

        What retention has deleted is passed over; gaps in what was counted will show it. Raises
        ``KafkaException`` if the brokers don't answer.
        """
        if begin >= end:
            return
        async with aclosing(_in_a_thread(self._read(partition, begin, end))) as batches:
            async for batch in batches:
                for one in batch:
                    yield one

    def _read(
        self, partition: int, begin: int, end: int
    ) -> Generator[list[tuple[int, bytes]], None, None]:
        log.info("partition %d: reading %d to %d, which may be left out", partition, begin, end)
        consumer = reader(self._kafka, self._group, fetch_wait_max_ms=50)
        try:
            consumer.assign([TopicPartition(self._topic, partition, begin)])
            for messages in _batches(consumer):
                yield [
                    (m.offset(), m.value() or b"")
                    for m in messages
                    if m.error() is None and m.offset() < end
                ]
                if any(message.offset() >= end for message in messages):
                    return
        finally:
            consumer.close()


async def _in_a_thread(batches: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yield what a generator yields that blocks; leaves no thread behind when it is closed."""
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


def _batches(consumer: Consumer) -> Iterator[list[Message]]:
    """Yield records and ends of partitions as they come, none if it is quiet for a moment."""
    waited = 0.0
    while True:
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            waited += _POLL_SECONDS
            if waited >= _TIMEOUT_SECONDS:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            yield []
            continue
        waited = 0.0
        # With a timeout it would wait for all of them, or for the whole of that time.
        messages = [first, *consumer.consume(_BATCH - 1, 0.0)]
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        yield messages
