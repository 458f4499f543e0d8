"""The source topic is changed by others: made again, grown, held back, its offsets set by hand."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation
from tidegauge.config.sections import KafkaSettings
from tidegauge.config.settings import Settings
from tidegauge.contract import DataRange
from tidegauge.counting.beginning import Counted
from tidegauge.kafka import Admin
from tidegauge.kafka.backfill import Offsets
from tidegauge.roles import histogram_tail
from tidegauge.roles.histogram_tail import HistogramTail
from tidegauge.windows.outputs import DataWanted

pytestmark = pytest.mark.timeout(240)

QUICK = {
    "TOPICS__DETECT_PARTITIONS": "1",
    "WINDOWS__GRACE_SECONDS": "1",
    "INGEST__IDLE_SECONDS": "1",
    "INGEST__FLUSH_SECONDS": "0.2",
    "DETECT__PUBLISH_SECONDS": "0.1",
}
LOST = "tidegauge_ingest_source_lost_events_total"
OVERLAP = "tidegauge_ingest_source_overlap_events_total"
RECOUNTS = "tidegauge_recounts_total"
TWICE = "tidegauge_counted_twice_events_total"
LAG = "tidegauge_ingest_lag_events"
HELD = "tidegauge_ingest_held_events"


def broken(happened: str) -> str:
    return f'tidegauge_ingest_source_breaks_total{{happened="{happened}"}}'


class Site:
    """An installation on the shared broker, what is sent to it, and what it reports."""

    def __init__(
        self, directory: Path, broker: KafkaBroker, redis_url: str, *, partitions: int
    ) -> None:
        self.broker = broker
        self.one = Installation(
            directory,
            unique("source"),
            broker.bootstrap_servers,
            redis_url,
            QUICK | {"TOPICS__PREDICTIONS_PARTITIONS": str(partitions)},
        )
        self.one.create_topics()
        self.topic = self.one.topic("predictions")
        self.group = self.one.environment()["TIDEGAUGE_INGEST__GROUP_ID"]
        self._reports = TopicReader(broker, self.one.topic("windows"))
        #: The window that all events are of: it closed long ago, and takes late ones for long.
        self.window = int(time.time()) // 60 * 60 - 240

    def close(self) -> None:
        self._reports.close()

    def event(self, second: float = 5.0) -> str:
        return json.dumps({"time": self.window + second, "model": "m", "version": "1"})

    def send(self, events: int, *, partitions: int) -> None:
        # A new one each time: what it knows of a topic that is gone would be in the way.
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 2})
        errors: list[object] = []
        # A broker may not know partitions yet that were just added.
        wait_until(
            lambda: (
                len(producer.list_topics(self.topic, 10).topics[self.topic].partitions)
                >= partitions
            ),
            seconds=30,
            what=f"{self.topic} has {partitions} partitions",
        )
        for i in range(events):
            producer.produce(
                self.topic,
                self.event(),
                partition=i % partitions,
                key=f"{i}",  # as a topic that is compacted wants it
                on_delivery=lambda error, _: errors.append(error),
            )
        assert producer.flush(30) == 0
        assert errors == [None] * events

    def send_garbage(self) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 2})
        producer.produce(self.topic, b"garbage", partition=1)
        assert producer.flush(30) == 0

    def wait_letters(self, child: Child, number: int) -> list[dict[str, Any]]:
        with closing(TopicReader(self.broker, self.one.topic("dead_letters"))) as reader:

            def come() -> bool:
                for _ in reader.more():
                    pass
                return len(reader.messages) >= number

            wait_until(
                come,
                seconds=30,
                what=lambda: f"{number} dead letters\n{child.tail()}",
            )
            return [json.loads(message.value() or b"") for message in reader.messages]

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[Child]:
        child = self.one.start("run", *arguments)
        try:
            self.one.wait_ready(child)
            yield child
            assert child.stop() == 0, child.tail()
        finally:
            child.kill()

    def reported(self) -> int:
        for _ in self._reports.more():
            pass
        return sum(one["events"] for one in self.last_reports())

    def last_reports(self) -> list[dict[str, Any]]:
        last: dict[int, dict[str, Any]] = {}
        for message in self._reports.messages:
            report = json.loads(message.value() or b"")
            start = report["window_start"]
            if start not in last or report["revision"] > last[start]["revision"]:
                last[start] = report
        return list(last.values())

    def wait_reported(self, child: Child, events: int) -> None:
        wait_until(
            lambda: self.reported() == events,
            seconds=60,
            what=lambda: f"{events} events reported, it is {self.reported()}\n{child.tail()}",
        )

    def wait_gauge(self, child: Child, series: str, least: float, seconds: float = 30) -> None:
        wait_until(
            lambda: (self.one.gauge(series) or 0) >= least,
            seconds=seconds,
            what=lambda: f"{series} ≥ {least}, it is {self.one.gauge(series)}\n{child.tail()}",
        )

    def conditions(self) -> dict[str, dict[str, str]]:
        answer = self.one.http("/readyz")
        assert answer is not None
        found: dict[str, dict[str, str]] = json.loads(answer[1])["conditions"]
        return found

    def make_again(self, partitions: int) -> None:
        admin = self.broker.admin()
        admin.delete_topics([self.topic], operation_timeout=30)[self.topic].result(30)
        wait_until(
            lambda: self.topic not in admin.list_topics(timeout=5).topics,
            seconds=30,
            what="the topic is gone",
        )
        self.broker.create_topics({self.topic: partitions})

    def committed(self) -> dict[int, TopicPartition]:
        with _a_member(self) as consumer:
            partitions = consumer.list_topics(self.topic, timeout=10).topics[self.topic].partitions
            wanted = [TopicPartition(self.topic, p) for p in partitions]
            return {at.partition: at for at in consumer.committed(wanted, timeout=30)}

    def set_offset(self, partition: int, offset: int, metadata: str = "") -> None:
        """Commit as kafka-consumer-groups.sh --reset-offsets does, once no worker is a member."""
        self.wait_empty()
        with _a_member(self) as consumer:
            at = TopicPartition(self.topic, partition, offset, metadata=metadata)
            consumer.commit(offsets=[at], asynchronous=False)

    def wait_empty(self) -> None:
        admin = self.broker.admin()

        def empty() -> bool:
            asked = admin.describe_consumer_groups([self.group])[self.group]
            return bool(asked.result(10).state == ConsumerGroupState.EMPTY)

        wait_until(empty, seconds=30, what="the group has no members")


@contextmanager
def _a_member(site: Site) -> Iterator[Consumer]:
    consumer = Consumer(
        {"bootstrap.servers": site.broker.bootstrap_servers, "group.id": site.group}
    )
    try:
        yield consumer
    finally:
        consumer.close()


@pytest.fixture
def site(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str, request: pytest.FixtureRequest
) -> Iterator[Site]:
    one = Site(tmp_path, kafka_broker, redis_url, partitions=getattr(request, "param", 1))
    yield one
    one.close()


@pytest.mark.parametrize("site", [3], indirect=True)
def test_a_topic_that_was_deleted_and_made_again_is_counted_from_its_beginning(site: Site) -> None:
    with site.worker() as child:
        site.send(210, partitions=3)
        site.wait_reported(child, 210)
        # Of fewer records, so that the old offset isn't there; and of fewer partitions, of which
        # the ones that are gone must not hold windows open.
        site.make_again(partitions=2)
        site.send(50, partitions=2)
        site.wait_reported(child, 260)
        site.send(300, partitions=2)
        site.wait_reported(child, 560)
        assert site.one.gauge(broken("recreated")) == 2
        assert site.one.gauge(LOST) == 0
        assert "is another topic of the same name" in site.conditions()["source"]["detail"]
        assert data_there(site, {0: 175, 1: 175, 2: 70}) == {0: (0, 175), 1: (0, 175), 2: (70, 70)}
        # At once of more than the old one had: the old offset is there, and means nothing.
        site.make_again(partitions=2)
        site.send(800, partitions=2)
        site.wait_reported(child, 1360)
        site.wait_gauge(child, broken("recreated"), 4)
        assert site.one.gauge(RECOUNTS) == 0 and site.one.gauge(TWICE) == 0, child.tail()
        ranges = [
            (one["partition"], one["start"], one["to"])
            for report in site.last_reports()
            for one in report["counted"]
        ]
        assert sorted(ranges) == [
            (0, 0, 70), (0, 0, 175), (0, 0, 400), (1, 0, 70), (1, 0, 175), (1, 0, 400), (2, 0, 70),
        ]  # fmt: skip
        topic_ids = {one["topic_id"] for it in site.last_reports() for one in it["counted"]}
        assert len(topic_ids) == 3 and all(topic_ids)
    # Nobody looks while it happens, and the group's offsets go with the topic. What was known to be
    # there and was never read is lost: a transaction was open before it.
    with site.worker("--role", "ingest") as child:
        producer = a_transaction(site, 30)
        site.wait_gauge(child, LAG, 30)
        wait_until(
            lambda: '"end":430' in site.committed()[0].metadata, seconds=10, what="an end committed"
        )
    site.make_again(partitions=2)
    del producer
    assert {at.offset for at in site.committed().values()} == {-1001}
    site.send(40, partitions=2)
    with site.worker() as child:
        site.wait_reported(child, 1400)
        assert site.one.gauge(broken("recreated")) == 2
        assert site.one.gauge(LOST) == 30
        assert "30 records of the one before were never counted" in child.log.read_text()
        # A dead letter, too, says which topic of the name its offset is of.
        site.send_garbage()
        [letter] = site.wait_letters(child, 1)
        [present] = {
            one["topic_id"] for it in site.last_reports() for one in it["counted"]
        } - topic_ids
        assert (letter["partition"], letter["offset"]) == (1, 20)
        assert letter["topic_id"] == present
        assert site.one.gauge(RECOUNTS) == 0 and site.one.gauge(TWICE) == 0, child.tail()


def data_there(site: Site, covered: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Look up what a retrain action would name."""
    offsets = Offsets(KafkaSettings(bootstrap_servers=site.broker.bootstrap_servers), unique("g"))

    def data(of: DataWanted) -> DataRange:
        return offsets.data(of.topic, of.covered, since=of.since, until=of.until)

    try:
        gone = DataWanted(unique("gone"), {0: 7}, site.window)
        assert [(one.start, one.to) for one in data(gone).offsets] == [(7, 7)]
        found = data(DataWanted(site.topic, covered, site.window)).offsets
    finally:
        offsets.close()
    return {one.partition: (one.start, one.to) for one in found}


def a_transaction(site: Site, events: int) -> Producer:
    """Leave a transaction open with events of partition 0."""
    producer = Producer(
        {
            "bootstrap.servers": site.broker.bootstrap_servers,
            "transactional.id": unique("open"),
            "transaction.timeout.ms": 120_000,
            "log_level": 2,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(events):
        producer.produce(site.topic, site.event(6.0), partition=0)
    assert producer.flush(30) == 0
    return producer


def test_offsets_that_were_set_by_hand_neither_count_twice_nor_go_unsaid(site: Site) -> None:
    counted = 0

    def counts(events: int, expected: int, **said: float) -> None:
        nonlocal counted
        site.send(events, partitions=1)
        with site.worker("--role", "ingest") as child:
            site.one.wait_counted(child, expected)
            for series, value in {LOST: 0.0, OVERLAP: 0.0, **said}.items():
                assert site.one.gauge(series) == value, (series, child.tail())
        counted += expected

    counts(100, 100)
    then = site.committed()[0]
    counts(10, 10)
    site.set_offset(0, then.offset, then.metadata)  # from a copy, with what was known then
    counts(10, 10, **{OVERLAP: 10, broken("moved_back"): 1})
    site.set_offset(0, 40)  # back: what was counted isn't counted again
    counts(10, 10, **{OVERLAP: 80, broken("moved_back"): 1})
    site.wait_empty()
    admin = site.broker.admin()
    admin.delete_consumer_groups([site.group])[site.group].result(30)
    counts(10, 10, **{OVERLAP: 130, broken("moved_back"): 1})
    site.set_offset(0, 5_000)  # there is no such offset
    counts(10, 10, **{broken("moved_beyond"): 1})
    site.send(10, partitions=1)
    site.set_offset(0, 157)  # on: 150 to 157 are left out, as somebody wants it
    counts(10, 13, **{LOST: 7, broken("moved_on"): 1})
    # And the end of the log is lost by the brokers: as if more had been counted than is there.
    at = site.committed()[0]
    metadata = json.loads(at.metadata)
    assert (at.offset, metadata["to"]) == (170, 170)
    site.set_offset(0, 190, json.dumps(metadata | {"to": 190}))
    site.send(10, partitions=1)
    with site.worker() as child:
        site.wait_gauge(child, broken("truncated"), 1)
        site.send(25, partitions=1)
        counted += 25
        site.wait_reported(child, counted)
        # DETECT has read it all by now, in one go.
        assert site.one.gauge(RECOUNTS) == 0 and site.one.gauge(TWICE) == 0, child.tail()
        assert site.conditions()["source"]["state"] == "degraded"
        [report] = site.last_reports()
        ranges = sorted((one["start"], one["to"]) for one in report["counted"])
        assert ranges == [(0, 150), (157, 170), (180, 205)]


@pytest.mark.parametrize("site", [2], indirect=True)
def test_what_is_held_back_is_said_and_new_partitions_are_counted_soon(site: Site) -> None:
    with site.worker() as child:
        site.send(4, partitions=2)
        site.wait_reported(child, 4)
        # Live traffic in the other partition, and here a transaction that nobody ends.
        producer = a_transaction(site, 30)
        site.wait_gauge(child, LAG, 30)
        site.wait_gauge(child, HELD, 30)
        condition = site.conditions()["source"]
        assert condition["state"] == "degraded"
        assert f"{site.topic}/0: 30 records wait" in condition["detail"]
        before = site.one.gauge('tidegauge_watermark_seconds{partition="0"}')
        site.send(2, partitions=2)  # one behind the open transaction
        site.wait_gauge(child, HELD, 31)
        still = site.one.gauge('tidegauge_watermark_seconds{partition="0"}')
        assert before == still, "the partition is held, and not idle"
        producer.abort_transaction(30)
        site.wait_reported(child, 6)
        wait_until(
            lambda: site.conditions()["source"]["state"] == "ok", seconds=20, what="it is well"
        )
        assert site.one.gauge(HELD) == 0 and site.one.gauge(LAG) == 0
        admin = site.broker.admin()
        admin.create_partitions([NewPartitions(site.topic, 4)])[site.topic].result(30)
        added = time.monotonic()
        site.send(600, partitions=4)
        site.wait_reported(child, 606)
        assert time.monotonic() - added < 15 + 5, "and a revision is gathered for five seconds"
        assert site.one.gauge(RECOUNTS) == 0 and site.one.gauge(TWICE) == 0, child.tail()
        assert site.one.gauge(LOST) == 0


def test_the_end_of_the_log_of_histograms_tells_how_far_each_partition_was_counted(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = unique("tail")
    kafka_broker.create_topics({topic: 1})
    servers = {"bootstrap.servers": kafka_broker.bootstrap_servers, "log_level": 2}
    kafka = KafkaSettings(bootstrap_servers=kafka_broker.bootstrap_servers)
    tail = HistogramTail(Settings(kafka=kafka), Admin(kafka), topic, "predictions")
    assert tail.counted({0, 1}, "a") == {}

    def record(time: float, partition: int, to: int, source: str = "predictions") -> str:
        at = {"origin": 0, "start": 0, "since": 0, "to": to, "series": 1, "end": to + 5}
        said = {"time": time, "source": source, "ranges": {str(partition): at}, "topic_id": "a"}
        of_a_flush = {"tenure": "t", "seq": 1, "source_partitions": 3, "clocks": {}, "cells": []}
        return json.dumps(said | of_a_flush)

    producer = Producer(servers | {"transactional.id": unique("t")})
    producer.init_transactions(30)
    times = [0.0, *(1_000.0 + 10 * number for number in range(40))]
    for second in times:
        producer.begin_transaction()
        producer.produce(topic, record(second, 2 if second == 0 else 0, int(second)), partition=0)
        producer.produce(topic, b"no record", partition=0)
        producer.produce(topic, record(second, 1, 7_000, source="others"), partition=0)
        if second == 1_300.0:
            producer.produce(topic, record(second, 1, 77), partition=0)
        producer.commit_transaction(30)
    monkeypatch.setattr(histogram_tail, "_BLOCK", 3)
    found = tail.counted({0, 1, 2}, "a")
    assert found == {
        0: Counted(origin=0, to=1_390, topic_id="a", series=1, end=1_395),
        1: Counted(origin=0, to=77, topic_id="a", series=1, end=82),
    }, "partition 2 was counted long before that, by nobody who may still own it"
    # What was committed by now may be behind a transaction of another worker that is still open.
    other = Producer(servers | {"transactional.id": unique("t")})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(topic, record(1_391.0, 0, 5_000), partition=0)
    assert other.flush(30) == 0
    producer.begin_transaction()
    producer.produce(topic, record(1_392.0, 1, 88), partition=0)
    producer.commit_transaction(30)
    later = threading.Timer(1.0, other.abort_transaction)
    later.start()
    found = tail.counted({0, 1}, "a")
    later.join()
    assert (found[0].to, found[1].to) == (1_390, 88)
    other.begin_transaction()
    other.produce(topic, record(1_393.0, 0, 6_000), partition=0)
    assert other.flush(30) == 0
    monkeypatch.setattr(histogram_tail, "_TIMEOUT_SECONDS", 1.0)
    with pytest.raises(KafkaException, match="can't be read to"):
        tail.counted({0}, "a")


def findings(site: Site) -> tuple[int, dict[str, list[str]]]:
    done = site.one.cli("check", "--json")
    return done.returncode, {it["check"]: it["problems"] for it in json.loads(done.stdout)}


def test_events_that_are_all_late_and_a_topic_that_is_compacted_are_said(site: Site) -> None:
    late = "tidegauge_late_events_total"
    site.send(20, partitions=1)
    _, found = findings(site)
    assert found["topics"] == [] and found["event times"] == []
    admin = site.broker.admin()
    policy = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, site.topic, incremental_configs=[policy])
    admin.incremental_alter_configs([resource])[resource].result(30)
    with site.worker() as child:
        site.wait_reported(child, 20)
        # Two hours old, and into a topic that is idle: none of them is in any report.
        site.window -= 7_200
        site.send(40, partitions=1)
        site.wait_gauge(child, late, 40)
        assert site.one.gauge(late) == 40
        said = child.log.read_text()
        assert "40 events came after their windows had been deleted" in said and "'m' 40" in said
        mend = "--add-config cleanup.policy=delete"
        wait_until(
            lambda: mend in site.conditions().get("topic_settings", {}).get("detail", ""),
            seconds=30,
            what=lambda: f"/readyz names the topic, it is {site.conditions()}",
        )
        assert site.conditions()["topic_settings"]["state"] == "degraded"
        assert site.one.gauge("tidegauge_topic_problems") == 1
        assert f"topic {site.topic} has cleanup.policy=compact" in said
    code, found = findings(site)
    [problem] = found["topics"]
    # 4 is for the workers, none of which runs by now, and larger than the 2 for the topic.
    assert code == 4 and mend in problem
    [problem] = found["event times"]
    assert problem.startswith(f"20 of the 20 youngest events of {site.topic} were written up to 7")
