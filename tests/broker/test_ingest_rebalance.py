"""A worker whose group is being rebalanced counts on: it neither leaves nor counts again."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from support.kafka_broker import KafkaBroker, unique
from support.processes import wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(120)

#: So often that some flushes fall between a generation's beginning and the member's news of it.
FLUSH_SECONDS = "0.01"
EVENTS = 50


def test_members_that_come_and_go_end_nobody_elses_session(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    settings = {
        "TOPICS__PREDICTIONS_PARTITIONS": "2",
        "TOPICS__DETECT_PARTITIONS": "1",
        "INGEST__FLUSH_SECONDS": FLUSH_SECONDS,
    }
    one = Installation(
        tmp_path, unique("rebalance"), kafka_broker.bootstrap_servers, redis_url, settings
    )
    one.create_topics()
    topic = one.topic("predictions")
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers, "log_level": 2})
    event = json.dumps({"time": time.time(), "model": "m", "version": "1", "features": {}})
    child = one.start("run", "--role", "ingest")
    try:
        one.wait_ready(child)
        sent = 0
        for _ in range(6):
            visitor = Consumer(
                {
                    "bootstrap.servers": kafka_broker.bootstrap_servers,
                    "group.id": one.environment()["TIDEGAUGE_INGEST__GROUP_ID"],
                    "partition.assignment.strategy": "cooperative-sticky",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "latest",
                }
            )
            try:
                visitor.subscribe([topic])

                def visited(visitor: Consumer = visitor) -> bool:
                    nonlocal sent
                    visitor.poll(0.02)
                    for partition in (0, 1):
                        producer.produce(topic, event, partition=partition)
                    sent += 2
                    return bool(visitor.assignment()) and sent % EVENTS == 0

                wait_until(visited, seconds=30, what="another member has a partition")
            finally:
                visitor.close()
        assert producer.flush(30) == 0
        one.wait_counted(child, sent)
        assert "session ended" not in child.log.read_text()
        assert one.gauge("tidegauge_ingest_transactions_aborted_total") == 0
        assert child.stop() == 0, child.tail()
    finally:
        child.stop()
