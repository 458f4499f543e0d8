"""OUTCOMES on a real broker: whatever it dies of, its cells are what an oracle counts."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from support import dying_ledger
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.outcome_log import (
    RETENTION,
    TARGETS,
    counted_in,
    expected_counts,
    random_log,
    record_of,
)
from support.outcome_oracle import Guess, Oracle, Truth
from support.processes import Child, wait_until
from support.product import Installation
from tidegauge.contract import DeadLetter, HistogramRecord, decode
from tidegauge.roles.outcomes.state import LAG_SECONDS

pytestmark = pytest.mark.timeout(240)

EARLY = 20

REASONS = {
    "unknown": "unknown_prediction",
    "expired": "expired_label",
    "invalid_class": "invalid_class",
}


@pytest.fixture
def installation(tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str) -> Installation:
    return Installation(
        tmp_path,
        unique("outcomes"),
        kafka_broker.bootstrap_servers,
        redis_url,
        {
            "TOPICS__OUTCOMES_PARTITIONS": "2",
            "TOPICS__DETECT_PARTITIONS": "2",
            "OUTCOMES__RETENTION_SECONDS": "1000",
            "OUTCOMES__EARLY_SECONDS": str(EARLY),
            "OUTCOMES__FLUSH_SECONDS": "0.2",
            "OUTCOMES__SESSION_TIMEOUT_SECONDS": "6",
        },
    )


class Logs:
    """A random log for each partition, written in two halves; and what an oracle makes of it."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        begin = time.time() - 12 * 3600
        self._logs = [random_log(seed, 40, begin=begin) for seed in (1, 2)]
        retention = dict.fromkeys(RETENTION, 1000)
        self.oracles = [Oracle(EARLY, 1_000, LAG_SECONDS, retention) for _ in self._logs]
        self.ends = [0, 0]

    def write(self, records: slice) -> None:
        producer = Producer({"bootstrap.servers": self._installation.bootstrap_servers})
        for partition, log in enumerate(self._logs):
            for at, events in log[records]:
                value = record_of(events, at)
                producer.produce(
                    self._installation.topic("outcomes"),
                    value,
                    partition=partition,
                    timestamp=int(at * 1000),
                )
                self.oracles[partition].take(at, events)
                self.ends[partition] += 1
        assert producer.flush(30) == 0


def lose_offsets(broker: KafkaBroker, group: str) -> None:
    """Delete a consumer group, once its dead members have left it."""
    admin = broker.admin()

    def deleted() -> bool:
        try:
            admin.delete_consumer_groups([group])[group].result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                raise
            return False
        return True

    wait_until(deleted, seconds=60, what=f"{group} is empty")


@contextmanager
def running(child: Child) -> Iterator[Child]:
    try:
        yield child
    finally:
        child.kill()


def counted(reader: TopicReader) -> tuple[dict, list[HistogramRecord]]:
    for _ in reader.more():
        pass
    records = [decode(m.value(), HistogramRecord) for m in reader.messages]
    newest = {}
    for record in sorted(records, key=lambda it: it.seq):
        for cell in record.outcomes or ():
            newest[record.tenure, cell.model, cell.kind, cell.window_start] = cell
    return newest, records


def wait_joined(reader: TopicReader, ends: list[int], child: Child) -> list[HistogramRecord]:
    def reached() -> dict[int, int]:
        found: Counter[int] = Counter()
        for record in counted(reader)[1]:
            for partition, at in record.ranges.items():
                found[partition] = max(found[partition], at.to)
        return found

    wait_until(
        lambda: reached() == dict(enumerate(ends)),
        seconds=60,
        what=lambda: f"joined to {ends}, it is {reached()}\n{child.tail()}",
    )
    return counted(reader)[1]


def check_tiles(records: list[HistogramRecord], ends: list[int]) -> None:
    for partition, end in enumerate(ends):
        spans = {}
        for record in records:
            if partition in record.ranges:
                at = record.ranges[partition]
                spans[record.tenure] = (at.start, max(at.to, spans.get(record.tenure, (0, 0))[1]))
        at = 0
        for start, to in sorted(spans.values()):
            assert start == at, f"partition {partition}: {sorted(spans.values())}"
            at = to
        assert at == end


@pytest.mark.parametrize("step", ["records sent", "committed"])
def test_a_worker_killed_at_any_step_counts_each_label_once(
    installation: Installation, kafka_broker: KafkaBroker, step: str
) -> None:
    # Not as it would be made: so a log of hours can be written in seconds.
    written = {"message.timestamp.type": "CreateTime"}
    kafka_broker.create_topics({installation.topic("outcomes"): 2}, written)
    installation.create_topics()
    logs = Logs(installation)
    logs.write(slice(0, 20))
    histograms = TopicReader(kafka_broker, installation.topic("histograms"))
    letters = TopicReader(kafka_broker, installation.topic("dead_letters"))
    mark = installation.directory / "died"
    command = [sys.executable, dying_ledger.__file__, "SIGKILL", step, str(mark)]
    with running(
        Child(
            [*command, "run", "--role", "outcomes"],
            log=installation.directory / "dying.log",
            env=installation.environment(),
            cwd=installation.directory,
        )
    ) as child:
        assert child.process.wait(60) == -9, child.tail()
    logs.write(slice(20, 30))
    with running(replace(installation).start("run", "--role", "outcomes")) as child:
        wait_joined(histograms, logs.ends, child)
        # Killed between flushes: what it remembers is gone with it.
    if step == "committed":
        lose_offsets(kafka_broker, f"{installation.name}-outcomes")
    logs.write(slice(30, None))
    last = replace(installation)
    with running(last.start("run", "--role", "outcomes")) as child:
        records = wait_joined(histograms, logs.ends, child)
        last.wait_ready(child)
        assert last.gauge("tidegauge_pending_predictions") is not None
        assert child.stop() == 0, child.tail()
    check_tiles(records, logs.ends)
    assert counted_in(counted(histograms)[0].values()) == merged(*logs.oracles)
    for _ in letters.more():
        pass
    found = [decode(m.value(), DeadLetter) for m in letters.messages]
    assert sorted((it.partition, it.offset, it.label_problem) for it in found) == sorted(
        (partition, offset, REASONS[reason])
        for oracle in logs.oracles
        for partition, offset, reason in oracle.unused
    )


def test_a_writer_whose_clock_is_a_year_ahead_lets_no_prediction_expire(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    installation.create_topics()
    now = time.time()

    def guess(id: str) -> Guess:
        stratum = ("credit", "1", "", ())
        return Guess(
            id=id, stratum=stratum, target=TARGETS["credit"], value=0.5, predicted=1, time=int(now)
        )

    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
    label = Truth(id="a", actual=1, arrived=now, place=(0, 0))
    for at, event in ((now, guess("a")), (now + 365 * 86_400, guess("b")), (now, label)):
        value = record_of([event], now)
        topic = installation.topic("outcomes")
        producer.produce(topic, value, partition=0, timestamp=int(at * 1000))
    assert producer.flush(30) == 0
    with running(installation.start("run", "--role", "outcomes")) as child:
        joined = 'tidegauge_labels_total{result="joined"}'
        wait_until(lambda: installation.gauge(joined) == 1, seconds=60, what=child.tail)
        assert installation.gauge('tidegauge_labels_total{result="expired"}') in (None, 0)


def merged(*oracles: Oracle) -> dict:
    """Return what both count: a window of a slice may have labels of either partition."""
    both = oracles[0]
    both.alone += list(oracles[1].counted().elements())
    both.joinable += oracles[1].joinable
    return expected_counts(both, 3600, 60)
