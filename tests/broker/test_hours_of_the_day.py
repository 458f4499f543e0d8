"""A model with a daily cycle on a real broker and a real Redis: from rows to a checked alert."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer
from scipy import stats

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(240)

DAY = 86_400
BASELINE_DAYS = 15
ROWS_A_DAY = 24_000
WINDOW_SECONDS = 10
EVENTS = 400
QUIET, APART, DRIFTED = 6, 3, 3

#: How far amounts and those of the partner go together, before they no longer do.
TOGETHER = 0.9
PAIR = "joint pair 1: +amount -partner"

RULES = """
rules:
  - {name: drift-alarm, signal: amount, metric: surprise, above: 1, severity: high}
  - {name: joint-alarm, signal: "joint *", metric: surprise, above: 1, severity: high}
"""


Floats = npt.NDArray[np.float64]


def _mean(seconds: Floats) -> Floats:
    """Return a level two standard deviations up and down each day."""
    result: Floats = 2 * np.sin(2 * np.pi * seconds / DAY)
    return result


def _write_rows(path: Path, until: float, rng: np.random.Generator) -> None:
    rows = BASELINE_DAYS * ROWS_A_DAY
    seconds = until - BASELINE_DAYS * DAY + np.arange(rows) * DAY / ROWS_A_DAY
    amount, partner = _features(seconds, 0.0, TOGETHER, rng)
    at = pa.array((seconds * 1e6).astype(np.int64), pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"at": at, "amount": amount, "partner": partner}), path)


def _features(seconds: Floats, drift: float, together: float, rng: np.random.Generator) -> Floats:
    """Return amounts, and those of the partner, which look the same however far they agree."""
    ours, other = rng.normal(size=(2, len(seconds)))
    level, partner = _mean(seconds), together * ours + np.sqrt(1 - together**2) * other
    return np.array([level + drift + ours, level + partner])


def _events(
    start: float, drift: float, together: float, rng: np.random.Generator
) -> Iterator[bytes]:
    seconds = start + np.sort(rng.uniform(0, WINDOW_SECONDS, EVENTS))
    values = _features(seconds, drift, together, rng).T
    for at, (amount, partner) in zip(seconds.tolist(), values.tolist(), strict=True):
        features = {"amount": amount, "partner": partner}
        event = {"time": at, "model": "orders", "version": "1", "features": features}
        yield json.dumps(event).encode()


@pytest.fixture(scope="module")
def installation(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("hours")
    (directory / "rules.yaml").write_text(RULES)
    settings = {
        "TOPICS__PREDICTIONS_PARTITIONS": "1",
        "TOPICS__DETECT_PARTITIONS": "1",
        "DETECT__RULES_FILE": str(directory / "rules.yaml"),
        "WINDOWS__SECONDS": str(WINDOW_SECONDS),
        "WINDOWS__GRACE_SECONDS": "1",
        "INGEST__IDLE_SECONDS": "3",
        "INGEST__FLUSH_SECONDS": "0.5",
    }
    one = Installation(
        directory / "installation",
        unique("hours"),
        kafka_broker.bootstrap_servers,
        redis_url,
        settings,
    )
    one.create_topics()
    rng = np.random.default_rng(1)
    now = time.time()
    _write_rows(one.directory / "rows.parquet", now - 3600, rng)
    one.succeed(
        *("baseline", "create", "--model", "orders", "--version", "1", "--time", "at"),
        *("--from", "rows.parquet", "--promote", "--time-zone", "UTC", "--holidays", "none"),
        *("--joint", "2", "--pairs", "1"),
        seconds=120,
    )
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers, "acks": "all"})
    start = (now - 200) // WINDOW_SECONDS * WINDOW_SECONDS
    for number in range(QUIET + APART + DRIFTED):
        drift, apart = 3.0 * (number >= QUIET + APART), QUIET <= number < QUIET + APART
        together = 0.0 if apart else TOGETHER
        for event in _events(start + number * WINDOW_SECONDS, drift, together, rng):
            producer.produce(one.topic("predictions"), event)
        producer.poll(0)
    assert producer.flush(60) == 0
    child = one.start("run")
    try:
        one.wait_ready(child)
        yield one
    finally:
        child.stop()


@pytest.fixture(scope="module")
def reports(installation: Installation, kafka_broker: KafkaBroker) -> list[dict[str, Any]]:
    """Return the windows in order."""
    reader = TopicReader(kafka_broker, installation.topic("windows"))
    found: list[dict[str, Any]] = []

    def complete() -> bool:
        found.extend(json.loads(message.value()) for message in reader.more())
        return sum(report["events"] for report in found) >= (QUIET + APART + DRIFTED) * EVENTS

    try:
        wait_until(complete, seconds=90, what=lambda: f"all windows reported, not {len(found)}")
    finally:
        reader.close()
    return sorted(found, key=lambda report: report["window_start"])


def _surprise(report: dict[str, Any], signal: str = "amount") -> float:
    [part] = report["parts"]
    evidence: float = part["signals"][signal]["evidence"]["surprise_nats"]
    threshold: float = part["alarm_budget"]["threshold_nats"]
    return evidence / threshold


def test_the_budget_of_a_baseline_by_hour_of_day_is_guaranteed(
    reports: list[dict[str, Any]],
) -> None:
    budgets = [report["parts"][0]["alarm_budget"] for report in reports]
    assert [(it["guaranteed"], it["reason"]) for it in budgets] == [(True, None)] * len(reports)


def test_windows_like_their_hour_are_no_drift_and_others_are(
    reports: list[dict[str, Any]],
) -> None:
    quiet = QUIET + APART
    assert [_surprise(report) > 1 for report in reports] == [False] * quiet + [True] * DRIFTED


def test_features_that_no_longer_go_together_drift_jointly_and_not_alone(
    reports: list[dict[str, Any]],
) -> None:
    assert not any(_surprise(report, PAIR) > 1 for report in reports[:QUIET])
    for report in reports[QUIET : QUIET + APART]:
        assert _surprise(report, PAIR) > 1 and _surprise(report, "partner") < 1
        together = report["parts"][0]["pattern"]["together"]
        assert PAIR in {it["signal"] for it in together}


def test_what_was_expected_is_what_the_hour_has(
    installation: Installation, reports: list[dict[str, Any]]
) -> None:
    name = ("--model", "orders", "--version", "1")
    edges = json.loads(installation.succeed("baseline", "show", *name, "--json"))
    edge = edges["signals"]["amount"]["edges"][6]  # half of the whole baseline is below
    report = reports[-1]
    expected = report["parts"][0]["signals"]["amount"]["evidence"]["expectation"]["expected"]
    below = sum(expected[:7]) / sum(expected)
    middle = float(_mean(np.array([report["window_start"] + WINDOW_SECONDS / 2]))[0])
    assert below == pytest.approx(stats.norm.cdf(edge, middle), abs=0.02)


def test_verify_confirms_the_alerts(
    installation: Installation, kafka_broker: KafkaBroker, reports: list[dict[str, Any]]
) -> None:
    reader = TopicReader(kafka_broker, installation.topic("alerts"))
    try:
        alerts: list[dict[str, Any]] = []

        def raised() -> bool:
            alerts.extend(json.loads(message.value()) for message in reader.more())
            return {it["rule"] for it in alerts} == {"joint-alarm", "drift-alarm"}

        wait_until(raised, seconds=30, what=lambda: f"both alerts were raised, not {alerts}")
    finally:
        reader.close()
    firing = {it["rule"]: it for it in reversed(alerts) if it["state"] == "firing"}
    assert {rule: it["window_start"] for rule, it in firing.items()} == {
        "joint-alarm": reports[QUIET]["window_start"],
        "drift-alarm": reports[QUIET + APART]["window_start"],
    }
    assert firing["joint-alarm"]["signals"][0]["signal"] == PAIR
    file = installation.directory / "alert.json"
    for alert in firing.values():
        assert alert["evidence"]["expectation"] is not None
        file.write_text(json.dumps(alert))
        said = installation.succeed("verify", str(file))
        assert said.startswith(f"CONFIRMED: alert {alert['id']}"), said
