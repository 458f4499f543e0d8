"""Incidents over simulated windows: grouped, inhibited, grown worse, flapping."""

from collections.abc import Iterable, Mapping

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.window_reports import (
    evidence_of,
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
from tidegauge.contract.alert import Alert, Distribution
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import WindowReport
from tidegauge.notify.message import message

START = window_report(0, part_of(1)).window_start


def bins_of(baseline: str, signal: str, histogram: SignalHistogram) -> Distribution | None:
    return Distribution(bins=[f"{baseline}/{signal}"], reference=[1000], current=[sum([600, 400])])


def rules_of(*rules: str) -> RuleSet:
    return parse_rules("rules:\n" + "\n".join(f"  - {{{it}}}" for it in rules), source="r.yaml")


def kl_rule(more: str = "", *, name: str = "drift", above: float = 0.05) -> str:
    return f"name: {name}, metric: kl, above: {above}, severity: medium{more}"


def fold(
    reports: Iterable[WindowReport], rules: RuleSet, state: AlertState | None = None
) -> list[EvaluationResult]:
    """Judge windows; between any two the worker is killed, and what it had written is read back."""
    verdicts: list[EvaluationResult] = []
    state = state or AlertState()
    for report in reports:
        verdicts.append(evaluate(rules, report, state, distribution=bins_of))
        state = msgspec.json.decode(encode(verdicts[-1].state), type=AlertState)
        assert state == verdicts[-1].state
    return verdicts


def windows(*values: Mapping[str, float]) -> list[WindowReport]:
    """Windows of a minute; of each, the KL of its signals."""
    return [
        window_report(
            number,
            part_of(
                1000,
                **{name: signal_report(kl_current_reference_nats=kl) for name, kl in one.items()},
            ),
        )
        for number, one in enumerate(values)
    ]


def alerts_of(verdicts: Iterable[EvaluationResult]) -> list[Alert]:
    return [alert for verdict in verdicts for alert in verdict.alerts]


def letter(alert: Alert) -> str:
    if alert.raised or alert.reminder:
        return "+" if alert.raised else str(alert.reminder)
    return alert.state[0].upper()


def story(verdicts: Iterable[EvaluationResult], rule: str = "drift") -> str:
    """One letter a window: P, F, R, I; + for a severity that rose; . for nothing."""
    return "".join(
        "".join(letter(it) for it in one.alerts if it.rule == rule) or "." for one in verdicts
    )


FIFTY = {f"f{number:02}": 0.1 + number / 1000 for number in range(50)}


# --- grouping


def test_fifty_signals_that_drift_at_once_are_one_alert_with_a_list_worst_first() -> None:
    verdicts = fold(windows(FIFTY), rules_of(kl_rule(", action: retrain")))
    [alert] = alerts_of(verdicts)
    assert alert.signal is None
    assert [one.signal for one in alert.signals] == sorted(FIFTY, reverse=True)
    assert (alert.value, alert.signals[0].value) == (FIFTY["f49"], FIFTY["f49"])
    assert alert.distribution is not None and alert.distribution.bins == ["b1/f49"]
    assert alert.summary == (
        "credit 3: kl is above 0.05 for f49, f48, f47 and 47 more, at worst 0.149 nats, "
        "in 1,000 events"
    )
    [action] = verdicts[0].actions
    assert alert.actions == [action.id] and action.alert == alert.id
    for fact in verdicts[0].audit:
        assert fact.inputs["signals"].split() == sorted(FIFTY, reverse=True), fact.event


def test_a_reminder_names_the_signals_that_drift_now_and_lists_those_that_are_over() -> None:
    all_seven = {f"f{n}": 0.1 + n / 100 for n in range(7)}
    two = {name: 0.1 if name in ("f0", "f1") else 0.0 for name in all_seven}
    rules = rules_of(kl_rule(", repeat_interval: 300"))
    *_, reminder = alerts_of(fold(windows(all_seven, *[two] * 5), rules))
    assert reminder.reminder == 1 and len(reminder.signals) == 7
    assert reminder.summary == (
        "credit 3: kl is above 0.05 for f0, f1, at worst 0.1 nats, in 1,000 events; for 6 min now"
    )
    assert message(reminder).title == "[still medium] credit 3: kl of f0, f1 (drift)"


def test_it_fires_with_the_first_signal_and_is_resolved_with_the_last() -> None:
    courses = [{"a": 0.1, "b": 0.0}, {"a": 0.1, "b": 0.2}, {"a": 0.0, "b": 0.2}, {"a": 0, "b": 0}]
    verdicts = fold(windows(*courses), rules_of(kl_rule()))
    assert story(verdicts) == "F..R"
    firing, resolved = alerts_of(verdicts)
    assert [one.signal for one in firing.signals] == ["a"]
    assert [(one.signal, one.value, one.starts_at, one.ends_at) for one in resolved.signals] == [
        ("b", 0.2, START + 60, START + 180),
        ("a", 0.1, START, START + 120),
    ]
    assert firing.fingerprint == resolved.fingerprint and firing.episode == resolved.episode
    assert resolved.summary == ("credit 3: kl of 2 signals is no longer above 0.05, after 3 min")


def test_each_signal_must_hold_for_the_windows_asked_for() -> None:
    courses = [{"a": 0.1, "b": 0.0}, {"a": 0.0, "b": 0.1}, {"a": 0.1, "b": 0.1}, {"a": 0, "b": 0}]
    verdicts = fold(windows(*courses), rules_of(kl_rule(", for: 2")))
    assert story(verdicts) == "P.FR"
    assert [one.signal for one in alerts_of(verdicts)[1].signals] == ["b"]


def test_what_is_pending_when_the_rest_is_over_is_an_incident_of_its_own() -> None:
    courses = [{"a": 0.1, "b": 0.0}, {"a": 0.1, "b": 0.0}, {"a": 0.0, "b": 0.1}, {"a": 0, "b": 0.1}]
    alerts = alerts_of(fold(windows(*courses), rules_of(kl_rule(", for: 2"))))
    assert [letter(one) for one in alerts] == ["P", "F", "R", "P", "F"]
    assert [one.starts_at - START for one in alerts] == [0, 0, 0, 120, 120]
    assert len({one.id for one in alerts}) == 5
    assert [one.signal for one in alerts[2].signals] == ["a"]


def test_a_signal_that_comes_back_is_on_the_list_once() -> None:
    courses = [{"a": 0.1, "b": b} for b in (0.2, 0.0, 0.3, 0.0)]
    verdicts = fold(windows(*courses, {"a": 0.0, "b": 0.0}), rules_of(kl_rule()))
    assert story(verdicts) == "F...R"
    assert [(one.signal, one.value) for one in alerts_of(verdicts)[-1].signals] == [
        ("b", 0.3),
        ("a", 0.1),
    ]


def test_a_reminder_has_the_list_of_its_window() -> None:
    courses = [{"a": 0.1, "b": 0.0}, {"a": 0.1, "b": 0.0}, {"a": 0.1, "b": 0.3}]
    verdicts = fold(windows(*courses), rules_of(kl_rule(", repeat_interval: 120")))
    assert story(verdicts) == "F.1"
    reminder = alerts_of(verdicts)[1]
    assert [one.signal for one in reminder.signals] == ["b", "a"]
    assert reminder.value == 0.3


def test_a_rule_on_one_signal_or_one_that_asks_for_it_has_an_alert_for_each() -> None:
    [alert] = alerts_of(fold(windows(FIFTY), rules_of(kl_rule(", signal: f07"))))
    assert (alert.signal, alert.signals) == ("f07", [])
    apart = alerts_of(fold(windows(FIFTY), rules_of(kl_rule(", group: none"))))
    assert len(apart) == 50 and all(one.signal and not one.signals for one in apart)


def test_an_alert_ends_if_its_rule_is_grouped_otherwise_from_now_on() -> None:
    state = fold(windows({"a": 0.1, "b": 0.2}), rules_of(kl_rule()))[-1].state
    [_, second] = windows({}, {"a": 0.1, "b": 0.2})
    ended, *begun = alerts_of(fold([second], rules_of(kl_rule(", group: none")), state))
    assert (ended.state, ended.signal) == ("resolved", None)
    assert "was changed" in ended.summary
    assert [(one.state, one.signal) for one in begun] == [("firing", "b"), ("firing", "a")]


def test_a_rule_that_watches_fewer_signals_leaves_the_others_firing() -> None:
    state = fold(windows({"a": 0.1, "b": 0.2}), rules_of(kl_rule()))[-1].state
    _, *later = windows({}, {"a": 0.1, "b": 0.2}, {"a": 0.0, "b": 0.2})
    verdicts = fold(later, rules_of(kl_rule(", signal: 'a*'")), state)
    assert story(verdicts) == ".R"


# --- inhibition

INHIBITED = rules_of(
    kl_rule(", inhibited_by: [worse], action: retrain"), kl_rule(name="worse", above=0.5)
)


def test_what_another_rule_says_already_is_not_told_but_is_said_there_and_audited() -> None:
    verdicts = fold(windows({"a": 0.9, "b": 0.1}), INHIBITED)
    [alert] = alerts_of(verdicts)
    assert alert.rule == "worse"
    [inhibited] = alert.inhibited
    assert (inhibited.rule, inhibited.severity, inhibited.signals) == (
        "drift", "medium", ["a", "b"],
    )  # fmt: skip
    assert not verdicts[0].actions
    assert [fact.event for fact in verdicts[0].audit] == ["alert.inhibited", "alert.firing"]
    fact = verdicts[0].audit[0]
    assert fact.actor == "rule:drift" and fact.inputs["inhibited_by"] == "worse"
    assert fact.inputs["signals"] == "a b"
    assert fact.inputs["rules_sha256"] == INHIBITED.sha256 != ""
    assert len(verdicts[0].state.firing) == 3, "it goes on all the same"


def test_what_still_holds_when_the_inhibitor_is_over_is_told_then() -> None:
    verdicts = fold(windows({"a": 0.9}, {"a": 0.9}, {"a": 0.1}, {"a": 0.0}), INHIBITED)
    assert story(verdicts) == "..FR" and story(verdicts, "worse") == "F.R."
    told = next(it for it in alerts_of(verdicts) if it.rule == "drift")
    assert told.starts_at == START, "since it began, not since it was told"
    assert len(verdicts[2].actions) == 1


def test_what_ends_with_its_inhibitor_was_never_told() -> None:
    verdicts = fold(windows({"a": 0.9}, {"a": 0.0}), INHIBITED)
    assert story(verdicts) == ".." and story(verdicts, "worse") == "FR"
    assert (
        not verdicts[-1].state.episodes
        and not verdicts[-1].state.series[next(iter(verdicts[-1].state.series))].incidents
    )


def test_what_was_told_before_the_inhibitor_fired_is_told_of_its_end_and_nothing_else() -> None:
    rules = rules_of(
        kl_rule(", inhibited_by: [worse], repeat_interval: 60"), kl_rule(name="worse", above=0.5)
    )
    verdicts = fold(windows({"a": 0.1}, {"a": 0.9}, {"a": 0.9}, {"a": 0.0}), rules)
    assert story(verdicts) == "F..R" and story(verdicts, "worse") == ".F.R"
    worse = next(it for it in alerts_of(verdicts) if it.rule == "worse")
    assert worse.inhibited == [], "that one was told"


def test_what_was_pending_and_fired_inhibited_is_no_longer_said_to_be_pending() -> None:
    rules = rules_of(kl_rule(", inhibited_by: [worse], for: 2"), kl_rule(name="worse", above=0.5))
    verdicts = fold(windows({"a": 0.1}, {"a": 0.9}, {"a": 0.0}), rules)
    assert story(verdicts) == "P.I"
    assert alerts_of(verdicts)[-2].summary.endswith("; fired only while inhibited")


def test_only_the_same_slice_inhibits() -> None:
    reports = [
        msgspec.structs.replace(report, segment={"region": region})
        for region, value in (("eu", 0.9), ("us", 0.1))
        for report in windows({"a": value})
    ]
    assert story(fold(reports, INHIBITED)) == ".F"


def test_an_inhibited_rule_inhibits_and_the_first_of_them_is_told() -> None:
    rules = rules_of(
        kl_rule(", inhibited_by: [second]", name="third"),
        kl_rule(", inhibited_by: [first]", name="second"),
        kl_rule(name="first"),
    )
    [alert] = alerts_of(fold(windows({"a": 0.1}), rules))
    assert alert.rule == "first"
    assert [one.rule for one in alert.inhibited] == ["second"]


# --- inhibited signal by signal

BROKEN = rules_of(
    "name: gaps, metric: missing_share, above: 0.5, severity: low",
    kl_rule(", signal_inhibited_by: [gaps], action: retrain"),
)


def broken(*courses: Mapping[str, tuple[float, float]]) -> list[WindowReport]:
    """Windows of a minute; of each, the KL and the missing share of its signals."""
    reports = windows(*({name: kl for name, (kl, _) in one.items()} for one in courses))
    for report, one in zip(reports, courses, strict=True):
        for name, (_, missing) in one.items():
            report.parts[0].signals[name].missing_share = missing
    return reports


def test_what_is_broken_is_no_drift_from_the_first_window_on_and_others_are_told_of() -> None:
    verdicts = fold(broken({"a": (0.9, 0.9), "b": (0.1, 0.0)}), BROKEN)
    gaps, drift = alerts_of(verdicts)
    assert [it.signal for it in gaps.signals] == ["a"]
    assert [(it.rule, it.signals) for it in gaps.inhibited] == [("drift", ["a"])]
    assert ([it.signal for it in drift.signals], drift.value) == (["b"], 0.1)
    assert [it.reason for it in verdicts[0].actions] == [drift.summary]
    assert drift.summary.startswith("credit 3: kl of b is 0.1 nats, ")


def test_if_all_that_drifts_is_broken_nothing_is_told_or_asked_for_and_that_is_audited() -> None:
    verdicts = fold(broken({"a": (0.9, 0.9)}, {"a": (0.9, 0.9)}), BROKEN)
    assert story(verdicts) == ".." and story(verdicts, "gaps") == "F."
    assert not verdicts[0].actions
    [fact] = [it for it in verdicts[0].audit if it.event == "alert.inhibited"]
    assert (fact.actor, fact.inputs["inhibited_by"]) == ("rule:drift", "gaps")


def test_what_still_drifts_when_it_is_mended_is_told_then_with_its_action() -> None:
    courses = [{"a": (0.9, 0.9)}, {"a": (0.9, 0.0)}, {"a": (0.0, 0.0)}]
    verdicts = fold(broken(*courses), BROKEN)
    assert story(verdicts) == ".FR" and story(verdicts, "gaps") == "FR."
    assert [bool(it.actions) for it in verdicts] == [False, True, False]


def test_a_rule_that_is_pending_keeps_the_other_quiet_too() -> None:
    rules = rules_of(
        "name: gaps, metric: missing_share, above: 0.5, severity: low, for: 2",
        kl_rule(", signal_inhibited_by: [gaps]"),
    )
    verdicts = fold(broken({"a": (0.9, 0.9)}, {"a": (0.9, 0.9)}), rules)
    assert story(verdicts) == ".." and story(verdicts, "gaps") == "PF"


def test_what_was_told_before_it_broke_is_told_of_its_end_and_nothing_else() -> None:
    rules = rules_of(
        "name: gaps, metric: missing_share, above: 0.5, severity: low",
        kl_rule(", signal_inhibited_by: [gaps], repeat_interval: 60"),
    )
    courses = [{"a": (0.9, 0.0)}, {"a": (0.9, 0.9)}, {"a": (0.9, 0.9)}, {"a": (0.0, 0.9)}]
    assert story(fold(broken(*courses), rules)) == "F..R"


# --- segments

LATER = rules_of(kl_rule(", action: retrain"))


def fold_both(
    whole: Iterable[Mapping[str, float]], part: Iterable[Mapping[str, float]]
) -> tuple[list[EvaluationResult], list[EvaluationResult]]:
    """Judge windows of all the traffic, and after each that of a segment."""
    states, told = [AlertState(), AlertState()], ([], [])  # type: ignore[var-annotated]
    for at, report in enumerate(zip(windows(*whole), windows(*part), strict=True)):
        del at
        its = msgspec.structs.replace(report[1], segment={"region": "EU"})
        told[0].append(evaluate(LATER, report[0], states[0], distribution=bins_of))
        states[0] = told[0][-1].state
        told[1].append(evaluate(LATER, its, states[1], distribution=bins_of, whole=states[0]))
        states[1] = told[1][-1].state
    return told


def test_what_holds_for_all_the_traffic_is_not_said_of_its_segment_again() -> None:
    whole, part = fold_both([{"a": 0.9}, {"a": 0.0}], [{"a": 0.9}, {"a": 0.0}])
    assert (story(whole), story(part)) == ("FR", "..")
    assert len(whole[0].actions) == 1 and not part[0].actions
    [fact] = part[0].audit
    assert fact.event == "alert.inhibited"
    assert fact.inputs["inhibited_by"] == "all-traffic:drift"
    assert fact.inputs["segment"] == "region=EU"


def test_what_holds_for_one_segment_only_is_told_there() -> None:
    whole, part = fold_both(
        [{"a": 0.0, "b": 0.9}, {"a": 0.0, "b": 0.0}], [{"a": 0.9, "b": 0.9}] * 2
    )
    assert (story(whole), story(part)) == ("FR", "F.")
    [told] = alerts_of(part)
    assert [it.signal for it in told.signals] == ["a"]
    assert part[0].actions[0].segment == {"region": "EU"}


def test_what_lasts_longer_in_a_segment_is_told_when_it_is_over_elsewhere() -> None:
    whole, part = fold_both([{"a": 0.9}, {"a": 0.0}, {"a": 0.0}], [{"a": 0.9}] * 2 + [{"a": 0.0}])
    assert (story(whole), story(part)) == ("FR.", ".FR")


# --- severity

BY_SIZE = (
    "name: drift, metric: surprise, above: 1, severity: {minor: low, moderate: medium, major: high}"
)


def sizes(*psis: Mapping[str, float]) -> list[WindowReport]:
    return [
        surprise_report(number, **{name: evidence_of(2.0, psi) for name, psi in one.items()})
        for number, one in enumerate(psis)
    ]


def test_a_severity_that_rises_is_told_once_and_one_that_falls_is_not() -> None:
    courses = [{"a": psi} for psi in (0.05, 0.15, 0.15, 0.05, 0.15, 0.3, 0.05)]
    over = surprise_report(7, a=evidence_of(0.5, 0.01))
    verdicts = fold([*sizes(*courses), over], rules_of(BY_SIZE + ", action: retrain"))
    assert story(verdicts) == "F+...+.R"
    alerts = alerts_of(verdicts)
    assert [(it.severity, it.raised, it.severities_before) for it in alerts] == [
        ("low", 0, []),
        ("medium", 1, ["low"]),
        ("high", 2, ["low", "medium"]),
        ("high", 0, ["low", "medium"]),
    ]
    assert all(it.state == "firing" for it in alerts[:3])
    assert len({it.id for it in alerts}) == 4 and len({it.episode for it in alerts}) == 1
    assert alerts[1].summary.endswith("; now medium, before low")
    assert [bool(one.actions) for one in verdicts] == [True] + [False] * 7
    assert [fact.event for fact in verdicts[1].audit] == ["alert.raised"]
    assert verdicts[7].audit[0].inputs["severities_before"] == "low medium"


def test_a_group_is_as_severe_as_its_severest_signal() -> None:
    courses = sizes({"a": 0.05}, {"a": 0.05, "b": 0.05}, {"a": 0.05, "b": 0.05, "c": 0.3})
    verdicts = fold(courses, rules_of(BY_SIZE))
    assert story(verdicts) == "F.+"
    raised = alerts_of(verdicts)[1]
    assert {one.signal: one.severity for one in raised.signals} == {
        "a": "low", "b": "low", "c": "high",
    }  # fmt: skip


def test_a_severity_that_rose_while_inhibited_is_told_afterwards() -> None:
    rules = rules_of(
        BY_SIZE + ", inhibited_by: [gaps]",
        "name: gaps, metric: missing_share, above: 0.5, severity: low",
    )
    reports = sizes({"a": 0.05}, {"a": 0.3}, {"a": 0.05})
    gap = msgspec.structs.replace(reports[1].parts[0].signals["a"], missing_share=0.9)
    reports[1].parts[0].signals["a"] = gap
    verdicts = fold(reports, rules)
    assert story(verdicts) == "F.+" and story(verdicts, "gaps") == ".FR"


# --- flapping


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (", flapping_after: 0", 1440),
        ("", 6),
        (", flapping_after: 1", 2),
        (", flapping_after: 5, flapping_windows: 30", 10),
        (", flapping_after: 0, keep_firing_for: 2", 2),
    ],
)
def test_a_signal_that_flaps_for_a_day_is_told_of_a_few_times(more: str, told: int) -> None:
    flapping = [{"a": 0.1 if minute % 2 else 0.0} for minute in range(1440)]
    quiet: list[Mapping[str, float]] = [{"a": 0.0}] * 60
    alerts = alerts_of(fold(windows(*flapping, *quiet), rules_of(kl_rule(more))))
    assert len(alerts) == told
    assert [letter(one) for one in alerts] == ["F", "R"] * (told // 2)


def test_a_damped_alert_says_so_and_ends_when_it_has_been_away_long_enough() -> None:
    courses = [{"a": value} for value in (0.1, 0.0, 0.1, 0.0, 0.1, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0)]
    rules = rules_of(kl_rule(", flapping_windows: 3"))
    verdicts = fold(windows(*courses), rules_of(kl_rule(", flapping_windows: 5")))
    assert story(verdicts) == "FRFRF......"
    damped = alerts_of(verdicts)[-1]
    assert damped.flapping
    assert damped.summary.endswith(
        "; it comes and goes, so it is resolved only after 5 windows in a row without it"
    )
    assert story(fold(windows(*courses), rules)) == "FRFR" + "FR." + "FR..", "not within 3 windows"


def test_signals_that_take_turns_make_their_incident_flap() -> None:
    turns = [{name: 0.1 if at % 8 == 2 * turn else 0.0 for turn, name in enumerate("abcd")}
             for at in range(80)]  # fmt: skip
    alerts = alerts_of(fold(windows(*turns), rules_of(kl_rule())))
    assert [letter(one) for one in alerts] == ["F", "R", "F", "R", "F"]


# --- all of it at once

course = st.lists(
    st.dictionaries(
        st.sampled_from("abc"), st.sampled_from([0.0, 0.06, 0.2, 0.9]), min_size=0, max_size=3
    ),
    max_size=25,
)


@given(course, st.integers(1, 3), st.integers(1, 3), st.sampled_from([0, 60, 180]))
def test_whatever_comes_each_alert_fires_and_ends_in_turn_by_ids_of_its_own(
    values: list[dict[str, float]], holds: int, clear: int, repeat: int
) -> None:
    more = f", for: {holds}, keep_firing_for: {clear}, repeat_interval: {repeat}"
    rules = rules_of(
        kl_rule(more + ", inhibited_by: [worse]", name="grouped"),
        kl_rule(more + ", group: none, inhibited_by: [worst]", name="apart"),
        kl_rule(", inhibited_by: [worst]", name="worse", above=0.1),
        kl_rule(", flapping_after: 2, flapping_windows: 4", name="worst", above=0.5),
    )
    verdicts = fold(windows(*values), rules)
    alerts = alerts_of(verdicts)
    assert len({it.id for it in alerts}) == len(alerts)
    facts = [fact.id for one in verdicts for fact in one.audit]
    assert len(set(facts)) == len(facts)
    standing: dict[str, str] = {}
    allowed = {
        "": {"P", "F"}, "P": {"F", "I"}, "F": {"R", "+", "1"}, "I": {"P", "F"}, "R": {"P", "F"},
    }  # fmt: skip
    for verdict in verdicts:
        for alert in verdict.alerts:
            now = "1" if alert.reminder else letter(alert)
            assert now in allowed[standing.get(alert.fingerprint, "")], (alert, standing)
            standing[alert.fingerprint] = "F" if now in "+1" else now
        [series] = verdict.state.series.values()
        told = {key: it.reported for key, it in series.incidents.items() if it.reported is not None}
        assert told == {
            key: {"P": "pending", "F": "firing"}[it]
            for key, it in standing.items()
            if it in ("P", "F")
        }
        firing = {it.rule for it in verdict.state.firing}
        for alert in verdict.alerts:
            if alert.state == "firing":
                assert not firing & set(rules.by_name[alert.rule].rule.inhibited_by)
