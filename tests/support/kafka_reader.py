"""Reading whole topics, as a consumer sees them that trusts committed records only."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from support.kafka_broker import KafkaBroker, unique


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
        wanted = {}
        for partition in self._partitions:
            at = TopicPartition(self.topic, partition)
            # Under read_committed this is the last stable offset.
            wanted[partition] = self._consumer.get_watermark_offsets(at, timeout=10)[1]
        while any(self._reached.get(partition, 0) < end for partition, end in wanted.items()):
            for message in self._consumer.consume(2_000, 0.1):
                error = message.error()
                if error is None:
                    self._reached[message.partition()] = message.offset() + 1
                    self.messages.append(message)
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    # Behind the marker of a transaction, which no message stands for.
                    self._reached[message.partition()] = message.offset()
                else:
                    raise AssertionError(f"{self.topic}: {error}")

    def close(self) -> None:
        self._consumer.close()
