"""The changelog, read to its end by a consumer that never joins the group.

Each reading has a consumer of its own, which reads each partition up to where it ended when the
reading began. It blocks in a thread, so heartbeats and other partitions go on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tidegauge.config import KafkaSettings
from tidegauge.kafka.steady_consumer import SteadyConsumer

log = logging.getLogger(__name__)

#: Records read at once: few enough that they are joined within a heartbeat.
_BATCH = 500

#: Brokers that give nothing for so long, though there is more to read, don't answer.
_TIMEOUT_SECONDS = 10.0

#: Whoever cancels a reading waits for so long at most.
_POLL_SECONDS = 0.2


class Extent(NamedTuple):
    """Which offsets a partition has: from ``begin`` to before ``end``."""

    begin: int
    end: int


class ReadRecords(NamedTuple):
    """Records in the order of each partition, and the partitions that are read to their end."""

    records: list[Message]
    at_end: set[int]


class ChangelogReader:
    """Reads partitions of one topic. One reading may be cancelled while the next one begins."""

    def __init__(self, kafka: KafkaSettings, group_id: str, topic: str) -> None:
        self.topic = topic
        self._config = {
            **kafka.librdkafka(),
            # The group is never joined; librdkafka wants a name all the same.
            "group.id": f"{group_id}-readback",
            "enable.auto.commit": False,
            # What was compacted away meanwhile has a younger value further on.
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            # The default of a second would cut the throughput to a third.
            "fetch.queue.backoff.ms": 5,
            "queued.max.messages.kbytes": 32 * 1024,
        }

    async def read(self, begins: Mapping[int, int]) -> AsyncGenerator[ReadRecords, None]:
        """Yield the records of partitions from an offset each to the end; may yield nothing new.

        Raises ``confluent_kafka.KafkaException`` if the brokers don't answer or the topic is gone,
        and ``LogShorterError`` if a partition has fewer records than were read before.
        """
        batches = self._read(begins)
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

    def _read(self, begins: Mapping[int, int]) -> Generator[ReadRecords, None, None]:
        consumer = SteadyConsumer(self._config, logger=log)
        try:
            ends = {}
            for partition, begin in begins.items():
                extent = self._extent(consumer, partition)
                if begin > extent.end:
                    raise LogShorterError(partition)
                if max(begin, extent.begin) < extent.end:
                    ends[partition] = extent.end
                yield ReadRecords([], set())
            yield ReadRecords([], begins.keys() - ends.keys())
            if not ends:
                return
            consumer.assign([TopicPartition(self.topic, p, begins[p]) for p in ends])
            yield from self._read_assigned(consumer, ends)
        finally:
            consumer.close()

    def _extent(self, consumer: Consumer, partition: int) -> Extent:
        """Ask for first offset and end, without what is still in a transaction of somebody's."""
        at = TopicPartition(self.topic, partition)
        return Extent(*consumer.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS))

    def _read_assigned(
        self, consumer: Consumer, ends: dict[int, int]
    ) -> Generator[ReadRecords, None, None]:
        waited = 0.0
        while ends:
            first = consumer.poll(_POLL_SECONDS)
            if first is None:
                waited += _POLL_SECONDS
                if waited >= _TIMEOUT_SECONDS:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                yield ReadRecords([], set())
                continue
            # With a timeout it would wait for all of them, or for the whole of that time.
            records, reached = [], dict[int, int]()
            for message in (first, *consumer.consume(_BATCH - 1, 0.0)):
                error = message.error()
                if error is None:
                    records.append(message)
                    reached[message.partition()] = message.offset() + 1
                    waited = 0.0
                elif error.code() == KafkaError._PARTITION_EOF:
                    # It says what comes next, behind what has no record: compacted, or a marker.
                    reached[message.partition()] = message.offset()
                else:
                    raise KafkaException(error)
            at_end = {p for p, offset in reached.items() if p in ends and offset >= ends[p]}
            for partition in at_end:
                del ends[partition]
            consumer.pause([TopicPartition(self.topic, p) for p in at_end])
            yield ReadRecords(records, at_end)


class LogShorterError(Exception):
    """A partition ends before what was read of it: the topic was deleted and made anew."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} ends before what was read of it")
        self.partition = partition
