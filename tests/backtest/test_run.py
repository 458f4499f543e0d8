"""From records of several slices to a result."""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest

from support.alerts import example_alert
from support.counting import a_baseline, numeric
from support.window_reports import part_of, signal_report, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.backtest import run as module
from tidegauge.backtest.inject import Injection
from tidegauge.backtest.records import ModelKeys, ReportsInOrder, fired
from tidegauge.backtest.result import Result
from tidegauge.backtest.run import BacktestPlan, NoWindows, backtest
from tidegauge.contract import deterministic_id, encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.report import Evidence, WindowReport
from tidegauge.kafka.reader import KafkaRecord
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.report import signal_reports

SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
BASELINE = a_baseline(
    amount=numeric([-2.0, -1.0, 1.0, 2.0], (SHARES * 10_000).astype(int).tolist()),
)
START = 1_700_000_040
RULES = parse_rules(
    """
rules:
  - {name: alarm, metric: surprise, above: 1, severity: medium}
  - {name: drift, metric: kl, above: 0.06, severity: low, minimum_events: 100}
  - {name: busy, metric: events, above: 1000, severity: low}
""",
    source="test",
)


def _report(number: int, *, drift: float = 0.0, model: str = "m", **of: str) -> WindowReport:
    rng = np.random.default_rng([number, len(model)])
    shares = (1 - drift) * SHARES + drift * np.roll(SHARES, 1)
    histogram = signal_report(counts=tuple(rng.multinomial(400, shares).tolist())).histogram
    part = part_of(400, BASELINE.id, **signal_reports({"amount": histogram}, BASELINE))
    report = window_report(number, part, model=model, **of)
    return msgspec.structs.replace(report, id=deterministic_id(model, *of.values(), number))


def _records(reports: Iterable[WindowReport]) -> list[KafkaRecord]:
    return [KafkaRecord(f"windows/0 at offset {at}", encode(it)) for at, it in enumerate(reports)]


def _plan(rules: RuleSet = RULES, **of: object) -> BacktestPlan:
    given = {"alarms_of": lambda model: 1.0, "since": START, "until": START + 1e6}
    return BacktestPlan(rules=rules, **(given | of))  # type: ignore[arg-type]


def _result(reports: Iterable[WindowReport], **of: object) -> Result:
    return backtest(_plan(**of), _records(reports), {BASELINE.id: BASELINE}.get)  # type: ignore[arg-type]


def test_slices_are_apart_however_their_reports_are_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = [
        [_report(n, drift=0.6 * (20 <= n < 25)) for n in range(40)],
        [_report(n, version="4") for n in range(30)],
        [_report(n, model="other", drift=0.6 * (n > 35)) for n in range(40)],
    ]
    apart = [_result(one) for one in slices]
    mixed = sorted((it for one in slices for it in one), key=lambda it: it.window_end)
    for held in (200_000, 7):
        monkeypatch.setattr(module, "_SIGNALS_HELD", held)
        together = _result(mixed)
        assert together.windows == 110
        assert sorted(map(msgspec.json.encode, together.episodes)) == sorted(
            msgspec.json.encode(it) for one in apart for it in one.episodes
        )
        assert len(together.slices) == 3
    drifted = {it.model for it in together.episodes if it.rule == "drift"}
    assert drifted == {"m", "other"}


def test_alarms_a_month_are_those_of_the_time_that_there_were_windows_in() -> None:
    result = _result([_report(n, drift=0.7 * (n in (10, 20, 30))) for n in range(60)])
    [alarm, drift, busy] = result.rules
    assert [it.rule for it in result.rules] == ["alarm", "drift", "busy"]
    # The third within an hour is taken for flapping, and lasts.
    assert (drift.alarms, drift.seconds_firing) == (3, 60 + 60 + 30 * 60)
    assert drift.alarms_per_month == 3 * 30 * 24
    assert (drift.first, drift.last) == (START + 600, START + 1800)
    assert alarm.alarms >= 1
    assert (busy.alarms, busy.first, busy.alarms_per_month) == (0, None, 0.0)


def test_a_model_that_no_rule_watches_is_not_counted() -> None:
    rules = parse_rules(
        "rules: [{name: r, metric: kl, above: 0.1, model: other, severity: low}]", source="test"
    )
    reports = [_report(0), _report(0, model="other")]
    assert [(it.rule, it.model) for it in _result(reports, rules=rules).rules] == [("r", "other")]


def test_what_was_in_force_is_told_beside_it() -> None:
    alerts, state = [], AlertState()
    watch, memory = DriftDetector(lambda model: 1.0), None
    reports = [_report(n, drift=0.7 * (10 <= n < 20)) for n in range(30)]
    for report in reports:
        memory, seen = watch.take(memory, report, {BASELINE.id: BASELINE})
        verdict = evaluate(RULES, seen, state, distribution=lambda *_: None)
        state, alerts = verdict.state, alerts + verdict.alerts
    reminder = msgspec.structs.replace(alerts[0], id="another", reminder=1)
    assert reminder.state == "firing"
    in_force = fired([*alerts, *alerts, reminder], [], START, START + 3600)
    assert len(in_force) == len([it for it in alerts if it.state == "firing"]) > 1
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.9, severity: low}]", source="test"
    )
    known = {BASELINE.id: BASELINE}.get
    result = backtest(_plan(rules), _records(reports), known, in_force)
    assert [(it.rule, it.alarms, it.in_force) for it in result.rules] == [
        ("drift", 0, 1),
        ("alarm", 0, 1),
    ]
    assert fired([*alerts, *alerts, reminder], [], START + 3600, START + 7200) == []


def test_what_has_fired_all_the_time_and_what_ends_in_it_are_episodes_of_that_time() -> None:
    def one(episode: str, state: str, window_end: int, **changes: Any) -> Alert:
        return example_alert(
            "firing",
            state=state, id=f"{episode}-{window_end}", episode=episode, window_end=window_end,
            starts_at=START, **changes,
        )  # fmt: skip

    hour = START + 3600
    history = [
        one("ends", "resolved", hour + 60),
        one("begins", "firing", hour + 60),
        one("begins", "resolved", hour + 120),
        one("pending", "pending", hour + 60),
    ]
    newest = [
        one("all along", "firing", START + 60),
        one("lacks data", "no_data", START + 60, was="firing"),
        one("was pending", "no_data", START + 60, was="pending"),
        one("over", "resolved", START + 120),
        one("begins", "resolved", hour + 120),
    ]
    found = fired(history, newest, hour, hour + 3600)
    assert {it.episode for it in found} == {"ends", "begins", "all along", "lacks data"}


def test_an_injected_drift_is_looked_for_from_its_first_window_on() -> None:
    reports = [_report(n) for n in range(60)]
    injection = Injection("amount", "missing", 0.5, at=START + 30 * 60 - 5)
    found = _result(reports, injection=injection).injection
    assert found is not None and found.windows == 30
    assert [(it.rule, it.windows, it.minutes, it.fired_before) for it in found.seen] == [
        ("alarm", 1, 1.0, False),
        ("drift", 1, 1.0, False),
    ]


def test_a_drift_is_seen_when_the_alert_fires_not_when_it_is_pending() -> None:
    rules = parse_rules(
        "rules: [{name: lasting, metric: kl, above: 0.06, minimum_events: 100, severity: low, "
        "for: 3, repeat_interval: 60}]",
        source="test",
    )
    injection = Injection("amount", "missing", 0.5, at=START + 30 * 60)
    result = _result([_report(n) for n in range(60)], injection=injection, rules=rules)
    assert result.injection is not None
    assert [(it.windows, it.minutes) for it in result.injection.seen] == [(3, 3.0)]
    assert [it.alarms for it in result.rules] == [1], "a reminder is no alarm"


def test_a_drift_that_nobody_sees_and_one_that_was_there_before() -> None:
    injection = Injection("amount", "missing", 0.01, at=START + 30 * 60)
    reports = [_report(n, drift=0.8 * (n >= 20)) for n in range(60)]
    found = _result(reports, injection=injection).injection
    assert found is not None
    assert all(it.fired_before and it.windows is None for it in found.seen)
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.9, severity: low}]", source="test"
    )
    never = _result([_report(n) for n in range(60)], injection=injection, rules=rules).injection
    assert never is not None
    assert [(it.windows, it.minutes, it.fired_before) for it in never.seen] == [(None, None, False)]


def test_only_rules_that_the_drift_may_reach_are_asked() -> None:
    rules = parse_rules(
        """
rules:
  - {name: other, metric: kl, above: 0.1, signal: size, severity: low}
  - {name: elsewhere, metric: kl, above: 0.1, model: x, severity: low}
  - {name: mine, metric: missing_share, above: 0.1, severity: low}
  - {name: score, metric: prediction_mean_5m, above: 0.9, severity: low}
""",
        source="test",
    )
    injection = Injection("amount", "missing", 0.5, at=START)
    found = _result([_report(n) for n in range(9)], injection=injection, rules=rules).injection
    assert found is not None
    assert [it.rule for it in found.seen] == ["mine"]


def test_where_nothing_can_be_injected_it_is_said() -> None:
    reports = [_report(n) for n in range(9)]
    with pytest.raises(ValueError, match=r"has a signal 'size'.*known are amount"):
        _result(reports, injection=Injection("size", "mean", 1.0, at=START))
    with pytest.raises(ValueError, match="no window begins after the drift"):
        _result(reports, injection=Injection("amount", "mean", 1.0, at=START + 10_000))


def test_without_windows_there_is_nothing_to_say() -> None:
    with pytest.raises(NoWindows, match="matches 'x'"):
        _result([_report(0)], model="x")
    with pytest.raises(NoWindows):
        _result([_report(0)], since=START + 60.0)


def test_baselines_that_are_gone_are_counted_by_window() -> None:
    result = backtest(_plan(), _records(_report(n) for n in range(5)), lambda id: None)
    [missing] = result.missing_baselines
    assert (missing.id, missing.model, missing.windows) == (BASELINE.id, "m", 5)
    assert result.windows == 5


def test_a_record_that_is_no_report_is_named() -> None:
    with pytest.raises(ValueError, match="windows/3 at offset 7 is no window report"):
        backtest(_plan(), [KafkaRecord("windows/3 at offset 7", b"{}")], lambda id: None)


def test_evidence_in_reports_is_not_taken_for_what_would_be_found() -> None:
    report = _report(0)
    report.parts[0].signals["amount"].evidence = Evidence(
        score="mean", span_windows=1, surprise_nats=99.0, events=1.0, baseline_events=1, bins=1
    )
    [found] = ReportsInOrder(START, START + 60).of(_records([report]))
    assert found.parts[0].signals["amount"].evidence is None
    assert _result([report]).episodes == []


def test_a_key_tells_the_model() -> None:
    keys = ModelKeys(lambda name: name == "m")
    assert keys(b'["m","1",""]') and keys(None) and keys(b"?") and keys(b"[]") and keys(b"[1]")
    assert not keys(b'["n","1",""]')
    assert keys.others == {"n"}
