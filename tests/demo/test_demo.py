"""The demo as a newcomer runs it: librdkafka's mock cluster, a real Redis, a real model."""

import json
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import redis
import yaml
from typer.testing import CliRunner

from support.processes import Child
from tidegauge.audit.verify import verify
from tidegauge.cli.app import app
from tidegauge.contract.alert import Alert
from tidegauge.demo.nodes import DRIFT_FACTOR, DRIFTED, NAME, VERSION, Requests, train


def test_the_demo_ends_with_an_alert_that_can_be_recomputed_and_every_event_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge", "demo", "--once", "--json"],
        capture_output=True,
        text=True,
        timeout=150,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["seconds_to_first_alert"] < 90
    assert result["seconds_to_first_alert"] < result["seconds_to_accuracy_alert"] < 100
    assert result["events_sent"] == result["events_counted"] > result["labels_sent"] > 1000
    alert = result["alert"]
    assert (alert["model"], alert["version"], alert["state"]) == (NAME, VERSION, "firing")
    # The new scanner shifts one measurement, and with it the scores.
    named = {alert["signal"]} if alert["signal"] else {it["signal"] for it in alert["signals"]}
    assert named and named <= {DRIFTED, "prediction"}
    # Which of the rules on drift is heard of first is chance.
    assert alert["metric"] in ("kl_values", "surprise")
    if alert["metric"] == "kl_values":
        assert math.isclose(alert["value"], kl_of(alert["distribution"]), rel_tol=1e-9)
    checks = verify(msgspec.convert(alert, Alert))
    assert [check for check in checks if not check.holds] == []
    assert alert["value"] > alert["threshold"]
    worse = result["accuracy_alert"]
    assert (worse["rule"], worse["severity"]) == ("accuracy-drop", "critical")
    assert 0.85 < worse["value"] < worse["threshold"] < 0.95
    assert "/metrics" in done.stderr
    assert all(signal in done.stderr for signal in named)


def kl_of(distribution: dict[str, list[int]]) -> float:
    """KL(current‖reference), half a count on every bin that is hit, less what noise adds."""
    pairs = [
        (c + 0.5, r + 0.5)
        for c, r in zip(distribution["current"], distribution["reference"], strict=True)
        if c or r
    ]
    n, m = sum(c for c, _ in pairs), sum(r for _, r in pairs)
    kl = sum(c / n * math.log((c / n) / (r / m)) for c, r in pairs)
    noise = sum(1 / sum(distribution[side]) for side in ("current", "reference"))
    return kl - (len(pairs) - 1) / 2 * noise


def test_drift_changes_the_one_measurement_and_nothing_else() -> None:
    model = train()
    before = Requests(model, seed=1).serve(500, drifted=False)
    after = Requests(model, seed=1).serve(500, drifted=True)
    clean, drifted = before.rows, after.rows
    assert before.actual == after.actual
    column = model.features.index(DRIFTED)
    assert (drifted[:, column] == clean[:, column] * DRIFT_FACTOR).all()
    others = [i for i in range(len(model.features)) if i != column]
    assert (drifted[:, others] == clean[:, others]).all()


def test_the_services_alone_write_no_file_that_is_somebody_elses(tmp_path: Path) -> None:
    own = tmp_path / "tidegauge.yaml"
    own.write_text("kafka: {bootstrap_servers: 'kafka:9092'}\n")
    done = CliRunner().invoke(app, ["demo", "--services", str(own)])
    assert done.exit_code == 2 and "name another file" in done.stderr
    assert own.read_text() == "kafka: {bootstrap_servers: 'kafka:9092'}\n"


def test_the_services_alone_show_no_drift(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["demo", "--services", str(tmp_path / "one"), "--once"])
    assert done.exit_code == 2 and "neither --once nor --json" in done.stderr


def test_the_services_alone_end_by_sigterm_and_take_their_settings_along(tmp_path: Path) -> None:
    path = tmp_path / "tidegauge.yaml"
    command = [sys.executable, "-m", "tidegauge", "demo", "--services", str(path)]
    child = Child(command, log=tmp_path / "log")
    child.wait_for_output("Ctrl-C ends both", seconds=30)
    settings = yaml.safe_load(path.read_text())
    with redis.Redis.from_url(settings["redis"]["url"]) as client:
        assert client.ping()
    assert child.stop() == 0
    assert not path.exists()
    with (
        pytest.raises(redis.ConnectionError),
        redis.Redis.from_url(settings["redis"]["url"]) as client,
    ):
        client.ping()
