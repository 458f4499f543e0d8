"""The alerts, actions and audit records of a real run are those that its traffic was made for."""

import json
from collections import Counter
from typing import Any

import pytest

from support.alert_oracle import RULES, VALUE_RULES, ExpectedAlert, expected_alerts
from support.monitored import Monitored
from support.oracle import kl_nats, kl_values_nats
from support.traffic import AMOUNT_DRIFTS, NEW_REGION, RANKER_IS_SLOW, WINDOW_SECONDS

pytestmark = pytest.mark.timeout(240)


def event_of(alert: dict[str, Any]) -> str:
    """Return what an alert tells: its state, unless that is as it was."""
    if alert["reminder"]:
        return "reminder"
    return "raised" if alert["raised"] else str(alert["state"])


def alert_key(alert: dict[str, Any]) -> ExpectedAlert:
    names = ("rule", "model", "version", "variant", "signal", "state", "starts_at", "window_start",
             "reminder")  # fmt: skip
    return ExpectedAlert(*(alert[name] for name in names))


def test_exactly_the_expected_alerts_are_raised_and_resolved(run: Monitored) -> None:
    expected = expected_alerts(run.verdict.cells, run.baselines, WINDOW_SECONDS)
    found = {alert_key(alert) for alert in run.alerts()}
    assert found == expected, f"missing {expected - found}, not expected {found - expected}"


def test_the_alerts_are_those_that_the_traffic_was_made_for(run: Monitored) -> None:
    """The oracle's own answer, checked against what the traffic was meant to do."""

    def window(number: int) -> int:
        return run.start + number * WINDOW_SECONDS

    def told(rule: str, model: str, signal: str | None, *events: tuple[str, int, int]) -> None:
        slot = (rule, model, {"credit": "3", "ranker": "1"}[model], "", signal)
        began = window(events[0][1])
        meant.update(
            ExpectedAlert(*slot, state, began, window(number), reminder)
            for state, number, reminder in events
        )

    meant: set[ExpectedAlert] = set()
    for rule, model, signal, windows in (
        ("drift", "credit", "amount", AMOUNT_DRIFTS),
        ("drift-retrain", "credit", "amount", AMOUNT_DRIFTS),
        ("drift", "credit", "region", NEW_REGION),
        ("drift-retrain", "credit", "region", NEW_REGION),
        ("latency-rollback", "ranker", None, RANKER_IS_SLOW),
        ("values-drift", "credit", "amount", AMOUNT_DRIFTS),
        ("drift-unless-new", "credit", "amount", AMOUNT_DRIFTS),
        ("new-values", "credit", "region", NEW_REGION),
    ):
        told(rule, model, signal, ("firing", windows.start, 0), ("resolved", windows.stop, 0))
    told("drift-lasting", "credit", "amount", ("pending", 4, 0), ("firing", 5, 0), ("firing", 6, 1),
         ("resolved", 8, 0))  # fmt: skip
    told("drift-lasting", "credit", "region", ("pending", 8, 0), ("firing", 9, 0),
         ("resolved", 11, 0))  # fmt: skip
    told("slow-lasting", "ranker", None, ("pending", 5, 0), ("inactive", 8, 0))
    assert expected_alerts(run.verdict.cells, run.baselines, WINDOW_SECONDS) == meant


def test_a_backtest_of_the_rules_in_force_finds_the_same_alerts(run: Monitored) -> None:
    result = json.loads(run.installation.succeed("backtest", "--since", "-2h", "--json"))
    alerts = run.records("alerts")
    ended = {
        (it["fingerprint"], it["starts_at"]): it["ends_at"]
        for it in alerts
        if it["state"] == "resolved"
    }
    names = ("rule", "model", "version", "variant", "signal", "starts_at", "window_end", "value")
    assert {(*(it[name] for name in names), it["ends_at"]) for it in result["episodes"]} == {
        (*(it[name] for name in names), ended.get((it["fingerprint"], it["starts_at"])))
        for it in alerts
        if event_of(it) == "firing"
    }
    assert all(it["alarms"] == it["in_force"] for it in result["rules"])
    assert sum(it["alarms"] for it in result["rules"]) == len(result["episodes"]) > 0
    first = [one for one in run.records("windows") if one["revision"] == 0]
    assert result["windows"] + sum(it["passed_by"] for it in result["slices"]) == len(
        {one["id"] for one in first}
    )


def test_an_alert_can_be_recomputed_from_what_it_carries(run: Monitored) -> None:
    reports = {report["id"]: report for report in run.records("windows")}
    for alert in run.alerts():
        report = reports[alert["report"]]
        assert report["window_start"] == alert["window_start"]
        rule = next(rule for rule in RULES + VALUE_RULES if rule.name == alert["rule"])
        assert alert["threshold"] == rule.threshold
        assert alert["minimum_events"] == rule.minimum_events
        holds = alert["state"] in ("pending", "firing")
        assert (alert["value"] > rule.threshold) == holds
        assert alert["counted"] == report["counted"]
        if alert["metric"] == "kl":
            shown = alert["distribution"]
            assert len(shown["bins"]) == len(shown["reference"]) == len(shown["current"])
            assert kl_nats(shown["current"], shown["reference"]) == pytest.approx(alert["value"])
            assert sum(shown["current"]) == alert["events"] == report["events"]
            assert sum(shown["reference"]) == alert["baseline_events"]
            reference = run.baselines[alert["model"], alert["version"]]["signals"]
            assert shown["edges"] == reference[alert["signal"]].get("edges")
            assert {it["bin"] for it in alert["top_bins"]} <= set(shown["bins"])
            assert alert["top_bins"] and alert["threshold_by"] == "rule"
        elif alert["metric"] == "kl_values":
            shown = alert["distribution"]
            numeric = shown["edges"] is not None
            found = kl_values_nats(shown["current"], shown["reference"], numeric)
            assert found == pytest.approx(alert["value"])
        elif alert["metric"] == "latency_mean_ms":
            assert alert["value"] == pytest.approx(report["latency"]["mean_ms"])


def test_each_alert_and_each_action_has_one_audit_record(run: Monitored) -> None:
    # The trail has each once, however often it was reported.
    audit = [it for it in run.records("audit") if it["event"].startswith(("alert.", "action."))]
    inhibited = [record for record in audit if record["event"] == "alert.inhibited"]
    # New regions are said to be new, and are no drift to the rule that yields to that.
    found = [
        (it["actor"], it["inputs"]["signal"], it["inputs"]["inhibited_by"]) for it in inhibited
    ]
    assert found == [("rule:drift-unless-new", "region", "new-values")]
    audit = [record for record in audit if record not in inhibited]
    subjects = Counter((record["event"], record["subject"]) for record in audit)
    expected = {(f"alert.{event_of(one)}", one["id"]): 1 for one in run.records("alerts")}
    expected |= {("action.requested", one["id"]): 1 for one in run.records("actions")}
    assert subjects == expected


def test_the_audit_trail_says_who_promoted_and_can_be_verified(run: Monitored) -> None:
    promoted = [one for one in run.records("audit") if one["event"] == "baseline.promoted"]
    assert {(one["model"], one["version"]) for one in promoted} == set(run.baselines)
    assert run.installation.succeed("audit", "verify").startswith("CONFIRMED")


def test_each_firing_alert_of_a_rule_with_an_action_asks_for_it_once(run: Monitored) -> None:
    wanted = {rule.name: rule.action for rule in RULES + VALUE_RULES}
    firing = {one["id"]: one for one in run.alerts() if one["state"] == "firing"}
    expected = {(one["id"], wanted[one["rule"]]) for one in firing.values() if wanted[one["rule"]]}
    actions = {one["id"]: one for one in run.records("actions")}
    assert {(one["alert"], one["kind"]) for one in actions.values()} == expected
    assert len(actions) == len(expected) == 3
    for alert in firing.values():
        assert set(alert["actions"]) == {
            one["id"] for one in actions.values() if one["alert"] == alert["id"]
        }


def test_a_retrain_action_names_the_last_day_of_data(run: Monitored) -> None:
    alerts = {one["id"]: one for one in run.records("alerts")}
    retrain = [one for one in run.records("actions") if one["kind"] == "retrain"]
    assert retrain
    for action in retrain:
        data = action["data"]
        assert data is not None, action
        window_start = alerts[action["alert"]]["window_start"]
        assert data["until"] - data["since"] == pytest.approx(24 * 3600)
        assert data["until"] >= window_start + WINDOW_SECONDS
        ranges = {one["partition"]: one for one in data["offsets"]}
        assert {one["topic"] for one in data["offsets"]} == {run.source}
        # All of the topic is younger than a day, so the range begins where the topic does.
        assert {one["start"] for one in ranges.values()} == {0}
        assert ranges.keys() == run.ends.keys()
        for partition, one in ranges.items():
            assert one["to"] <= run.ends[partition], action
        # What was on time in the window that raised the alert is part of the data.
        cell = run.verdict.cells["credit", "3", "", window_start]
        named = sum(
            offset < ranges[partition]["to"]
            for partition, offsets in cell.offsets.items()
            for offset in offsets
        )
        assert named >= 0.95 * sum(map(len, cell.offsets.values()))
