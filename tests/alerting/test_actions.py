"""When a firing alert may ask for its action: cooldown, so many a day, baselines that are known."""

import msgspec
import pytest

from support.window_reports import kl_report, latency, part_of, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.judge import STALE_SECONDS
from tidegauge.alerting.records import EvaluationResult
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.config.files import FileError
from tidegauge.contract import encode
from tidegauge.contract.alert import Action, Distribution
from tidegauge.contract.audit import AuditFact

UP, DOWN = 0.1, 0.0


def judged(limits: str, *values: float, age: float = 0.0) -> list[EvaluationResult]:
    """Judge one-minute windows; between any two the state is written down and read back."""
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: medium, action: retrain, "
        "flapping_after: 0"
        f"{limits}}}]",
        source="rules.yaml",
    )
    verdicts: list[EvaluationResult] = []
    state = AlertState()
    for number, value in enumerate(values):
        report = kl_report(number, value)
        parts = [msgspec.structs.replace(part, baseline_age_seconds=age) for part in report.parts]
        report = msgspec.structs.replace(report, parts=parts)
        verdicts.append(evaluate(rules, report, state, distribution=lambda *_: None))
        state = msgspec.json.decode(encode(verdicts[-1].state), type=AlertState)
    return verdicts


def asked(verdicts: list[EvaluationResult]) -> list[int]:
    return [number for number, verdict in enumerate(verdicts) if verdict.actions]


def withheld(verdicts: list[EvaluationResult]) -> list[AuditFact]:
    facts = [fact for verdict in verdicts for fact in verdict.audit]
    return [fact for fact in facts if fact.event == "action.withheld"]


def actions(verdicts: list[EvaluationResult]) -> list[Action]:
    return [action for verdict in verdicts for action in verdict.actions]


@pytest.mark.parametrize(
    ("limits", "numbers"),
    [
        ("", [0, 2, 4, 6, 8]),
        (", cooldown: 120", [0, 2, 4, 6, 8]),
        (", cooldown: 121", [0, 4, 8]),
        (", max_per_day: 2", [0, 2]),
        (", cooldown: 121, max_per_day: 2", [0, 4]),
    ],
)
def test_an_action_is_asked_for_no_sooner_and_no_more_often_than_the_rule_allows(
    limits: str, numbers: list[int]
) -> None:
    verdicts = judged(limits, *[UP, DOWN] * 5)
    assert asked(verdicts) == numbers
    firing = [alert for verdict in verdicts for alert in verdict.alerts if alert.state == "firing"]
    assert [bool(alert.actions) for alert in firing] == [at in numbers for at in range(0, 10, 2)]
    assert len(withheld(verdicts)) == 5 - len(numbers)


def test_after_a_day_the_days_number_may_be_asked_for_again() -> None:
    day = 24 * 60
    verdicts = judged(", max_per_day: 1", *[UP, DOWN] * (day // 2 + 1))
    assert asked(verdicts) == [0, day]


def test_what_was_withheld_is_audited_with_its_reason() -> None:
    first, second = withheld(judged(", cooldown: 3600, max_per_day: 1", *[UP, DOWN] * 3))
    assert first.inputs["withheld"] == "requested 2 min before, cooldown 1 h"
    assert second.inputs["withheld"] == "requested 4 min before, cooldown 1 h"
    assert first.id != second.id and first.inputs["action"] == "retrain"


def test_by_stale_baselines_nothing_is_asked_for() -> None:
    verdicts = judged("", UP, age=STALE_SECONDS + 1)
    assert asked(verdicts) == []
    (fact,) = withheld(verdicts)
    assert fact.inputs["withheld"] == "the baselines were last read 1 h before"
    assert asked(judged("", UP, age=STALE_SECONDS)) == [0]


def test_an_action_says_until_when_it_is_good_and_whether_it_is_meant() -> None:
    (action,) = actions(judged(", expires_after: 600, dry_run: true", UP))
    assert (action.expires_at, action.dry_run) == (action.requested_at + 600, True)
    (action,) = actions(judged("", UP))
    assert (action.expires_at, action.dry_run) == (action.requested_at + 86_400, False)


def test_limits_of_an_action_without_an_action_are_a_slip() -> None:
    text = "rules: [{name: drift, metric: kl, above: 0.05, severity: medium, cooldown: 60}]"
    with pytest.raises(FileError, match="cooldown: only with 'action'; take it away"):
        parse_rules(text, source="rules.yaml")


def told(verdicts: list[EvaluationResult]) -> list[tuple[str, str | None]]:
    return [(alert.state, alert.action) for verdict in verdicts for alert in verdict.alerts]


def test_an_episode_says_to_its_end_what_it_has_asked_for() -> None:
    verdicts = judged(", repeat_interval: 60", UP, UP, DOWN)
    assert told(verdicts) == [("firing", "retrain"), ("firing", "retrain"), ("resolved", "retrain")]
    (again,) = verdicts[1].alerts
    assert again.reminder == 1 and again.actions == []


@pytest.mark.parametrize("limits", [", cooldown: 600", ", dry_run: true"])
def test_what_is_withheld_or_a_dry_run_has_not_been_asked_for(limits: str) -> None:
    verdicts = judged(limits, UP, DOWN, UP, DOWN)
    meant = "retrain" if "cooldown" in limits else None
    assert told(verdicts) == [
        ("firing", meant), ("resolved", meant), ("firing", None), ("resolved", None),
    ]  # fmt: skip


SLOW = (
    "rules: [{name: slow, metric: latency_mean_ms, above: 200, severity: high, action: rollback}]"
)


def slowed(
    *means: float, events: int = 1000, state: AlertState | None = None
) -> list[EvaluationResult]:
    rules, state, verdicts = parse_rules(SLOW, source="rules.yaml"), state or AlertState(), []
    for number, mean in enumerate(means):
        report = window_report(number, part_of(events), latency=latency(mean))
        verdicts.append(evaluate(rules, report, state, distribution=lambda *_: None))
        state = msgspec.json.decode(encode(verdicts[-1].state), type=AlertState)
    return verdicts


@pytest.mark.parametrize(
    ("means", "numbers"),
    [
        ((300.0,), []),
        ((300.0, 300.0, 50.0, 300.0), [3]),
        ((50.0, 300.0, 50.0, 300.0), [1, 3]),
        ((200.0, 300.0), [1]),
    ],
)
def test_going_back_is_asked_for_only_where_the_version_has_been_faster(
    means: tuple[float, ...], numbers: list[int]
) -> None:
    verdicts = slowed(*means)
    assert asked(verdicts) == numbers
    first = verdicts[0].alerts
    why = [it.withheld for it in first]
    said = (
        "latency_mean_ms has been above 200 since the first window of this version, 22:14 UTC: "
        "nothing is known to have changed that going back would mend"
    )
    assert why == ([said] if 0 not in numbers and means[0] == 300.0 else [])
    assert [it.inputs["withheld"] for it in withheld(verdicts)] == why
    for alert in first:
        assert alert.summary.endswith(f"; no rollback is asked for: {said}")
        assert (alert.actions, alert.action, alert.state) == ([], None, "firing")


def test_windows_with_too_few_events_say_nothing_of_whether_a_version_was_faster() -> None:
    rules = parse_rules(SLOW, source="rules.yaml")
    few = window_report(0, part_of(99), latency=latency(20.0))
    state = evaluate(rules, few, AlertState(), distribution=lambda *_: None).state
    slow = window_report(1, part_of(1000), latency=latency(300.0))
    assert not evaluate(rules, slow, state, distribution=lambda *_: None).actions


def test_a_slice_that_an_earlier_release_judged_may_ask_as_it_did() -> None:
    state = slowed(50.0)[0].state
    old = msgspec.to_builtins(state)
    for series in old["series"].values():
        del series["never_sound"]
    slow = window_report(1, part_of(1000), latency=latency(300.0))
    rules = parse_rules(SLOW, source="rules.yaml")
    for before in (msgspec.convert(old, AlertState), slowed(300.0)[0].state):
        asks = evaluate(rules, slow, before, distribution=lambda *_: None).actions
        assert bool(asks) == (before != slowed(300.0)[0].state)


def test_a_retraining_needs_a_baseline_of_more_than_a_few_rows() -> None:
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: low, action: retrain}]",
        source="rules.yaml",
    )
    for rows, asks in ((499, False), (500, True)):
        shown = Distribution(bins=["a", "b"], reference=[rows - 1, 1], current=[500, 500])
        verdict = evaluate(
            rules, kl_report(0, 0.1), AlertState(), distribution=lambda *_, it=shown: it
        )
        assert bool(verdict.actions) == asks == (not verdict.alerts[0].withheld)


def test_a_dry_run_is_said_in_the_alert_and_in_the_action() -> None:
    verdicts = judged(", dry_run: true", UP)
    [alert], [action] = verdicts[0].alerts, verdicts[0].actions
    assert alert.dry_run and action.dry_run and alert.actions == [action.id]
    assert alert.summary.endswith("; asks for a retrain, as a dry run: it is not to be carried out")
    [alert] = judged("", UP)[0].alerts
    assert not alert.dry_run


def test_an_action_names_the_segment_whose_alert_asked_for_it() -> None:
    report = kl_report(0, UP, segment={"region": "EU"})
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: low, action: page}]", source="r"
    )
    [action] = evaluate(rules, report, AlertState(), distribution=lambda *_: None).actions
    assert action.segment == {"region": "EU"}
