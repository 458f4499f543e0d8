"""Reading a topic to its end, on a broker that finds no record by its time."""

import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from tidegauge.config.sections import KafkaSettings
from tidegauge.contract.alert import Alert
from tidegauge.kafka.reader import partitions_of, read_newest, read_span, read_topic


def test_a_whole_topic_is_read_where_a_broker_finds_nothing_by_time() -> None:
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    [broker] = host.list_topics(timeout=10).brokers.values()
    kafka = KafkaSettings(bootstrap_servers=f"{broker.host}:{broker.port}")
    topic = f"whole-{uuid.uuid4()}"
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    for number in range(3):
        producer.produce(topic, b'{"number": %d}' % number, partition=number)
    assert producer.flush(10) == 0
    expected = [b'{"number": %d}' % number for number in range(3)]
    assert [record.value for record in read_span(kafka, topic)] == expected
    newest = read_newest(kafka, topic, time.time() - 60, at_least=10)
    assert [message.value() for message in newest] == expected
    with pytest.raises(ValueError, match=rf"{topic}/0 at offset 0 is no Alert: "):
        list(read_topic(kafka, topic, Alert))


@pytest.mark.parametrize(
    ("code", "raised", "text"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaException, "TOPIC_AUTHORIZATION_FAILED"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ValueError, "there is no topic t"),
    ],
)
def test_a_missing_permission_is_no_missing_topic(
    code: int, raised: type[Exception], text: str
) -> None:
    found = SimpleNamespace(error=KafkaError(code), partitions={})
    consumer: Any = SimpleNamespace(
        list_topics=lambda *_, **__: SimpleNamespace(topics={"t": found})
    )
    with pytest.raises(raised, match=text):
        partitions_of(consumer, "t")
