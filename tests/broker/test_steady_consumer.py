"""Reading goes on after a batch that Kafka's client can't decompress, whatever topic it is on."""

import re
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from support.kafka_broker import KafkaBroker, unique
from tidegauge.kafka.unreadable import SteadyConsumer

pytestmark = pytest.mark.timeout(120)

#: More than the client decompresses, in some kB.
LARGE = b"a" * 110_000_000


def _send(broker: KafkaBroker, topic: str, values: list[bytes], **config: str | int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, **config})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(60) == 0


def _bomb(broker: KafkaBroker, topic: str, records: int) -> None:
    _send(
        broker,
        topic,
        [LARGE] * records,
        **{
            "compression.type": "zstd",
            "message.max.bytes": 999_999_999,
            "batch.size": 999_999_999,
            "queue.buffering.max.kbytes": 2_000_000,
            "linger.ms": 500,
        },
    )


def _offsets(topic: str, said: str) -> range:
    place = re.match(rf"{topic}/0 at offset (\d+): a batch of (\d+) that", said)
    assert place is not None, said
    first, records = map(int, place.groups())
    return range(first, first + records)


@pytest.mark.parametrize("group", [True, False])
def test_all_that_can_be_read_is_handed_out_once_and_the_rest_is_named(
    kafka_broker: KafkaBroker, *, group: bool
) -> None:
    topic = unique("steady")
    admin = kafka_broker.admin()  # that is gone once nobody holds it
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    _send(kafka_broker, topic, [b"0", b"1"])
    _bomb(kafka_broker, topic, 2)
    _send(kafka_broker, topic, [b"2"])
    _bomb(kafka_broker, topic, 1)
    _send(kafka_broker, topic, [b"3"])
    said: list[str] = []
    consumer = SteadyConsumer(
        {
            "bootstrap.servers": kafka_broker.bootstrap_servers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        },
        passed=lambda place, why: said.append(f"{place}: {why}"),
    )
    found: list[bytes | None] = []
    deadline = time.monotonic() + 60
    try:
        if group:
            consumer.subscribe([topic])
        else:
            consumer.assign([TopicPartition(topic, 0, 0)])
        while len(found) < 4 and time.monotonic() < deadline:
            one = None if group else consumer.poll(0.5)
            messages = consumer.consume(100, 0.5) if group else [one] if one else []
            assert all(message.error() is None for message in messages)
            found += [message.value() for message in messages]
    finally:
        consumer.close()
    assert found == [b"0", b"1", b"2", b"3"]
    # A busy producer may send two records in two batches: each is named, none twice.
    assert [offset for one in said for offset in _offsets(topic, one)] == [2, 3, 5]
