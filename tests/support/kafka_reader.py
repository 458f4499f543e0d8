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
        #: Where the end of each partition was last seen: behind any marker of a transaction.
        self._ends: dict[int, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap_servers,
                "group.id": unique("reader"),
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
        """Yield what has been committed since the last call, up to the end of every partition."""
        behind = set(self._partitions)
        while behind:
            batch = self._consumer.consume(2_000, 0.2)
            for message in batch:
                error = message.error()
                if error is None:
                    behind.add(message.partition())
                    self.messages.append(message)
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._ends[message.partition()] = message.offset()
                    behind.discard(message.partition())
                else:
                    raise AssertionError(f"{self.topic}: {error}")
            if not batch and self._at_end():
                return

    def _at_end(self) -> bool:
        """Whether there is nothing left; a partition that was read to its end says so only once."""
        positions = self._consumer.position(
            [TopicPartition(self.topic, p) for p in self._partitions]
        )
        for at in positions:
            # Under read_committed this is the last stable offset.
            _, high = self._consumer.get_watermark_offsets(at, timeout=10)
            if max(at.offset, self._ends.get(at.partition, 0)) < high:
                return False
        return True

    def close(self) -> None:
        self._consumer.close()
