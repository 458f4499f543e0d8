"""A real broker, a real Redis and a real Prometheus; what comes out is what an oracle counted.

One run of the product serves all tests of this file. Half of the traffic is there before it starts,
the other half arrives while it works.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from support.alert_oracle import RULES, ExpectedAlert, expected_alerts
from support.kafka_broker import KafkaBroker
from support.monitored import IDLE_SECONDS, MINIMUM_PSI, TOO_LATE_EVENTS, Monitored, monitored
from support.oracle import CellKey, Histogram, current_bins, kl_nats, reference_bins
from support.processes import wait_until
from support.traffic import (
    AMOUNT_DRIFTS,
    EVENTS,
    NEW_REGION,
    RANKER_IS_SLOW,
    WINDOW_SECONDS,
    WINDOWS,
)
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.detector import judge
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference, SignalReference

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def run(
    kafka_broker: KafkaBroker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("end_to_end"), kafka_broker, redis_url) as one:
        yield one


def event_of(alert: dict[str, Any]) -> str:
    """Return what an alert tells: its state, unless that is as it was."""
    if alert["reminder"]:
        return "reminder"
    return "raised" if alert["raised"] else str(alert["state"])


def signals_of(report: dict[str, Any]) -> dict[str, Any]:
    assert len(report["parts"]) == 1, f"no baseline changed, yet there are parts {report['parts']}"
    signals: dict[str, Any] = report["parts"][0]["signals"]
    return signals


def histogram_problems(found: dict[str, Any], expected: Histogram) -> list[str]:
    """Say where a reported histogram is not the oracle's."""
    problems = [
        f"{name}: found {found.get(name, 0)}, expected {getattr(expected, name)}"
        for name in ("counts", "absent", "null", "nan", "invalid")
        if found.get(name, 0) != getattr(expected, name)
    ]
    for name, scale in (("sum", expected.sum_of_magnitudes), ("sumsq", expected.sumsq)):
        total = found.get(name, 0.0)
        if not abs(total - getattr(expected, name)) <= 1e-9 * scale:
            problems.append(f"{name}: found {total}, expected {getattr(expected, name)}")
    return problems


def extreme_problems(found: dict[str, Any], expected: Histogram) -> list[str]:
    return [
        f"{name}: found {found.get(name)}, expected {getattr(expected, name)}"
        for name in ("minimum", "maximum")
        if found.get(name) != getattr(expected, name)
    ]


def test_the_traffic_is_what_it_is_meant_to_be(run: Monitored) -> None:
    events = Counter[str]()
    for (model, _, _, _), cell in run.verdict.cells.items():
        events[model] += cell.events
    # Every batch of bad rows has one sound one, of ranker's, in each window.
    expected = {model: n * WINDOWS for model, n in EVENTS.items()}
    assert events == expected | {"ranker": expected["ranker"] + WINDOWS}
    assert len(set(run.verdict.dead.values())) == 9


def test_exactly_the_windows_of_the_oracle_are_reported(run: Monitored) -> None:
    assert run.latest_reports().keys() == run.verdict.cells.keys()


def test_every_count_of_every_window_equals_the_oracles(run: Monitored) -> None:
    problems: list[str] = []
    compared = 0
    for key, report in run.latest_reports().items():
        expected = run.verdict.cells[key]
        errors = expected.signals["status"].counts[1]
        if (report["events"], report["errors"]) != (expected.events, errors):
            problems.append(
                f"{key}: {report['events']} events, {report['errors']} errors; "
                f"expected {expected.events}, {errors}"
            )
        found = signals_of(report)
        if found.keys() != expected.signals.keys():
            problems.append(f"{key}: signals {sorted(found.keys() ^ expected.signals.keys())}")
            continue
        for name, histogram in expected.signals.items():
            compared += 1
            reported = found[name]["histogram"]
            wrong = histogram_problems(reported, histogram) + extreme_problems(reported, histogram)
            problems.extend(f"{key} {name}: {one}" for one in wrong)
    assert not problems, f"{len(problems)} differences\n" + "\n".join(problems[:40])
    # Latency and status come on top of what is in the baseline; ranker has a prediction besides.
    credit = len(run.baselines["credit", "3"]["signals"]) + 2
    assert compared == WINDOWS * (2 * credit + (101 + 2) + 3)


def test_every_figure_of_a_report_follows_from_its_counts(run: Monitored) -> None:
    for key, report in run.latest_reports().items():
        reference = run.baselines.get(key[:2], {"signals": {}})["signals"]
        for name, signal in signals_of(report).items():
            expected = run.verdict.cells[key].signals[name]
            missing = (expected.absent + expected.null) / expected.events
            assert signal["missing_share"] == pytest.approx(missing, rel=1e-12), (key, name)
            if name not in reference or name in ("latency_ms", "status"):
                continue
            current, against = current_bins(expected), reference_bins(reference[name])
            forth, back = kl_nats(current, against), kl_nats(against, current)
            drift = signal["drift"]
            where = f"{key} {name}"
            assert drift["kl_current_reference_nats"] == pytest.approx(forth, abs=1e-9), where
            assert drift["kl_reference_current_nats"] == pytest.approx(back, abs=1e-9), where
            assert drift["psi"] == pytest.approx(forth + back, abs=1e-9), where


def test_late_events_make_a_new_revision_under_a_new_id(run: Monitored) -> None:
    by_window: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for report in run.records("windows"):
        key = (report["model"], report["version"], report["variant"], report["window_start"])
        by_window[key].append(report)
    for key, reports in by_window.items():
        by_revision = {report["revision"]: report for report in reports}
        assert sorted(by_revision) == list(range(len(by_revision))), key
        assert len({report["id"] for report in by_revision.values()}) == len(by_revision), key
        events = [by_revision[i]["events"] for i in range(len(by_revision))]
        assert events == sorted(set(events)), f"{key}: a revision without new events: {events}"
    assert any(len(reports) > 1 for reports in by_window.values())


def test_a_record_that_is_written_twice_is_the_same_record(run: Monitored) -> None:
    for kind in ("windows", "alerts", "actions", "audit_facts", "audit"):
        by_id: dict[str, set[bytes]] = defaultdict(set)
        for message in run.outputs[kind]:
            by_id[json.loads(message.value())["id"]].add(message.value())
        assert [one for one, values in by_id.items() if len(values) > 1] == [], kind


def test_a_report_names_offsets_in_which_its_events_lie(run: Monitored) -> None:
    for key, report in run.latest_reports().items():
        ranges = {one["partition"]: one for one in report["counted"]}
        assert {one["topic"] for one in report["counted"]} == {run.source}
        assert len(ranges) == len(report["counted"]), key
        for partition, offsets in run.verdict.cells[key].offsets.items():
            counted = ranges[partition]
            assert counted["start"] <= min(offsets) and max(offsets) < counted["to"], key
        for partition, one in ranges.items():
            # Up to the 25 that came too late lie behind what the oracle has read.
            assert 0 <= one["start"] < one["to"] <= run.ends[partition] + TOO_LATE_EVENTS, key


def test_every_bad_record_is_in_the_dead_letters_once(run: Monitored) -> None:
    letters = run.records("dead_letters")
    found = Counter((one["partition"], one["offset"], one["row"]) for one in letters)
    assert {origin: n for origin, n in found.items() if n > 1} == {}
    reasons = {(one["partition"], one["offset"], one["row"]): one["reason"] for one in letters}
    differences = {
        origin: (reasons.get(origin), run.verdict.dead.get(origin))
        for origin in reasons.keys() | run.verdict.dead.keys()
        if reasons.get(origin) != run.verdict.dead.get(origin)
    }
    assert not differences, f"(found, expected) by origin: {differences}"
    assert {one["topic"] for one in letters} == {run.source}


def test_a_dead_letter_keeps_the_payload_as_far_as_it_fits(run: Monitored) -> None:
    by_reason = {one["reason"]: one for one in run.records("dead_letters")}
    huge = by_reason["too_large"]
    assert huge["payload_bytes"] > 10 * 1024 * 1024
    assert huge["payload_truncated"] and len(huge["payload"]) <= 64 * 1024
    assert by_reason["invalid_utf8"]["payload_encoding"] == "base64"
    assert by_reason["time_too_early"]["detail"]


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
        rule = next(rule for rule in RULES if rule.name == alert["rule"])
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
        else:
            assert alert["value"] == pytest.approx(report["latency"]["mean_ms"])


def test_each_alert_and_each_action_has_one_audit_record(run: Monitored) -> None:
    # The trail has each once, however often it was reported.
    audit = [one for one in run.records("audit") if one["event"] != "baseline.promoted"]
    subjects = Counter((record["event"], record["subject"]) for record in audit)
    expected = {(f"alert.{event_of(one)}", one["id"]): 1 for one in run.records("alerts")}
    expected |= {("action.requested", one["id"]): 1 for one in run.records("actions")}
    assert subjects == expected


def test_the_audit_trail_says_who_promoted_and_can_be_verified(run: Monitored) -> None:
    promoted = [one for one in run.records("audit") if one["event"] == "baseline.promoted"]
    assert {(one["model"], one["version"]) for one in promoted} == set(run.baselines)
    assert run.installation.succeed("audit", "verify").startswith("CONFIRMED")


def test_each_firing_alert_of_a_rule_with_an_action_asks_for_it_once(run: Monitored) -> None:
    wanted = {rule.name: rule.action for rule in RULES}
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


def drift_series(key: CellKey, signal: str) -> str:
    model, version, variant, _ = key
    return (
        f'tidegauge_drift{{model="{model}",version="{version}",variant="{variant}",'
        f'signal="{signal}",statistic="kl_current_reference_nats"}}'
    )


def only_value(run: Monitored, expression: str) -> float:
    found = run.prometheus.query(expression)
    assert len(found) == 1, f"{expression}: {found}"
    return found[0][1]


def test_prometheus_knows_how_many_events_there_were(run: Monitored) -> None:
    run.prometheus.wait_ready()
    wait_until(
        lambda: run.prometheus.query("sum(tidegauge_events_total) > 0"),
        seconds=20,
        what="Prometheus has scraped tidegauge_events_total",
    )
    by_model = Counter[tuple[str, str]]()
    for (model, _, variant, _), cell in run.verdict.cells.items():
        by_model[model, variant] += cell.events
    found = run.prometheus.query("tidegauge_events_total")
    assert {(one["model"], one.get("variant", "")): n for one, n in found} == by_model
    ingested = only_value(run, "sum(tidegauge_ingest_events_total)")
    assert ingested == run.verdict.events + TOO_LATE_EVENTS
    letters = run.prometheus.query("tidegauge_ingest_dead_letters_total")
    assert {one["reason"]: n for one, n in letters} == Counter(run.verdict.dead.values())
    assert only_value(run, "sum(tidegauge_late_events_total)") == TOO_LATE_EVENTS


@pytest.mark.parametrize("signal", ["amount", "region", "prediction"])
def test_prometheus_shows_the_drift_of_the_last_window(run: Monitored, signal: str) -> None:
    last = max(key for key in run.verdict.cells if key[0] == "credit" and key[2] == "")
    first_revision = next(
        report
        for report in run.records("windows")
        if report["revision"] == 0 and report["model"] == "credit" and report["variant"] == ""
        and report["window_start"] == last[3]
    )  # fmt: skip
    shown = only_value(run, drift_series(last, signal))
    latest = signals_of(run.latest_reports()[last])[signal]["drift"]["kl_current_reference_nats"]
    first = signals_of(first_revision)[signal]["drift"]["kl_current_reference_nats"]
    assert any(math.isclose(shown, value, abs_tol=1e-9) for value in (first, latest))


def test_no_alert_is_firing_in_the_end(run: Monitored) -> None:
    # The rule on surprise goes on for as long as an hour's memory of a drift.
    assert run.prometheus.query('tidegauge_alert_firing{rule!="drift-alarm"} == 1') == []
    raised = run.prometheus.query('sum(tidegauge_alerts_total{state="firing",rule!="drift-alarm"})')
    assert [value for _, value in raised] == [7.0]


def test_the_run_says_that_it_is_ready_and_ends_when_asked(run: Monitored) -> None:
    answer = run.installation.http("/readyz")
    assert answer is not None and answer[0] == 200, answer
    health = run.installation.http("/healthz")
    assert health is not None and health[0] == 200, health
    assert run.child.stop(seconds=IDLE_SECONDS * 2) == 0, run.child.tail()


class Watched(NamedTuple):
    """What the detector says of one signal in one window, worked out from the counts so far."""

    where: tuple[str, ...]
    start: int
    signal: str
    surprise_nats: float
    threshold_nats: float


@pytest.fixture(scope="module")
def watched(run: Monitored) -> dict[tuple[Any, ...], Watched]:
    """Judge the counts of every first report again, in the order of the windows."""
    memories: dict[Any, Memory] = {}
    found: dict[tuple[Any, ...], Watched] = {}
    for (*where, start), report in sorted(first_reports(run).items()):
        baseline = run.baselines.get((where[0], where[1]))
        [part] = report["parts"]
        if baseline is None:
            assert part["alarm_budget"] is None
            continue
        names = list(baseline["signals"])
        sides = [
            (reference_bins(baseline["signals"][name]), part["signals"][name]["histogram"])
            for name in names
        ]
        reference = Reference.of(
            [
                SignalReference(bins, len(h["counts"]) if "edges" in baseline["signals"][n] else 0)
                for n, (bins, h) in zip(names, sides, strict=True)
            ]
        )
        window = np.zeros(reference.counts.shape)
        for row, (_, h) in enumerate(sides):
            missing = h.get("absent", 0) + h.get("null", 0)
            counts = [*h["counts"], missing, h.get("nan", 0), h.get("invalid", 0)]
            window[row, : len(counts)] = counts
        before = memories.get(tuple(where), Memory.empty(*window.shape))
        budget = Budget(1.0, 30 * 86_400 / WINDOW_SECONDS, part["alarm_budget"]["slices"])
        verdict = judge(reference, before, window, budget)
        memories[tuple(where)] = verdict.memory
        assert part["alarm_budget"]["threshold_nats"] == verdict.threshold
        for row, name in enumerate(names):
            if part["signals"][name]["evidence"] is None:
                assert not verdict.events[:, row].any()
                continue
            surprise = float(verdict.surprises[:, row].max())
            one = Watched(tuple(where), start, name, surprise, verdict.threshold)
            found[(*where, start, name)] = one
    return found


def first_reports(run: Monitored) -> dict[CellKey, dict[str, Any]]:
    return {
        (r["model"], r["version"], r["variant"], r["window_start"]): r
        for r in run.records("windows")
        if r["revision"] == 0
    }


def test_the_evidence_of_every_report_is_what_the_detector_says_of_the_counts_so_far(
    run: Monitored, watched: dict[tuple[Any, ...], Watched]
) -> None:
    first = first_reports(run)
    for (*where, start, signal), one in watched.items():
        [part] = first[where[0], where[1], where[2], start]["parts"]
        assert part["signals"][signal]["evidence"]["surprise_nats"] == one.surprise_nats, one
    assert len(watched) > 100
    amounts = [
        one.surprise_nats / one.threshold_nats
        for key, one in sorted(watched.items())
        if key[:3] == ("credit", "3", "") and one.signal == "amount"
    ]
    assert len(amounts) == WINDOWS
    assert int(np.diff(amounts).argmax()) + 1 == AMOUNT_DRIFTS.start, amounts
    assert min(amounts[i] for i in AMOUNT_DRIFTS) > 1


def test_the_slices_of_a_model_share_its_budget(run: Monitored) -> None:
    slices = defaultdict(list)
    for (model, *_, _), report in sorted(first_reports(run).items(), key=lambda it: it[0][3]):
        for part in report["parts"]:
            if part["alarm_budget"] is not None:
                slices[model].append(part["alarm_budget"]["slices"])
    assert set(slices["fraud"]) == {1}
    # Of credit there are two variants; one may be the first to be met.
    assert set(slices["credit"]) <= {1, 2} and slices["credit"][2:] == [2] * (2 * WINDOWS - 2)


def test_exactly_the_signals_beyond_the_threshold_are_alarmed_with_what_has_changed(
    run: Monitored, watched: dict[tuple[Any, ...], Watched]
) -> None:
    first = first_reports(run)
    expected: set[tuple[Any, ...]] = set()
    firing: set[tuple[Any, ...]] = set()
    for key, one in sorted(watched.items(), key=lambda it: it[1].start):
        [part] = first[key[0], key[1], key[2], one.start]["parts"]
        evidence = part["signals"][one.signal]["evidence"]
        in_alarm = one.surprise_nats > one.threshold_nats
        assert (evidence["change"] is not None) == in_alarm
        what = (*one.where, one.signal)
        if in_alarm and what not in firing and evidence["psi_corrected"] >= MINIMUM_PSI:
            firing.add(what)
            expected.add((*what, "firing", one.start))
        elif not in_alarm and what in firing:
            firing.remove(what)
            expected.add((*what, "resolved", one.start))
    found = [one for one in run.alerts(drift_alarm=True) if not one["raised"]]
    keys = ("model", "version", "variant", "signal", "state", "window_start")
    assert {tuple(alert[key] for key in keys) for alert in found} == expected
    [amount] = [
        alert
        for alert in found
        if alert["signal"] == "amount" and alert["state"] == "firing" and not alert["variant"]
    ]
    began = run.start + AMOUNT_DRIFTS.start * WINDOW_SECONDS
    assert amount["window_start"] == began
    evidence = amount["evidence"]
    assert (evidence["size"], amount["severity"]) == ("major", "high")
    assert evidence["psi_corrected"] > 0.25
    change = evidence["change"]
    assert len(change["moved"]) == 5
    assert max(one["g"] for one in change["moved"]) > 0 > min(one["g"] for one in change["moved"])
    assert change["mean_delta"] > 0 and change["median_delta"] > 0
    assert change["onset_window_end"] == amount["window_end"]
    assert change["rank"] == 1 and change["q_value"] < 1e-6
    assert amount["alarm_budget"]["slices"] == 2


def test_verify_confirms_every_alarm_of_drift(run: Monitored) -> None:
    file = run.installation.directory / "alert.json"
    firing = [one for one in run.alerts(drift_alarm=True) if one["state"] == "firing"]
    assert firing
    for alert in firing:
        file.write_text(json.dumps(alert))
        said = run.installation.succeed("verify", str(file))
        assert said.startswith(f"CONFIRMED: alert {alert['id']}"), said
        assert "  size: " in said and ": g: " in said
