"""Publishing a round of traffic: PredictionLogger, JSON by every codec, Arrow, bad records."""

from itertools import cycle, islice

from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker
from support.traffic import Round
from tidegauge import PredictionLogger

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_MAX_BYTES = 16 * 1024 * 1024


class Senders:
    """All the producers of one source topic; each round is delivered before the next begins."""

    def __init__(self, broker: KafkaBroker, topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        self._next_partition = cycle(range(partitions))
        common = {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "linger.ms": 20}
        self._texts = [Producer(common | {"compression.type": codec}) for codec in _CODECS]
        self._batches = Producer(common | {"compression.type": "lz4"})
        self._large = Producer(common | {"message.max.bytes": _MAX_BYTES})
        self.logger = PredictionLogger(broker.bootstrap_servers, topic=topic, max_queued=100_000)
        self._undelivered: list[str] = []

    def send(self, traffic: Round) -> None:
        """Publish a round, and return once the broker has it all."""
        for call in traffic.calls:
            self.logger.log(**call)
        bad = iter(traffic.bad)
        for i, text in enumerate(traffic.texts):
            self._produce(self._texts[i % len(self._texts)], text)
            if i % 50 == 0:  # bad records lie scattered among the good
                for record in islice(bad, 1):
                    self._produce(self._large, record)
        for batch in traffic.batches:
            self._produce(self._batches, batch)
        for record in bad:
            self._produce(self._large, record)
        self.flush()

    def send_record(self, value: bytes | None) -> None:
        """Publish one record of any size, and return once the broker has it."""
        self._produce(self._large, value)
        self.flush()

    def flush(self) -> None:
        left = sum(producer.flush(60) for producer in (*self._texts, self._batches, self._large))
        left += self.logger.flush(60)
        assert left == 0 and not self._undelivered, f"{left} not delivered, {self._undelivered[:3]}"
        stats = self.logger.stats
        assert stats.delivered == stats.logged, f"PredictionLogger: {stats}"

    def close(self) -> None:
        self.logger.close()

    def _produce(self, producer: Producer, value: bytes | None) -> None:
        producer.produce(
            self._topic,
            value,
            partition=next(self._next_partition),
            on_delivery=self._on_delivery,
        )
        producer.poll(0)

    def _on_delivery(self, error: object, message: object) -> None:
        if error is not None:
            self._undelivered.append(str(error))
