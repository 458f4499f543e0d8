"""What lies between two places of the input, read from a real broker."""

import asyncio

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition

from support.kafka_broker import KafkaBroker, unique
from support.processes import free_port
from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka import backfill
from tidegauge.kafka.backfill import PartitionReader

pytestmark = pytest.mark.timeout(60)


def between(servers: str, topic: str, begin: int, end: int) -> list[tuple[int, bytes]]:
    reader = PartitionReader(KafkaSettings(bootstrap_servers=servers), unique("g"), topic)

    async def all_of_them() -> list[tuple[int, bytes]]:
        return [
            (record.offset(), record.value())
            async for batch in reader.read({0: begin}, {0: end})
            for record in batch.records
            if record.offset() < end
        ]

    return asyncio.run(all_of_them())


def written(broker: KafkaBroker, topic: str) -> dict[int, bytes]:
    """Write transactions of three records, of which every third is aborted; return the others."""
    broker.create_topics({topic: 1})
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": unique("t")}
    )
    producer.init_transactions(30)
    committed: dict[int, bytes] = {}
    for number in range(6):
        found: dict[int, bytes] = {}
        producer.begin_transaction()
        for i in range(3):
            producer.produce(
                topic,
                f"{number}.{i}",
                partition=0,
                on_delivery=lambda _, m, found=found: found.update({m.offset(): m.value()}),
            )
        producer.flush(30)
        if number % 3 == 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            committed |= found
    return committed


def test_every_committed_record_between_two_offsets_is_read_and_none_else(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There are far fewer than one batch: to wait for more of them would be to wait for ever.
    monkeypatch.setattr(backfill, "_TIMEOUT_SECONDS", 1_000.0)
    topic = unique("sequence")
    committed = written(kafka_broker, topic)
    last = max(committed)
    assert last > len(committed) + 3, "transactions leave holes"
    for begin, end in ((0, last), (2, 3), (5, last - 4), (last, last), (4, 2)):
        expected = {at: value for at, value in committed.items() if begin <= at < end}
        assert between(kafka_broker.bootstrap_servers, topic, begin, end) == sorted(
            expected.items()
        )


def test_what_retention_has_deleted_is_passed_over(kafka_broker: KafkaBroker) -> None:
    topic = unique("sequence")
    committed = written(kafka_broker, topic)
    gone, last = sorted(committed)[4], max(committed)
    admin = kafka_broker.admin()
    for future in admin.delete_records([TopicPartition(topic, 0, gone)]).values():
        future.result(10)
    found = between(kafka_broker.bootstrap_servers, topic, 0, last)
    assert found == [(at, v) for at, v in sorted(committed.items()) if gone <= at < last]


def test_brokers_that_do_not_answer_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(KafkaException):
        between(f"127.0.0.1:{free_port()}", "nowhere", 0, 1)
