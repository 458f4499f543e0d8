"""``tidegauge verify``: true alerts are confirmed, and whatever is changed in one is named."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tidegauge.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
#: What says that there is no data has no figure to confirm.
ALERTS = sorted(it for it in EXAMPLES.glob("alert.*.json") if it.stem != "alert.no-data")


def verified(alert: Any) -> Result:
    return CliRunner().invoke(app, ["verify", "-"], input=json.dumps(alert))


def example(name: str) -> Any:
    return json.loads((EXAMPLES / f"alert.{name}.json").read_text())


@pytest.mark.parametrize("file", ALERTS, ids=lambda file: str(file.stem))
def test_every_example_is_confirmed(file: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(file)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("CONFIRMED: alert ")


def _change(path: str, value: Callable[[Any], Any]) -> Callable[[Any], None]:
    def change(alert: Any) -> None:
        *places, last = path.split(".")
        for place in places:
            alert = alert[int(place) if place.isdigit() else place]
        last_place: Any = int(last) if last.isdigit() else last
        alert[last_place] = value(alert[last_place])

    return change


@pytest.mark.parametrize(
    ("name", "path", "value", "what"),
    [
        ("firing", "value", lambda v: v + 1e-6, "kl"),
        ("firing", "events", lambda v: v + 1, "events"),
        ("firing", "distribution.current", lambda v: [v[0] + 10, v[1] - 10, *v[2:]], "kl"),
        ("surprise", "value", lambda v: v * 1.001, "value"),
        ("incident", "signals.0.value", lambda v: v * 1.001, "signals[0].value"),
        ("incident", "value", lambda v: v * 1.001, "value"),
        ("surprise", "evidence.surprise_nats", lambda v: v + 1, "surprise_nats"),
        ("surprise", "evidence.score", lambda v: "bin", "surprise_nats"),
        ("surprise", "evidence.counts", lambda v: v[::-1], "surprise_nats"),
        ("surprise", "evidence.counts", lambda v: v[:-1], "surprise_nats"),
        ("surprise", "evidence.psi_corrected", lambda v: v + 0.001, "psi_corrected"),
        ("surprise", "evidence.size", lambda v: "minor", "size"),
        ("surprise", "evidence.since_onset", lambda v: 0.5, "psi_corrected"),
        ("surprise-by-hour", "evidence.psi_of_bin", lambda v: v + 0.001, "psi_of_bin"),
        ("surprise", "evidence.change.moved.1.g", lambda v: -v, "≥ 137450: g"),
        ("surprise", "evidence.change.moved.0.bin", lambda v: "> 9", "> 9: current_share"),
        (
            "surprise",
            "evidence.change.missing_share_delta",
            lambda v: v + 0.01,
            "missing_share_delta",
        ),
        ("surprise", "evidence.events", lambda v: v + 1, "evidence.events"),
        ("surprise", "evidence.baseline_events", lambda v: v + 1, "evidence.baseline_events"),
        ("surprise", "evidence.bins", lambda v: v + 1, "evidence.bins"),
        ("surprise", "alarm_budget.looks", lambda v: v / 2, "threshold_nats"),
        ("surprise", "alarm_budget.slices", lambda v: v + 1, "threshold_nats"),
        ("surprise", "alarm_budget.alarms_per_month", lambda v: v * 2, "threshold_nats"),
    ],
)
def test_what_is_changed_in_an_alert_is_named(
    name: str, path: str, value: Callable[[Any], Any], what: str
) -> None:
    alert = example(name)
    before = copy.deepcopy(alert)
    _change(path, value)(alert)
    assert alert != before
    result = verified(alert)
    assert result.exit_code == 1
    assert result.stdout.startswith("DIFFERS: ")
    [line] = [one for one in result.stdout.splitlines() if one.startswith(f"  {what}: ")]
    assert "the alert says" in line and "as the alert says" not in line


def test_a_budget_without_bounds_can_be_verified_too() -> None:
    alert = example("surprise")
    alert["alarm_budget"]["alarms_per_month"] = 1e9
    alert["alarm_budget"]["threshold_nats"] = math.log(2)
    alert["value"] = alert["evidence"]["surprise_nats"] / math.log(2)
    assert verified(alert).stdout.startswith("CONFIRMED")


def test_json_has_every_check() -> None:
    result = CliRunner().invoke(app, ["verify", "--json", str(EXAMPLES / "alert.firing.json")])
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "CONFIRMED"
    assert [check["what"] for check in answer["checks"]] == ["kl", "events"]


def test_an_alert_without_counts_says_where_its_figure_is() -> None:
    alert = example("firing") | {"metric": "latency_mean_ms", "distribution": None}
    result = verified(alert)
    assert result.exit_code == 2
    assert f"report {alert['report']}" in result.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 3}'])
def test_what_is_no_alert_is_refused(text: str) -> None:
    result = CliRunner().invoke(app, ["verify", "-"], input=text)
    assert result.exit_code == 2
    assert "is no alert" in result.stderr
