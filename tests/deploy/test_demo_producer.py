"""The demo producer of docker-compose.yml: a baseline that fits it, and drift that shows."""

import csv
import importlib.util
import random
import sys

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer, Producer

from support.deployment import ROOT, read_yaml, run
from support.processes import Child, wait_until
from tidegauge.contract.prediction import PredictionEvent

SCRIPT = ROOT / "deploy" / "demo_producer.py"


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("demo_producer", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _scores(demo, *, drifted, seed):
    rng = random.Random(seed)
    return np.array([demo.predict(rng, drifted=drifted) for _ in range(12_000)], dtype=object)


def _kl(current, reference):
    edges = np.quantile(reference, np.arange(0.05, 1, 0.05))
    p, q = (
        np.bincount(np.searchsorted(edges, x), minlength=20) + 0.5 for x in (current, reference)
    )
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def _column(rows, name):
    return np.array([row[0][name] for row in rows if row[0][name] is not None])


def test_income_drifts_far_over_the_thresholds_and_nothing_does_without_drift(demo):
    reference = _scores(demo, drifted=False, seed=1)
    calm = _scores(demo, drifted=False, seed=2)
    drifted = _scores(demo, drifted=True, seed=3)
    for name in ("income", "age", "debt_ratio"):
        assert _kl(_column(calm, name), _column(reference, name)) < 0.01
    assert _kl(_column(drifted, "income"), _column(reference, "income")) > 0.14
    assert "gig worker" not in _column(reference, "job")
    assert 0.05 < (_column(drifted, "job") == "gig worker").mean() < 0.11
    assert all(0 < row[1] < 1 for row in drifted)


def test_the_baseline_has_the_columns_of_the_stream_and_the_score(demo, tmp_path):
    path = tmp_path / "credit.csv"
    made = run(sys.executable, SCRIPT, "--write-baseline", path, "--rows", "500")
    assert made.returncode == 0, made.stderr
    with path.open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 500
    streamed = demo.predict(random.Random(1), drifted=False).features
    assert list(rows[0]) == [*streamed, "prediction"]
    assert {row["job"] for row in rows} == set(demo.JOBS)


def test_it_streams_events_of_the_contract_until_it_is_stopped(tmp_path):
    # librdkafka's cluster in this process: real protocol, nothing to install.
    cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    broker = next(iter(cluster.list_topics("predictions", timeout=10).brokers.values()))
    servers = f"{broker.host}:{broker.port}"
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    child = Child(
        [sys.executable, str(SCRIPT), "--bootstrap-servers", servers, "--drift-after", "0"],
        log=tmp_path / "producer.log",
    )
    events = []

    def enough():
        child.check_alive()
        for message in consumer.consume(100, timeout=0.2):
            assert message.error() is None, message.error()
            events.append(msgspec.json.decode(message.value(), type=PredictionEvent))
        return len(events) >= 200

    try:
        consumer.subscribe(["predictions"])
        wait_until(
            enough, seconds=60, what=lambda: f"200 events, not {len(events)}\n{child.tail()}"
        )
        assert child.stop() == 0, child.tail()
    finally:
        child.kill()
        consumer.close()
    assert {(event.model, event.version) for event in events} == {("credit", "1")}
    assert {"income", "age", "debt_ratio", "job"} == events[0].features.keys()
    assert any(event.features["age"] is None for event in events)
    assert all(event.latency_ms > 0 and 0 < event.prediction < 1 for event in events)
    assert "delivered" in child.output()


def test_compose_calls_it_with_options_that_it_has():
    services = read_yaml("docker-compose.yml")["services"]
    options = [*services["producer"]["command"], *" ".join(services["baseline"]["command"]).split()]
    known = run(sys.executable, SCRIPT, "--help").stdout
    asked = [one for one in services["producer"]["command"] if one.startswith("--")]
    assert asked and all(f"{one} " in known for one in asked)
    assert "--write-baseline" in options and "--write-baseline " in known
