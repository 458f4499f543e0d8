"""Reading a topic to its end, on a broker that finds no record by its time."""

import time
import uuid

from confluent_kafka import Producer

from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka.reader import read_span, read_tail


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
    tail = read_tail(kafka, topic, time.time() - 60, at_least=10)
    assert [record.value for record in tail] == expected
