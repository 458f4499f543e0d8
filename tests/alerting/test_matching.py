"""What a rule is about, and what goes with its alerts."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.window_reports import kl_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.ruleset import RuleSet, load_rules, parse_rules
from tidegauge.alerting.state import AlertState
from tidegauge.config.files import FileError
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert


def text_of(more: str) -> str:
    return "rules: [{name: drift, metric: kl, above: 0.05, severity: low" + more + "}]"


def rules_of(more: str) -> RuleSet:
    return parse_rules(text_of(more), source="rules.yaml")


def alerts_of(rules: RuleSet, *values: float, state: AlertState | None = None) -> list[Alert]:
    found, state = [], state or AlertState()
    for number, value in enumerate(values):
        verdict = evaluate(rules, kl_report(number, value), state, distribution=lambda *_: None)
        found, state = [*found, *verdict.alerts], verdict.state
    return found


@pytest.mark.parametrize(
    ("match", "slice_", "fires"),
    [
        ("version: '3*'", {"version": "31"}, True),
        ("version: '3*'", {"version": "4"}, False),
        ("variant: canary", {"variant": "canary"}, True),
        ("variant: canary", {}, False),
        ("variant: ''", {}, True),
        ("variant: ''", {"variant": "canary"}, False),
        ("model: 'c*', version: '3', variant: '?*'", {"variant": "canary"}, True),
        ("segment: {region: 'EU*'}", {"segment": {"region": "EU-west"}}, True),
        ("segment: {region: 'EU*'}", {"segment": {"region": "US"}}, False),
        ("segment: {region: 'EU*'}", {"segment": {"age": "EU"}}, False),
        ("segment: {region: '*'}", {}, False),
        ("segment: {}", {}, True),
        ("segment: {}", {"segment": {"region": "EU"}}, False),
        ("model: '*'", {"segment": {"region": "EU"}}, True),
    ],
)
def test_a_rule_watches_the_slices_that_all_of_its_globs_match(
    match: str, slice_: dict[str, Any], fires: bool
) -> None:
    report = kl_report(0, 0.1, **slice_)
    verdict = evaluate(rules_of(f", {match}"), report, AlertState(), distribution=lambda *_: None)
    assert bool(verdict.alerts) == fires


def test_an_alert_of_a_slice_that_is_no_longer_matched_is_resolved() -> None:
    firing = evaluate(
        rules_of(""), kl_report(0, 0.1), AlertState(), distribution=lambda *_: None
    ).state
    after = evaluate(
        rules_of(", variant: canary"), kl_report(1, 0.1), firing, distribution=lambda *_: None
    )
    [alert] = after.alerts
    assert (alert.state, alert.summary) == (
        "resolved", "Rule 'drift' was changed and no longer watches this",
    )  # fmt: skip


GOES_WITH_IT = (
    ", labels: {team: payments}, receivers: [pager, mail], "
    "annotations: {runbook: 'https://wiki/{metric}/{signal}', now: '{value:.2f}'}"
)


def test_labels_receivers_and_filled_in_annotations_go_with_every_alert() -> None:
    firing, resolved = alerts_of(rules_of(GOES_WITH_IT), 0.1, 0.0)
    for alert in (firing, resolved):
        assert alert.labels == {"team": "payments"}
        assert alert.receivers == ["pager", "mail"]
    assert firing.annotations == {"runbook": "https://wiki/kl/age", "now": "0.10"}
    assert resolved.annotations["now"] == "0.00"


@pytest.mark.parametrize("after", ["", None])
def test_who_was_told_of_an_alert_is_told_of_its_end_whatever_the_rules_are_by_then(
    after: str | None,
) -> None:
    before = evaluate(
        rules_of(GOES_WITH_IT), kl_report(0, 0.1), AlertState(), distribution=lambda *_: None
    )
    kept = msgspec.json.decode(encode(before.state), type=AlertState)
    rules = parse_rules("rules: []", source="r") if after is None else rules_of(after)
    [resolved] = evaluate(rules, kl_report(1, 0.0), kept, distribution=lambda *_: None).alerts
    assert resolved.state == "resolved"
    assert (resolved.labels, resolved.receivers) == ({"team": "payments"}, ["pager", "mail"])
    assert resolved.fingerprint == before.alerts[0].fingerprint


def test_the_alert_and_its_audit_say_by_which_file_the_window_was_judged(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + text_of("").encode())
    rules = load_rules(file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    verdict = evaluate(rules, kl_report(0, 0.1), AlertState(), distribution=lambda *_: None)
    assert [one.rules_sha256 for one in verdict.alerts] == [sha256]
    assert [one.inputs["rules_sha256"] for one in verdict.audit] == [sha256]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (", for: 0", "rules[0].for: found 0, expected greater than or equal to 1"),
        (", for: 1.5", "rules[0].for: found 1.5, expected a whole number"),
        (", keep_firing_for: 0", "rules[0].keep_firing_for: found 0, expected greater"),
        (", repeat_interval: -1", "rules[0].repeat_interval: found -1, expected greater"),
        (", labels: {a-b: c}", "rules[0].labels.a-b: found 'a-b', expected letters, digits and _"),
        (", labels: {team: 3}", "rules[0].labels.team: found 3, expected text"),
        (", labels: [a]", "rules[0].labels: found a list, expected a mapping such as"),
        (
            ", annotations: {a: '{sginal}'}",
            "rules[0].annotations.a: not a template: found {sginal}",
        ),
        (", annotations: {a: '{'}", "rules[0].annotations.a: not a template: "),
        (", receivers: pager", "rules[0].receivers: found 'pager', expected a list such as"),
        (", receivers: [a, b, a]", "rules[0].receivers: found a twice; name each once"),
        (", segment: EU", "rules[0].segment: found 'EU', expected a mapping such as"),
        (", segment: {region: 3}", "rules[0].segment.region: found 3, expected text"),
        (", version: 3", "rules[0].version: found 3, expected text (in quotes, if"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(more: str, expected: str) -> None:
    with pytest.raises(FileError) as caught:
        rules_of(more)
    [problem] = caught.value.problems
    place, _, said = problem.partition(": ")
    assert said.startswith(expected), problem
    line, column = map(int, place.split(":")[1:])
    assert line == 1 and text_of(more)[column - 1 :].strip()
