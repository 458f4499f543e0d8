"""INGEST begins although something that it wants is gone: records by retention, Redis."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition

from support.kafka_broker import KafkaBroker, unique
from support.processes import free_port
from support.product import Installation

pytestmark = pytest.mark.timeout(120)

SETTINGS = {"TOPICS__PREDICTIONS_PARTITIONS": "1", "TOPICS__DETECT_PARTITIONS": "1"}
LOST = "tidegauge_ingest_source_lost_events_total"


def an_installation(
    directory: Path, broker: KafkaBroker, redis_url: str, settings: Mapping[str, str] = SETTINGS
) -> Installation:
    one = Installation(directory, unique("start"), broker.bootstrap_servers, redis_url, settings)
    one.create_topics()
    return one


def send(broker: KafkaBroker, installation: Installation, events: int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 2})
    event = {"time": time.time(), "model": "m", "version": "1", "features": {}}
    for _ in range(events):
        producer.produce(installation.topic("predictions"), json.dumps(event))
    assert producer.flush(30) == 0


def test_records_that_retention_deleted_before_they_were_counted_are_counted_as_lost(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    installation = an_installation(tmp_path, kafka_broker, redis_url)
    child = installation.start("run", "--role", "ingest")
    try:
        installation.wait_ready(child)
        send(kafka_broker, installation, 10)
        installation.wait_counted(child, 10)
        assert child.stop() == 0, child.tail()
        send(kafka_broker, installation, 7)
        source = TopicPartition(installation.topic("predictions"), 0, 14)
        admin = kafka_broker.admin()
        for future in admin.delete_records([source]).values():
            future.result(10)
        child = installation.start("run", "--role", "ingest")
        installation.wait_ready(child)
        installation.wait_counted(child, 3)
        assert installation.gauge(LOST) == 4
        assert "offsets 10 to 14 were deleted by retention" in child.log.read_text()
    finally:
        child.stop()


def test_counting_begins_without_bins_if_redis_stays_away(
    tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    installation = an_installation(
        tmp_path,
        kafka_broker,
        f"redis://127.0.0.1:{free_port()}/0",
        SETTINGS | {"REDIS__START_TIMEOUT_SECONDS": "1"},
    )
    child = installation.start("run", "--role", "ingest")
    try:
        installation.wait_ready(child)
        send(kafka_broker, installation, 10)
        installation.wait_counted(child, 10)
        answer = installation.http("/readyz")
        assert answer is not None and json.loads(answer[1])["status"] == "degraded", answer
        assert installation.gauge("tidegauge_baseline_store_up") == 0
    finally:
        child.stop()
