"""Batches that Kafka's own client can't read: every record around them is counted."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(240)

#: Above what the client decompresses of zstd (receive.message.max.bytes).
BOMB_BYTES = 120_000_000


class Batches:
    """Sends so many values as one batch to partition 0 of a topic."""

    def __init__(self, broker: KafkaBroker, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "compression.type": "zstd",
                "message.max.bytes": 2 * BOMB_BYTES,
                "batch.size": 2 * BOMB_BYTES,
                "queue.buffering.max.kbytes": BOMB_BYTES // 256,
                # Longer than all of them take to hand over: flush sends what is there.
                "linger.ms": 60_000,
                "log_level": 2,
            }
        )

    def send(self, *values: bytes, key: bytes | None = None) -> None:
        for value in values:
            self._producer.produce(self._topic, value, key, partition=0)
        assert self._producer.flush(60) == 0


def test_every_record_around_batches_that_the_client_gives_up_is_counted(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    settings = {"TOPICS__PREDICTIONS_PARTITIONS": "1", "TOPICS__DETECT_PARTITIONS": "1"}
    one = Installation(
        tmp_path, unique("unreadable"), kafka_broker.bootstrap_servers, redis_url, settings
    )
    one.create_topics()
    event = json.dumps({"time": time.time(), "model": "m", "version": "1", "features": {}}).encode()
    batches = Batches(kafka_broker, one.topic("predictions"))
    reader = TopicReader(kafka_broker, one.topic("dead_letters"))
    letters: list[tuple[int, int | None, str]] = []

    def three_letters() -> bool:
        found = [json.loads(it.value() or b"") for it in reader.more()]
        letters.extend((it["offset"], it["rows"], it["reason"]) for it in found)
        return len(letters) >= 3

    batches.send(event, key=b"\xff\xfe")
    batches.send(event)
    # Strides that double, from offset 2, lead over the event at 7 and into the other batch.
    batches.send(*[bytes(BOMB_BYTES // 5)] * 5)
    batches.send(event)
    batches.send(*[bytes(BOMB_BYTES // 300)] * 300)
    child = one.start("run", "--role", "ingest")
    try:
        one.wait_ready(child)
        batches.send(event, b"{", event)
        wait_until(three_letters, seconds=120, what=lambda: f"three letters, there are {letters}")
        one.wait_counted(child, 5)
        assert letters == [
            (2, 5, "too_large"), (8, 300, "too_large"), (309, None, "invalid_json"),
        ]  # fmt: skip
        assert child.stop() == 0, child.tail()
    finally:
        reader.close()
        child.stop()
