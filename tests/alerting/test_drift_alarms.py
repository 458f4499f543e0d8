"""Rules on the surprise of a drift: how big it must be, and how severe that makes the alert."""

import pytest

from support.window_reports import evidence_of, surprise_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import RuleSet, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.contract.alert import Alert
from tidegauge.contract.report import Change, Evidence

RULE = """\
rules:
  - name: drift-alarm
    metric: surprise
    above: 1
    severity: {minor: low, moderate: medium, major: high}
"""


def rules_of(text: str = RULE) -> RuleSet:
    return parse_rules(text, source="rules.yaml")


def alerts_of(*windows: dict[str, Evidence], rules: RuleSet | None = None) -> list[list[Alert]]:
    state, found = AlertState(), []
    for number, evidence in enumerate(windows):
        report = surprise_report(number, **evidence)
        verdict = evaluate(rules or rules_of(), report, state, distribution=lambda *_: None)
        state = verdict.state
        found.append(verdict.alerts)
    return found


@pytest.mark.parametrize(
    ("psi", "severity"), [(0.0999, "low"), (0.1, "medium"), (0.2499, "medium"), (0.25, "high")]
)
def test_the_severity_is_that_of_the_size(psi: float, severity: str) -> None:
    [[alert]] = alerts_of({"age": evidence_of(1.5, psi)})
    assert alert.severity == severity
    assert alert.evidence == evidence_of(1.5, psi)


def test_a_drift_of_unknown_size_is_as_severe_as_one_can_be() -> None:
    [[alert]] = alerts_of({"age": evidence_of(1.5, None)})
    assert alert.severity == "high"


@pytest.mark.parametrize(("psi", "fires"), [(0.0099, False), (0.01, True)])
def test_what_is_certain_but_too_small_raises_no_alert(psi: float, fires: bool) -> None:
    [alerts] = alerts_of({"age": evidence_of(50.0, psi)})
    assert bool(alerts) == fires


def test_the_smallest_drift_that_counts_is_the_rules_to_say() -> None:
    rules = rules_of(RULE + "    minimum_psi: 0\n")
    assert alerts_of({"age": evidence_of(1.5, 0.0)}, rules=rules)[0]
    rules = rules_of(RULE + "    minimum_psi: 0.2\n")
    assert alerts_of({"age": evidence_of(1.5, 0.19)}, rules=rules) == [[]]


def test_a_drift_that_grows_small_is_over_only_when_it_is_no_longer_certain() -> None:
    windows = [evidence_of(2.0, 0.3), evidence_of(1.5, 0.005), evidence_of(0.9, 0.004)]
    found = alerts_of(*({"age": one} for one in windows))
    assert [[alert.state for alert in alerts] for alerts in found] == [
        ["firing"],
        [],
        ["resolved"],
    ]
    assert found[2][0].severity == "high", "as it was raised"


def _change(rank: int) -> Change:
    return Change(
        span="spike", moved=[], mean_delta=None, median_delta=None, missing_share_delta=0.0,
        unseen_share_delta=None, onset_window_end=0, q_value=0.0, rank=rank,
    )  # fmt: skip


def test_alerts_and_the_action_they_ask_for_follow_the_rank_not_the_surprise() -> None:
    rules = rules_of(RULE + "    action: retrain\n    group: none\n")
    evidence = {
        "age": evidence_of(9.0, 0.1, change=_change(2)),
        "income": evidence_of(3.0, 0.3, change=_change(1)),
        "region": evidence_of(5.0, 0.2),
    }
    verdict = evaluate(
        rules, surprise_report(0, **evidence), AlertState(), distribution=lambda *_: None
    )
    assert [alert.signal for alert in verdict.alerts] == ["income", "age", "region"]
    assert [action.alert for action in verdict.actions] == [verdict.alerts[0].id]


def test_a_quiet_signal_is_not_held_back_by_its_size_from_rules_below() -> None:
    rules = rules_of("rules: [{name: calm, metric: surprise, below: 0.5, severity: low}]")
    assert alerts_of({"age": evidence_of(0.1, 0.0)}, rules=rules)[0]
