"""Reading whole topics, as a consumer sees them that trusts committed records only."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from support.kafka_broker import KafkaBroker, unique
from support.processes import wait_until

_SECONDS = 60

#: What a client is told while a broker comes back; all of it passes.
_PASSING = {
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


@dataclass
class TopicReader:
    """Reads a topic from its beginning, on and on, whenever it is asked for more."""

    broker: KafkaBroker
    topic: str
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reached: dict[int, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap_servers,
                "group.id": unique("reader"),
                "log_level": 2,  # a broker that goes away is part of some tests
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.max.bytes": 64 * 1024 * 1024,
                "fetch.message.max.bytes": 16 * 1024 * 1024,
                "fetch.queue.backoff.ms": 5,
            }
        )
        partitions = self._consumer.list_topics(self.topic, timeout=10).topics[self.topic]
        assert partitions.error is None, f"{self.topic}: {partitions.error}"
        self._partitions = sorted(partitions.partitions)
        self._consumer.assign([TopicPartition(self.topic, p, 0) for p in self._partitions])

    def more(self) -> Iterator[Message]:
        """Yield what was committed after the last call and before this one, and maybe more."""
        deadline = time.monotonic() + _SECONDS
        wanted = {partition: self._end(partition) for partition in self._partitions}
        while any(self._reached.get(partition, 0) < end for partition, end in wanted.items()):
            late = time.monotonic() > deadline
            assert not late, f"{self.topic}: read to {self._reached}, wanted {wanted}"
            for message in self._consumer.consume(2_000, 0.1):
                error = message.error()
                if error is None:
                    self._reached[message.partition()] = message.offset() + 1
                    self.messages.append(message)
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    # Behind the marker of a transaction, which no message stands for.
                    self._reached[message.partition()] = message.offset()
                elif error.code() not in _PASSING:
                    raise AssertionError(f"{self.topic}: {error}")

    def _end(self, partition: int) -> int:
        """Return the last stable offset; waits for a broker that has just been restarted."""
        at = TopicPartition(self.topic, partition)

        def asked() -> tuple[int, int] | None:
            try:
                found: tuple[int, int] = self._consumer.get_watermark_offsets(at, timeout=10)
            except KafkaException as refused:
                if refused.args[0].code() in _PASSING:
                    return None
                raise
            return found

        return wait_until(asked, seconds=_SECONDS, what=f"the end of {self.topic}/{partition}")[1]

    def close(self) -> None:
        self._consumer.close()
