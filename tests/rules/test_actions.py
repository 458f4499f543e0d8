"""When a firing alert may ask for its action: cooldown, so many a day, baselines that are known."""

import msgspec
import pytest

from support.window_reports import kl_report
from tidegauge.contract import Action, AuditFact, encode
from tidegauge.rules import AlertState, RuleError, Verdict, evaluate, parse_rules
from tidegauge.rules.actions import STALE_SECONDS

UP, DOWN = 0.1, 0.0


def judged(limits: str, *values: float, age: float = 0.0) -> list[Verdict]:
    """Judge one-minute windows; between any two the state is written down and read back."""
    rules = parse_rules(
        "rules: [{name: drift, metric: kl, above: 0.05, severity: medium, action: retrain"
        f"{limits}}}]",
        source="rules.yaml",
    )
    verdicts: list[Verdict] = []
    state = AlertState()
    for number, value in enumerate(values):
        report = kl_report(number, value)
        parts = [msgspec.structs.replace(part, baseline_age_seconds=age) for part in report.parts]
        report = msgspec.structs.replace(report, parts=parts)
        verdicts.append(evaluate(rules, report, state, distribution=lambda *_: None))
        state = msgspec.json.decode(encode(verdicts[-1].state), type=AlertState)
    return verdicts


def asked(verdicts: list[Verdict]) -> list[int]:
    return [number for number, verdict in enumerate(verdicts) if verdict.actions]


def withheld(verdicts: list[Verdict]) -> list[AuditFact]:
    facts = [fact for verdict in verdicts for fact in verdict.audit]
    return [fact for fact in facts if fact.event == "action.withheld"]


def actions(verdicts: list[Verdict]) -> list[Action]:
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
    assert first.inputs["withheld"] == "asked for 120 s before, cooldown 3600 s"
    assert second.inputs["withheld"] == "asked for 240 s before, cooldown 3600 s"
    assert first.id != second.id and first.inputs["action"] == "retrain"


def test_by_stale_baselines_nothing_is_asked_for() -> None:
    verdicts = judged("", UP, age=STALE_SECONDS + 1)
    assert asked(verdicts) == []
    (fact,) = withheld(verdicts)
    assert fact.inputs["withheld"] == "the baselines were last read 3601 s before"
    assert asked(judged("", UP, age=STALE_SECONDS)) == [0]


def test_an_action_says_until_when_it_is_good_and_whether_it_is_meant() -> None:
    (action,) = actions(judged(", expires_after: 600, dry_run: true", UP))
    assert (action.expires_at, action.dry_run) == (action.requested_at + 600, True)
    (action,) = actions(judged("", UP))
    assert (action.expires_at, action.dry_run) == (action.requested_at + 86_400, False)


def test_limits_of_an_action_without_an_action_are_a_slip() -> None:
    text = "rules: [{name: drift, metric: kl, above: 0.05, severity: medium, cooldown: 60}]"
    with pytest.raises(RuleError, match="cooldown: only with 'action'; take it away"):
        parse_rules(text, source="rules.yaml")


def told(verdicts: list[Verdict]) -> list[tuple[str, str | None]]:
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
