"""The changelog, read to its end from a real broker."""

import asyncio
import threading
import time
from collections.abc import Mapping

import pytest
from confluent_kafka import KafkaException, Message, Producer, TopicPartition

from support.kafka_broker import KafkaBroker, unique
from support.processes import free_port
from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka import backfill
from tidegauge.kafka.backfill import LogShorterError, PartitionReader

pytestmark = pytest.mark.timeout(60)

PARTITIONS = 3


class Read:
    """What one reading gives, by partition, and how many batches it came in."""

    def __init__(self, servers: str, topic: str, begins: Mapping[int, int]) -> None:
        reader = PartitionReader(KafkaSettings(bootstrap_servers=servers), unique("g"), topic)
        self.records: dict[int, list[tuple[int, bytes | None]]] = {p: [] for p in begins}
        self.at_end: list[int] = []
        self.batches = 0

        async def read() -> None:
            async for batch in reader.read(begins):
                self.batches += 1
                for record in batch.records:
                    self._note(record)
                self.at_end += batch.at_end

        asyncio.run(read())

    def _note(self, record: Message) -> None:
        assert record.headers() == [("at", b"1")]
        if record.partition() not in self.at_end:
            self.records[record.partition()].append((record.offset(), record.value()))


@pytest.fixture
def topic(kafka_broker: KafkaBroker) -> str:
    """Make a topic: partition 0 has 2,500 records, 1 has none, 2 ends with an aborted few."""
    topic = unique("changelog")
    kafka_broker.create_topics({topic: PARTITIONS})
    producer = Producer(
        {"bootstrap.servers": kafka_broker.bootstrap_servers, "transactional.id": unique("t")}
    )
    producer.init_transactions(30)
    for partition, values, ends_well in ((0, 2_500, True), (2, 5, True), (2, 4, False)):
        producer.begin_transaction()
        for i in range(values):
            value = None if i == 3 else str(i)
            producer.produce(topic, value, key="k", partition=partition, headers={"at": b"1"})
        producer.flush(30)
        if ends_well:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    return topic


def test_every_partition_is_read_to_its_end_whatever_it_ends_with(
    kafka_broker: KafkaBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To wait for more than there is would be to wait for ever.
    monkeypatch.setattr(backfill, "_TIMEOUT_SECONDS", 1_000.0)
    servers = kafka_broker.bootstrap_servers
    read = Read(servers, topic, dict.fromkeys(range(PARTITIONS), 0))
    assert sorted(read.at_end) == [0, 1, 2]
    assert [offset for offset, _ in read.records[0]] == list(range(2_500))
    assert read.records[0][3:5] == [(3, None), (4, b"4")], "a tombstone is a record"
    assert read.records[1] == []
    assert [offset for offset, _ in read.records[2]] == list(range(5))
    assert read.batches > 5, "others get their turn in between"
    # From further on, and from the end on (behind the last record there is a marker).
    read = Read(servers, topic, {0: 2_400, 2: 11})
    assert [offset for offset, _ in read.records[0]] == list(range(2_400, 2_500))
    assert read.records[2] == [] and sorted(read.at_end) == [0, 2]


def test_what_compaction_or_retention_has_deleted_is_passed_over(
    kafka_broker: KafkaBroker, topic: str
) -> None:
    admin = kafka_broker.admin()
    for future in admin.delete_records([TopicPartition(topic, 0, 2_490)]).values():
        future.result(10)
    read = Read(kafka_broker.bootstrap_servers, topic, {0: 7})
    assert [offset for offset, _ in read.records[0]] == list(range(2_490, 2_500))


def test_a_log_that_ends_before_what_was_read_of_it_is_told_from_one_with_nothing_new(
    kafka_broker: KafkaBroker, topic: str
) -> None:
    with pytest.raises(LogShorterError) as error:
        Read(kafka_broker.bootstrap_servers, topic, {0: 2_501, 1: 1})
    assert error.value.partition == 1


def test_a_topic_that_is_missing_and_brokers_that_are_away_are_errors(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KafkaException, match="UNKNOWN"):
        Read(kafka_broker.bootstrap_servers, unique("nowhere"), {0: 0})
    monkeypatch.setattr(backfill, "_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(KafkaException):
        Read(f"127.0.0.1:{free_port()}", "nowhere", {0: 0})


def test_a_reading_leaves_the_loop_free_and_ends_soon_when_it_is_cancelled(
    kafka_broker: KafkaBroker, topic: str
) -> None:
    reader = PartitionReader(
        KafkaSettings(bootstrap_servers=kafka_broker.bootstrap_servers), unique("g"), topic
    )

    async def scenario() -> tuple[int, float]:
        turns, reads = 0, asyncio.Event()

        async def read() -> None:
            async for batch in reader.read({0: 0}):
                if batch.records:
                    reads.set()
                    await asyncio.Event().wait()

        reading = asyncio.ensure_future(read())
        while not reads.is_set():
            turns += 1
            await asyncio.sleep(0)  # as often as the reading lets it: a quick one takes 2 ms
        began = time.monotonic()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return turns, time.monotonic() - began

    before = threading.active_count()
    turns, seconds = asyncio.run(scenario())
    assert turns > 3  # a reading that holds the loop is over after one
    assert seconds < 5
    assert threading.active_count() <= before
