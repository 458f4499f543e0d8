"""Keep the classes of a Kafka broker, by ``python -m support.kafka_archive``, for later ones.

A broker spends most of its start reading and checking classes. With an archive of them (JEP 350)
the many brokers of the tests need less of the machine. Does nothing if there is one.
"""

import os
import tempfile
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from support.kafka_broker import ARCHIVE, KafkaBroker


def main() -> None:
    """Start a broker, use it as the tests do, and have it write its classes when it ends."""
    if ARCHIVE.exists():
        return
    with tempfile.TemporaryDirectory(dir=ARCHIVE.parent) as directory:
        made = Path(directory) / ARCHIVE.name
        broker = KafkaBroker(Path(directory) / "kafka", archive=made)
        broker.start()
        try:
            broker.create_topics({"one": 2})
            _use(broker)
        finally:
            broker.stop()
        assert made.exists(), f"no archive of classes was written\n{broker.log.read_text()}"
        os.replace(made, ARCHIVE)


def _use(broker: KafkaBroker) -> None:
    """Read and write in a transaction, as a member of a group."""
    servers = {"bootstrap.servers": broker.bootstrap_servers, "log_level": 2}
    producer = Producer(servers | {"transactional.id": "one"})
    consumer = Consumer(servers | {"group.id": "one", "auto.offset.reset": "earliest"})
    try:
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce("one", b"record", partition=0)
        producer.commit_transaction(30)
        consumer.subscribe(["one"])
        assert consumer.consume(1, 30), "the record did not come"
        producer.begin_transaction()
        producer.send_offsets_to_transaction(
            [TopicPartition("one", 0, 1)], consumer.consumer_group_metadata(), 30
        )
        producer.commit_transaction(30)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
