"""The input in the order of the log, with nothing left out.

Faust drops what it had buffered at a rebalance, may hand out the rest of it, and a seek does not
reach what it is handing out already. The offsets don't tell: they have holes where transactions
ended. So before the first record of a partition after its recovery, or after a doubt, what lies
between is read from the brokers themselves.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tidegauge.config import KafkaSettings
from tidegauge.kafka.steady_consumer import SteadyConsumer

log = logging.getLogger(__name__)

#: Records read at once: few enough that others get their turn in between.
_BATCH = 200

_TIMEOUT_SECONDS = 10.0


class InputSequence:
    """Knows of which partitions it is in doubt what comes next, and reads what was left out."""

    def __init__(self, kafka: KafkaSettings, group_id: str, topic: str) -> None:
        self._config = {
            **kafka.librdkafka(),
            # The group is never joined; librdkafka wants a name all the same.
            "group.id": f"{group_id}-sequence",
            "enable.auto.commit": False,
            # What retention has deleted is passed over; gaps in what was counted will tell.
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
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

        Raises ``confluent_kafka.KafkaException`` if the brokers don't answer.
        """
        if begin >= end:
            return
        batches = self._read(partition, begin, end)
        reading = None
        try:
            while True:
                reading = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
                batch = await asyncio.shield(reading)
                if batch is None:
                    break
                for one in batch:
                    yield one
        finally:
            if reading is not None:
                # Who is cancelled leaves the thread reading, and what runs can't be closed.
                await asyncio.wait([reading])
            await asyncio.to_thread(batches.close)

    def _read(
        self, partition: int, begin: int, end: int
    ) -> Generator[list[tuple[int, bytes]], None, None]:
        log.info("partition %d: reading %d to %d, which may be left out", partition, begin, end)
        consumer = SteadyConsumer(self._config, logger=log)
        try:
            consumer.assign([TopicPartition(self._topic, partition, begin)])
            while True:
                first = consumer.poll(_TIMEOUT_SECONDS)
                if first is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                # With a timeout it would wait for all of them, or for the whole of that time.
                messages = [first, *consumer.consume(_BATCH - 1, 0.0)]
                batch: list[tuple[int, bytes]] = []
                for message in messages:
                    error = message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    if message.offset() >= end:
                        yield batch
                        return
                    if error is None:
                        batch.append((message.offset(), message.value() or b""))
                if batch:
                    yield batch
        finally:
            consumer.close()
