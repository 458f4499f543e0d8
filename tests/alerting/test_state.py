"""Pending, firing, damped, reminded and resolved: every transition over simulated windows."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.alert_oracle import Judged, Told, WatchedRule, life
from support.window_reports import (
    evidence_of,
    kl_report,
    part_of,
    signal_report,
    surprise_report,
    window_report,
)
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.records import EvaluationResult
from tidegauge.alerting.ruleset import RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.report import WindowReport

UP, DOWN = 0.1, 0.0
START = kl_report(0, UP).window_start


def rules_of(*, holds: int = 1, clear: int = 1, repeat: int = 0, more: str = "") -> RuleSet:
    return parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: medium, action: retrain, "
        "group: none, flapping_after: 0, "
        f"for: {holds}, keep_firing_for: {clear}, repeat_interval: {repeat}{more}}}]",
        source="rules.yaml",
    )


def fold(
    reports: Iterable[WindowReport], rules: RuleSet, state: AlertState | None = None
) -> list[EvaluationResult]:
    """Judge windows; between any two the worker is killed, and what it had written is read back."""
    verdicts: list[EvaluationResult] = []
    state = state or AlertState()
    for report in reports:
        verdicts.append(evaluate(rules, report, state, distribution=lambda *_: None))
        state = msgspec.json.decode(encode(verdicts[-1].state), type=AlertState)
        assert state == verdicts[-1].state
    return verdicts


def windows(*values: float | None) -> list[WindowReport]:
    return [kl_report(number, value) for number, value in enumerate(values)]


def story(verdicts: Iterable[EvaluationResult]) -> str:
    """One letter a window: P, F, R, I; a digit for a reminder; . for nothing."""
    return "".join(
        "".join(str(it.reminder) if it.reminder else it.state[0].upper() for it in one.alerts)
        or "."
        for one in verdicts
    )


def alerts_of(verdicts: Iterable[EvaluationResult]) -> list[Alert]:
    return [alert for verdict in verdicts for alert in verdict.alerts]


def test_it_fires_in_the_last_of_the_windows_asked_for_and_is_pending_before() -> None:
    verdicts = fold(windows(DOWN, UP, UP, UP, UP, DOWN), rules_of(holds=3))
    assert story(verdicts) == ".P.F.R"
    pending, firing, resolved = alerts_of(verdicts)
    assert {it.starts_at for it in (pending, firing, resolved)} == {START + 60}
    assert (firing.window_start, firing.ends_at) == (START + 180, None)
    assert (pending.ends_at, resolved.ends_at) == (None, START + 300)
    assert len({it.id for it in (pending, firing, resolved)}) == 3
    assert len({it.episode for it in (pending, firing, resolved)}) == 1
    assert len({it.fingerprint for it in (pending, firing, resolved)}) == 1
    assert pending.summary.endswith("; pending, fires after 3 windows in a row")


def test_what_is_pending_and_recovers_becomes_inactive_and_asks_for_nothing() -> None:
    verdicts = fold(windows(UP, UP, DOWN, UP, DOWN), rules_of(holds=3))
    assert story(verdicts) == "P.IPI"
    first, inactive, second, _ = alerts_of(verdicts)
    assert (inactive.starts_at, inactive.ends_at) == (START, START + 120)
    assert inactive.summary.endswith("after 2 min; was pending, has never fired")
    assert first.episode == inactive.episode != second.episode
    assert not any(one.actions for one in verdicts)
    assert [it.event for one in verdicts for it in one.audit] == [
        "alert.pending", "alert.inactive", "alert.pending", "alert.inactive",
    ]  # fmt: skip


def test_only_windows_in_a_row_count_towards_firing() -> None:
    assert story(fold(windows(UP, UP, DOWN, UP, UP, UP), rules_of(holds=3))) == "P.IP.F"


@pytest.mark.parametrize("unjudged", [kl_report(1, UP, events=999), kl_report(1, None)])
def test_a_window_that_cannot_be_judged_is_passed_over_in_every_count(
    unjudged: WindowReport,
) -> None:
    up, down = (msgspec.structs.replace(unjudged, window_start=START + at) for at in (60, 240))
    first, *rest = windows(UP, DOWN, UP, DOWN, DOWN, DOWN)
    reports = [first, up, rest[1], rest[2], down, rest[4]]
    assert story(fold(reports, rules_of(holds=2, clear=2))) == "P.F..R"


def test_flapping_is_damped() -> None:
    flapping = windows(UP, DOWN, UP, DOWN, UP, DOWN, DOWN, UP, DOWN, DOWN, DOWN)
    assert story(fold(flapping, rules_of())) == "FRFRFR.FR.."
    assert story(fold(flapping, rules_of(clear=3))) == "F.........R"
    (firing, resolved) = alerts_of(fold(flapping, rules_of(clear=3)))
    assert resolved.ends_at == START + 600
    assert firing.episode == resolved.episode


def test_what_is_resolved_can_fire_again_in_an_episode_of_its_own() -> None:
    alerts = alerts_of(fold(windows(UP, DOWN, UP, DOWN), rules_of()))
    assert [alert.episode for alert in alerts] == [
        alerts[0].episode, alerts[0].episode, alerts[2].episode, alerts[2].episode,
    ]  # fmt: skip
    assert alerts[0].episode != alerts[2].episode


def test_reminders_keep_their_distance_and_are_still_firing() -> None:
    verdicts = fold(windows(*[UP] * 8, DOWN), rules_of(repeat=180))
    assert story(verdicts) == "F..1..2.R"
    firing, first, second, _ = alerts_of(verdicts)
    assert {it.state for it in (firing, first, second)} == {"firing"}
    assert len({it.id for it in (firing, first, second)}) == 3
    assert {it.episode for it in (first, second)} == {firing.episode}
    assert first.window_start == START + 180 and first.actions == []
    assert first.summary.endswith("; for 4 min now")
    assert sum(len(one.actions) for one in verdicts) == 1
    assert [one.audit[0].event for one in verdicts if one.audit] == [
        "alert.firing", "alert.reminder", "alert.reminder", "alert.resolved",
    ]  # fmt: skip


def test_nobody_is_reminded_in_a_window_in_which_the_rule_does_not_hold() -> None:
    assert story(fold(windows(UP, DOWN, DOWN, UP, UP), rules_of(clear=9, repeat=60))) == "F..12"


def test_a_reminder_shows_what_is_measured_now() -> None:
    _, reminder = alerts_of(fold(windows(0.1, 0.3), rules_of(repeat=60)))
    assert reminder.value == 0.3


def test_after_a_long_silence_there_is_one_reminder_and_not_many() -> None:
    reports = [kl_report(0, UP), kl_report(60, UP), kl_report(61, UP)]
    assert story(fold(reports, rules_of(repeat=180))) == "F1."


def test_a_late_revision_counts_neither_towards_firing_nor_towards_the_end() -> None:
    rules = rules_of(holds=2, clear=2)
    pending = fold(windows(UP), rules)[-1].state
    late = evaluate(rules, kl_report(0, UP, revision=1), pending, distribution=lambda *_: None)
    assert late.stale and late.state == pending and not late.alerts
    turned = evaluate(rules, kl_report(0, DOWN, revision=1), pending, distribution=lambda *_: None)
    assert turned.stale and turned.state == pending, "alerts look forward only"
    assert story(fold([kl_report(1, UP)], rules, pending)) == "F"


@pytest.mark.parametrize(
    ("holds", "phase", "state"), [(1, "firing", "resolved"), (2, "pending", "inactive")]
)
def test_an_alert_whose_rule_is_gone_ends_as_what_it_was(
    holds: int, phase: str, state: str
) -> None:
    begun = fold(windows(UP), rules_of(holds=holds))[-1].state
    none = parse_rules("rules: []", source="rules.yaml")
    (alert,) = alerts_of(fold([kl_report(1, UP)], none, begun))
    assert alert.state == state
    assert alert.summary == f"Rule 'drift' was removed while its alert was {phase}"


def test_asking_for_fewer_windows_fires_what_was_pending() -> None:
    pending = fold(windows(UP, UP), rules_of(holds=9))[-1].state
    assert story(fold([kl_report(2, UP)], rules_of(holds=2), pending)) == "F"


def test_signals_that_fire_in_the_same_window_share_an_action_and_pending_ones_do_not() -> None:
    def window(number: int, **kls: float) -> WindowReport:
        signals = {name: signal_report(kl_current_reference_nats=kl) for name, kl in kls.items()}
        return window_report(number, part_of(1000, **signals))

    rules = rules_of(holds=2)
    verdicts = fold([window(0, a=0.1, b=0.2), window(1, a=0.1, b=0.2, c=0.9)], rules)
    (action,) = verdicts[1].actions
    asking = {it.signal: it.actions for it in verdicts[1].alerts}
    assert asking == {"a": [action.id], "b": [action.id], "c": []}
    assert action.alert == next(it.id for it in verdicts[1].alerts if it.signal == "b")


def test_a_drift_that_grows_small_while_pending_does_not_fire() -> None:
    rules = parse_rules(
        "rules: [{name: drift, metric: surprise, above: 1, severity: low, for: 2}]", source="r"
    )
    reports = [surprise_report(i, age=evidence_of(9.0, psi)) for i, psi in enumerate([0.3, 0.001])]
    assert story(fold(reports, rules)) == "PI"


def test_what_fires_in_the_state_of_an_older_release_is_told_again_and_ends() -> None:
    """As it was written when nothing was remembered of what was told."""
    state = fold(windows(UP), rules_of())[-1].state
    (key,) = state.series
    (identity,) = state.series[key].episodes
    old = {
        "series": {
            key: {
                "through": START,
                "firing": {
                    identity: {
                        "rule": "drift", "severity": "medium", "signal": "age", "metric": "kl",
                        "comparison": "above", "threshold": 0.05, "value": UP, "unit": "nats",
                        "events": 1000, "minimum_events": 1000, "baseline": "b1",
                        "starts_at": START,
                    }
                },
            }
        }
    }  # fmt: skip
    read = msgspec.json.decode(encode(old), type=AlertState)
    assert [one.signal for one in read.firing] == ["age"]
    verdicts = fold([kl_report(1, UP), kl_report(2, UP), kl_report(3, DOWN)], rules_of(), read)
    assert story(verdicts) == "F.R"


@given(
    st.lists(st.sampled_from([UP, DOWN, None]), max_size=25),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([0, 60, 150, 600]),
)
def test_every_course_of_windows_is_told_as_the_oracle_tells_it(
    values: list[float | None], holds: int, clear: int, repeat: int
) -> None:
    reports = windows(*values)
    rule = WatchedRule(
        "drift", "kl", 0.05, 1000,
        pending_windows=holds, keep_firing_for=clear, repeat_interval=repeat,
    )  # fmt: skip
    judged = [
        Judged(report.window_start, report.window_end, value == UP)
        for report, value in zip(reports, values, strict=True)
        if value is not None
    ]
    verdicts = fold(reports, rules_of(holds=holds, clear=clear, repeat=repeat))
    alerts = alerts_of(verdicts)
    assert [Told(it.state, it.starts_at, it.window_start, it.reminder) for it in alerts] == list(
        life(rule, judged)
    )
    assert len({it.id for it in alerts}) == len(alerts)
    assert len({it.id for one in verdicts for it in one.audit}) == len(alerts) + sum(
        len(one.actions) for one in verdicts
    )
