"""Traffic arrives once, in order, though its producer has lost the brokers for good."""

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from chaos.site.steady import SteadyProducer, missing, wait_in_sync, watermarks

NOBODY = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
PARTITIONS = 2


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(host.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del host


def value(number: int) -> bytes | None:
    event = f'{{"id":"{number}", "of": "an event of some length"}}'
    return event.encode() if number % 17 else None


def read(brokers: str, topic: str, partition: int, records: int) -> list[bytes | None]:
    config = {"bootstrap.servers": brokers, "group.id": "read", "enable.partition.eof": True}
    found: list[bytes | None] = []
    with closing(Consumer(config)) as consumer:
        consumer.assign([TopicPartition(topic, partition, 0)])
        while True:
            message = consumer.poll(10)
            assert message is not None, f"{len(found)} of {records} records"
            error = message.error()
            if error is None:
                found.append(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                return found


@pytest.mark.parametrize("arrived", [0, 20, 51])
def test_what_has_not_arrived_is_sent_by_another_producer(
    brokers: str, arrived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegauge.producer.librdkafka.QUIET_SECONDS", 0.2)
    monkeypatch.setattr("tidegauge.producer.librdkafka.ANSWER_SECONDS", 2.0)
    topic, failures = f"steady-{arrived}", list[str]()
    config: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "enable.idempotence": True,
        "reconnect.backoff.max.ms": 200,
        "log_level": 2,
    }
    steady = SteadyProducer(config, topic, failures)
    for number in range(1_000):
        steady.produce(topic, value(number), number % PARTITIONS)
    assert steady.flush(20) == 0
    steady.producer = Producer(config | NOBODY)
    other = Producer(config)
    for number in range(1_000, 1_500):
        steady.produce(topic, value(number), number % PARTITIONS)
        if number < 1_000 + arrived:  # on its way when the connection was lost
            other.produce(topic, value(number), partition=number % PARTITIONS)
        other.produce(topic, b"of somebody else", partition=number % PARTITIONS)
    assert other.flush(20) == 0
    assert steady.flush(60) == 0
    assert not failures
    for partition in range(PARTITIONS):
        there = read(brokers, topic, partition, 750)
        ours = [value(number) for number in range(1_500) if number % PARTITIONS == partition]
        assert [one for one in there if one != b"of somebody else"] == ours


def test_what_the_log_does_not_have_is_missing() -> None:
    given = [value(number) for number in range(100)]
    for arrived in range(2, 101):
        there = [b"another", *given[:arrived], b"another"]
        assert given[: 100 - len(missing(given, there))] == given[:arrived]
    assert missing(given, []) == given


class ComingBack:
    """A consumer whose broker has just come back."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def get_watermark_offsets(self, at: TopicPartition, timeout: float) -> tuple[int, int]:
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
        return 3, 9

    def poll(self, timeout: float) -> None:
        return None


def test_a_broker_that_leads_no_partition_yet_is_asked_again() -> None:
    assert watermarks(ComingBack(2), TopicPartition("events", 0)) == (3, 9)


class BackInSync:
    """A consumer whose partition has three replicas, and ever more of them in sync."""

    def __init__(self) -> None:
        self.in_sync = 0

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        self.in_sync += 1
        state = SimpleNamespace(isrs=[*range(self.in_sync)], replicas=[0, 1, 2])
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: state})})

    def poll(self, timeout: float) -> None:
        return None


def test_the_log_is_read_only_when_what_was_appended_can_be_seen() -> None:
    """Else records that are behind the high watermark are sent twice."""
    consumer = BackInSync()
    wait_in_sync(consumer, TopicPartition("events", 0))
    assert consumer.in_sync == 2
