"""Labels on a real log: DETECT reports them, also if it is killed, and the CLI shows them."""

import json
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer

from support.counting import numeric
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.outcome_world import MODEL, TARGET, OutcomeWorld
from support.processes import wait_until
from support.product import Installation
from support.same_outputs import by_id
from support.world import a_state
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.contract import PerformanceReport, encode
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.windows.performance import PerformanceClosing, ReferenceFigures

pytestmark = pytest.mark.timeout(180)

SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "1",
    "TOPICS__OUTCOMES_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "1",
    "DETECT__CHECKPOINT_SECONDS": "0.5",
}


def _baseline() -> Baseline:
    """Return a baseline whose rows were all predicted right."""
    counts = OutcomeCounts(TARGET)
    score = np.where(np.arange(1_000) % 2, 0.8, 0.2)
    none = np.full(1_000, 65_535, dtype=np.uint16)
    counts.add(score, none, (score > 0.5).astype(np.float64), np.zeros(1_000))
    outcomes = BaselineOutcomes(
        target=TARGET, predicted=1_000, labelled=1_000, performance=counts.to_tally()
    )
    signals = {"amount": numeric([0.0], [500, 500])}
    return Baseline(
        model=MODEL, version="1", rows=1_000, source="hand", signals=signals, outcomes=outcomes
    )


@pytest.fixture
def installation(kafka_broker: KafkaBroker, empty_redis_url: str, tmp_path: Path) -> Installation:
    name = unique("performance")
    topics = {
        f"TOPICS__{kind.upper()}": f"{name}.{kind}"
        for kind in ("labels", "outcomes", "performance")
    }
    its = Installation(
        tmp_path, name, kafka_broker.bootstrap_servers, empty_redis_url, SETTINGS | topics
    )
    its.create_topics()
    return its


def _world(source: str, baseline: str) -> OutcomeWorld:
    """Return six hours of predictions; labels come late, some are corrected, a worker joins."""
    world = OutcomeWorld(source, {"1": baseline})
    world.now = world.now // 3600 * 3600 + 1.0
    for hour in range(6):
        for number in range(40):
            world.predict(f"{hour}-{number}", 0.8 if number % 2 else 0.2, region="EU")
        world.flush()
        world.now += 1200
        for number in range(40):
            world.label(f"{hour}-{number}", (number + (number < 4 * hour)) % 2)
        if hour % 2:
            world.move(0)
        world.now += 1200
        world.label(f"{hour}-0", 0)
        world.flush()
        world.now += 1200
        world.flush()
    return world


def _expected(world: OutcomeWorld, baseline: Baseline) -> list[bytes]:
    state = a_state()
    state.hold_baseline(baseline.id, baseline)
    references = ReferenceFigures()
    for offset, record in world.log:
        state.join(record, offset)
        state.pass_outcomes()
        closing = PerformanceClosing(state, topic="", references=references)
        for window in state.outcomes.due():
            closing.close(window)
    return [encode(output.record) for output in state.take_outputs()]


def test_figures_are_those_of_the_log_though_the_worker_is_killed(
    kafka_broker: KafkaBroker, empty_redis_url: str, installation: Installation
) -> None:
    baseline = _baseline()
    store = BaselineStore(empty_redis_url, prefix=installation.name)
    store.promote(MODEL, "1", store.put(baseline), now=time.time())
    world = _world(installation.topic("outcomes"), baseline.id)
    expected = _expected(world, baseline)
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})

    def send(log: list[bytes]) -> None:
        for value in log:
            producer.produce(installation.topic("histograms"), value, partition=0)
        producer.flush()

    values = [msgspec.json.encode(record) for _, record in world.log]
    reader = TopicReader(kafka_broker, installation.topic("performance"))

    def found() -> int:
        for _ in reader.more():
            pass
        return len(by_id([message.value() for message in reader.messages]))

    send(values[: len(values) // 2])
    child = installation.start("run", "--role", "detect")
    wait_until(found, seconds=60, what=lambda: f"a report\n{child.tail()}")
    child.kill()
    child = installation.start("run", "--role", "detect")
    try:
        send(values[len(values) // 2 :])
        wait_until(
            lambda: found() >= len(by_id(expected)),
            seconds=60,
            what=lambda: f"{len(by_id(expected))} reports, it is {found()}\n{child.tail()}",
        )
        # The same bytes, however often: a consumer acts on an id once.
        assert by_id([message.value() for message in reader.messages]) == by_id(expected)
        metric = f'tidegauge_performance{{cohort="latest_mature",figure="accuracy",model="{MODEL}"'
        wait_until(
            lambda: metric in (installation.http("/metrics") or (0, ""))[1],
            seconds=10,
            what=lambda: f"{metric}\n{(installation.http('/metrics') or (0, ''))[1][-4000:]}",
        )
        estimate = f'tidegauge_estimated_performance{{cohort="latest",figure="auc",model="{MODEL}"'
        assert estimate in (installation.http("/metrics") or (0, ""))[1]
        shown = installation.succeed("performance", "show", "--model", MODEL)
        assert "accuracy" in shown and shown.count("1.000 (") >= 1
        # It gets worse from hour to hour, which an estimate can't see: its record says so.
        assert "estimated" in shown
        assert "estimates held in earlier cohorts: accuracy in 0 of 3, auc in 3 of 3" in shown
        lines = installation.succeed(
            "performance", "show", "--model", MODEL, "--group", "region=EU", "--json"
        ).splitlines()
        reports = [msgspec.json.decode(line, type=PerformanceReport) for line in lines]
        assert len(reports) == 6 and {tuple(one.group.items()) for one in reports} == {
            (("region", "EU"),)
        }
        assert [one.worsening["accuracy"].value for one in reports] == sorted(
            one.worsening["accuracy"].value or 0.0 for one in reports
        )
        nobody = installation.succeed("performance", "show", "--model", "kredit")
        assert f"there are some of {MODEL}" in nobody
        assert json.loads(lines[0])["baseline"] == baseline.id
    finally:
        child.stop()
        reader.close()
