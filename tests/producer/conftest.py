"""A broker inside this process (librdkafka's mock cluster), and a reader of what reached it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from tidegauge.contract.prediction import PredictionEvent


@pytest.fixture(scope="session")
def mock_cluster() -> Iterator[str]:
    """Yield the address of a broker that lives as long as the tests do."""
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(host.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del host


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:200]


@pytest.fixture
def read(mock_cluster: str, topic: str) -> Callable[[int], list[Message]]:
    """Return a reader of the topic's first n messages, which also finds any message too many."""

    def messages(n: int) -> list[Message]:
        config: dict[str, Any] = {
            "bootstrap.servers": mock_cluster,
            "group.id": topic,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
        consumer = Consumer(config)
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
            found: list[Message] = []
            at_end: set[int | None] = set()
            deadline = time.monotonic() + 20
            while (len(found) < n or len(at_end) < len(partitions)) and time.monotonic() < deadline:
                for message in consumer.consume(10_000, 0.2):
                    if message.error() is None:
                        found.append(message)
                    else:
                        at_end.add(message.partition())
        finally:
            consumer.close()
        assert len(found) == n, f"{len(found)} messages in {topic}, expected {n}"
        return found

    return messages


@pytest.fixture
def read_events(read: Callable[[int], list[Message]]) -> Callable[[int], list[PredictionEvent]]:
    def events(n: int) -> list[PredictionEvent]:
        return [msgspec.json.decode(m.value() or b"", type=PredictionEvent) for m in read(n)]

    return events
