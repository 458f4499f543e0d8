"""The demo as a newcomer runs it: librdkafka's mock cluster, a real Redis, a real model."""

import json
import math
import subprocess
import sys

import msgspec

from tidegauge.contract import Alert
from tidegauge.demo.model import DRIFT_FACTOR, DRIFTED, NAME, VERSION, Requests, train
from tidegauge.rules.verify import verify


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
    assert result["events_sent"] == result["events_counted"] > 1000
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
    assert "/metrics" in done.stderr
    assert all(signal in done.stderr for signal in named)


def kl_of(distribution: dict[str, list[int]]) -> float:
    """KL(current‖reference) with half a count on every bin that either side has hit."""
    pairs = [
        (c + 0.5, r + 0.5)
        for c, r in zip(distribution["current"], distribution["reference"], strict=True)
        if c or r
    ]
    n, m = sum(c for c, _ in pairs), sum(r for _, r in pairs)
    return sum(c / n * math.log((c / n) / (r / m)) for c, r in pairs)


def test_drift_changes_the_one_measurement_and_nothing_else() -> None:
    model = train()
    clean, _, _ = Requests(model, seed=1).serve(500, drifted=False)
    drifted, _, _ = Requests(model, seed=1).serve(500, drifted=True)
    column = model.features.index(DRIFTED)
    assert (drifted[:, column] == clean[:, column] * DRIFT_FACTOR).all()
    others = [i for i in range(len(model.features)) if i != column]
    assert (drifted[:, others] == clean[:, others]).all()
