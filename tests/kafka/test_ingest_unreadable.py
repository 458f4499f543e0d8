"""Records that Kafka's own client can't take, between good ones: those are counted all the same."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.product import Installation

pytestmark = pytest.mark.timeout(180)

#: Above what the client decompresses of zstd (receive.message.max.bytes).
BOMB_BYTES = 120_000_000


def test_a_batch_that_the_client_gives_up_is_passed_over(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    settings = {"TOPICS__PREDICTIONS_PARTITIONS": "1", "TOPICS__DETECT_PARTITIONS": "1"}
    one = Installation(
        tmp_path, unique("unreadable"), kafka_broker.bootstrap_servers, redis_url, settings
    )
    one.create_topics()
    topic = one.topic("predictions")
    producer = Producer(
        {
            "bootstrap.servers": kafka_broker.bootstrap_servers,
            "compression.type": "zstd",
            "message.max.bytes": 2 * BOMB_BYTES,
            "queue.buffering.max.kbytes": BOMB_BYTES // 256,
            "log_level": 2,
        }
    )
    event = json.dumps({"time": time.time(), "model": "m", "version": "1", "features": {}})

    def send(value: bytes | str, **more: object) -> None:
        producer.produce(topic, value, partition=0, **more)  # type: ignore[arg-type]
        assert producer.flush(60) == 0

    child = one.start("run", "--role", "ingest")
    try:
        one.wait_ready(child)
        send(event, key=b"\xff\xfe")
        send(event)
        send(bytes(BOMB_BYTES))
        send(b"{")
        send(event)
        one.wait_counted(child, 3)
        reader = TopicReader(kafka_broker, one.topic("dead_letters"))
        letters = [json.loads(it.value() or b"") for it in reader.more()]
        reader.close()
        assert [(it["offset"], it["reason"]) for it in letters] == [
            (2, "too_large"), (3, "invalid_json"),
        ]  # fmt: skip
        assert "offsets 2 to 2" in letters[0]["detail"]
        assert child.stop() == 0, child.tail()
    finally:
        child.stop()
