"""Rule files, good and bad; every problem is found, at the line and column where it stands."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from support.deployment import ROOT
from tidegauge.rules import (
    DEFAULT_RULES,
    METRICS,
    Rule,
    RuleError,
    RuleSet,
    load_rules,
    parse_rules,
    rule_schema,
)

GOOD = """\
rules:
  - name: input-drift
    metric: kl
    signal: "income_*"
    model: credit
    above: 0.05
    severity: medium
    minimum_events: 500
    action: retrain
    summary: "{model}: {signal} at {value:.2f}"
  - name: quiet
    metric: events
    below: 1e1
    severity: low
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(RuleError) as caught:
        parse_rules(text, source="rules.yaml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def only_problem_of(text: str) -> str:
    problems = problems_of(text)
    assert len(problems) == 1, problems
    return problems[0]


def test_a_good_file_is_read_as_it_stands() -> None:
    rules = parse_rules(GOOD, source="rules.yaml")
    assert rules.rules == (
        Rule(
            name="input-drift",
            metric="kl",
            signal="income_*",
            model="credit",
            above=0.05,
            severity="medium",
            minimum_events=500,
            action="retrain",
            summary="{model}: {signal} at {value:.2f}",
        ),
        Rule(name="quiet", metric="events", below=10.0, severity="low"),
    )
    assert len(rules) == 2
    assert rules.source == "rules.yaml"


def test_an_empty_list_of_rules_is_a_choice_and_an_empty_file_is_a_mistake() -> None:
    assert len(parse_rules("rules: []", source="rules.yaml")) == 0
    for text in ("", "\n# nothing\n"):
        assert "rules.yaml:1:1: the file is empty, expected 'rules:'" in only_problem_of(text)
    assert only_problem_of("rules:\n").startswith("rules.yaml:1:7: rules: found nothing, expected")


@pytest.mark.parametrize(
    ("line", "replacement", "expected"),
    [
        (
            "metric: kl\n",
            "metric: klx\n",
            "rules.yaml:3:13: rules[0].metric: found 'klx', expected one of psi, kl, ",
        ),
        (
            "metric: kl\n",
            "metric: 7\n",
            "rules.yaml:3:13: rules[0].metric: found 7, expected one of psi, kl, ",
        ),
        (
            "severity: medium",
            "severity: hihg",
            "rules.yaml:7:15: rules[0].severity: found 'hihg', expected one of low, medium, high, "
            "critical; did you mean high?",
        ),
        (
            "minimum_events:",
            "minimum_event:",
            "rules.yaml:8:5: rules[0].minimum_event: unknown key; did you mean 'minimum_events'?",
        ),
        (
            "minimum_events: 500",
            "minimum_events: 500.5",
            "rules.yaml:8:21: rules[0].minimum_events: found 500.5, expected a whole number",
        ),
        (
            "minimum_events: 500",
            "minimum_events: -1",
            "rules.yaml:8:21: rules[0].minimum_events: found -1: input should be greater than or "
            "equal to 0",
        ),
        (
            "above: 0.05",
            'above: "0.05"',
            "rules.yaml:6:12: rules[0].above: found '0.05', expected a number, without quotes",
        ),
        (
            "above: 0.05",
            "above: yes",
            "rules.yaml:6:12: rules[0].above: found yes/no (true), expected a number",
        ),
        (
            "above: 0.05",
            "above: .nan",
            "rules.yaml:6:12: rules[0].above: found nan, expected a finite number",
        ),
        (
            "above: 0.05",
            "above: -1",
            "rules.yaml:6:12: rules[0].above: found -1, but kl (nats) is 0 or more",
        ),
        (
            "    above: 0.05\n",
            "",
            "rules.yaml:2:5: rules[0]: found no threshold, expected 'above' or 'below'",
        ),
        (
            "above: 0.05\n",
            "above: 0.05\n    below: 0.01\n",
            "rules.yaml:7:12: rules[0].below: found 'above' as well; expected one of the two",
        ),
        (
            "above: 0.05\n",
            "above: 0.05\n    above: 0.07\n",
            "rules.yaml:7:5: rules[0].above: found the key again, first in line 6; keep one",
        ),
        (
            "action: retrain",
            "action: restart",
            "rules.yaml:9:13: rules[0].action: found 'restart', expected one of retrain, rollback",
        ),
        (
            "{signal}",
            "{signl}",
            "rules.yaml:10:14: rules[0].summary: not a template: found {signl}, expected one of ",
        ),
        (
            "{signal}",
            "{signal.__class__}",
            "rules.yaml:10:14: rules[0].summary: not a template: found {signal.__class__}, ",
        ),
        (
            ":.2f}",
            ":q}",
            "rules.yaml:10:14: rules[0].summary: not a template: Unknown format code 'q'",
        ),
        (
            "{signal}",
            "{signal",
            "rules.yaml:10:14: rules[0].summary: not a template: ",
        ),
        (
            "name: quiet",
            "name: input-drift",
            "rules.yaml:11:11: rules[1].name: found 'input-drift', already the name of rules[0] "
            "in line 2; give each rule its own name",
        ),
        (
            "name: quiet",
            "name: ''",
            "rules.yaml:11:11: rules[1].name: found '', expected some text",
        ),
        (
            "name: quiet",
            "name: 12",
            "rules.yaml:11:11: rules[1].name: found 12, expected text (in quotes, if",
        ),
        (
            "  - name: quiet\n    metric",
            "  - metric",
            "rules.yaml:11:5: rules[1]: found no 'name', expected one",
        ),
        (
            "metric: events",
            "metric: events\n    signal: age",
            "rules.yaml:13:13: rules[1].signal: events is measured once for the whole window",
        ),
        (
            "below: 1e1",
            "below: 10\n    minimum_events: 10",
            "rules.yaml:14:21: rules[1].minimum_events: found 10, so no window with fewer than 10",
        ),
        (
            "below: 1e1",
            "below: 0",
            "rules.yaml:13:12: rules[1].below: found 0, but events (events) is 0 or more",
        ),
        (
            "severity: medium",
            "severity: {minor: low, moderate: medium, major: high}",
            "rules.yaml:7:15: rules[0].severity: found sizes, but kl has none, only surprise",
        ),
        (
            "metric: kl\n",
            "metric: kl\n    minimum_psi: 0.02\n",
            "rules.yaml:4:18: rules[0].minimum_psi: only for 'metric: surprise' with 'above'",
        ),
        (
            "metric: events",
            "metric: events\n    group: none",
            "rules.yaml:13:12: rules[1].group: events is measured once for the whole window",
        ),
        (
            "metric: events",
            "metric: events\n    inhibited_by: [input-drfit]",
            "rules.yaml:13:20: rules[1].inhibited_by[0]: found 'input-drfit', expected the name o",
        ),
        (
            "metric: events",
            "metric: events\n    inhibited_by: [quiet]",
            "rules.yaml:13:20: rules[1].inhibited_by[0]: quiet waits for quiet: none would ever be",
        ),
        (
            "metric: events",
            "metric: events\n    inhibited_by: [input-drift, input-drift]",
            "rules.yaml:13:19: rules[1].inhibited_by: found input-drift twice; name each once",
        ),
        (
            "metric: events",
            "metric: events\n    inhibited_by: input-drift",
            "rules.yaml:13:19: rules[1].inhibited_by: found 'input-drift', expected a list such as",
        ),
        (
            "metric: kl\n",
            "metric: kl\n    flapping_after: 0\n    flapping_windows: 9\n",
            "rules.yaml:5:23: rules[0].flapping_windows: nothing is damped with 'flapping",
        ),
        ("rules:", "rulez:", "rules.yaml:1:1: found no 'rules', expected one"),
        (
            "    metric: kl\n",
            "     metric: kl\n",
            "rules.yaml:3:12: not YAML: mapping values are not allowed here; look at the indentat",
        ),
        (
            "    metric: kl\n",
            "\tmetric: kl\n",
            "rules.yaml:3:1: not YAML: while scanning for the next token, found character '\\t'",
        ),
        (
            'income_*"',
            "income_*",
            "rules.yaml:10:15: not YAML: ",
        ),
    ],
)
def test_a_mistake_is_shown_at_its_line_and_column(
    line: str, replacement: str, expected: str
) -> None:
    assert line in GOOD
    problems = problems_of(GOOD.replace(line, replacement, 1))
    assert [problem for problem in problems if problem.startswith(expected)], problems
    assert len(problems) == (2 if line == "rules:" else 1), problems


BY_SIZE = """\
rules:
  - name: drift-alarm
    metric: surprise
    above: 1
    minimum_psi: 0.02
    severity: {minor: low, moderate: medium, major: high}
"""


def test_a_severity_may_follow_the_size_of_a_drift() -> None:
    [rule] = parse_rules(BY_SIZE, source="rules.yaml").rules
    assert [rule.severity_of(size) for size in ("minor", "moderate", "major")] == [
        "low",
        "medium",
        "high",
    ]
    assert rule.required_psi == 0.02
    [default] = parse_rules(BY_SIZE.replace("    minimum_psi: 0.02\n", ""), source="r").rules
    assert default.required_psi == 0.01


@pytest.mark.parametrize(
    ("text", "replacement", "expected"),
    [
        (
            "minor: low",
            "minor: lwo",
            "rules.yaml:6:23: rules[0].severity.minor: found 'lwo', expected one of low, medium, "
            "high, critical; did you mean low?",
        ),
        (
            "minor: low",
            "mnior: low",
            "rules.yaml:6:16: rules[0].severity.mnior: unknown key; did you mean 'minor'?",
        ),
        (
            ", major: high",
            "",
            "rules.yaml:6:15: rules[0].severity: found no 'major', expected one",
        ),
        (
            "severity: {minor: low, moderate: medium, major: high}",
            "severity: [low]",
            "rules.yaml:6:15: rules[0].severity: found a list, expected one of low, medium, high, ",
        ),
        (
            "minimum_psi: 0.02",
            "minimum_psi: -1",
            "rules.yaml:5:18: rules[0].minimum_psi: found -1: input should be greater than or eq",
        ),
        (
            "above: 1",
            "below: 1",
            "rules.yaml:5:18: rules[0].minimum_psi: only for 'metric: surprise' with 'above'",
        ),
    ],
)
def test_a_mistake_in_what_follows_from_a_size_is_shown_at_its_place(
    text: str, replacement: str, expected: str
) -> None:
    problems = problems_of(BY_SIZE.replace(text, replacement, 1))
    assert [problem for problem in problems if problem.startswith(expected)], problems


def test_every_problem_of_a_file_is_shown_at_once_in_the_order_of_the_file() -> None:
    text = """\
rules:
  - name: one
    metric: klx
    severity: low
  - name: one
    metric: error_share
    above: 5
    severity: lowest
    severity: low
  - just text
more: 1
"""
    places = [problem.split(": ")[:2] for problem in problems_of(text)]
    assert places == [
        ["rules.yaml:2:5", "rules[0]"],
        ["rules.yaml:3:13", "rules[0].metric"],
        ["rules.yaml:5:11", "rules[1].name"],
        ["rules.yaml:7:12", "rules[1].above"],
        ["rules.yaml:9:5", "rules[1].severity"],
        ["rules.yaml:10:5", "rules[2]"],
        ["rules.yaml:11:1", "more"],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1", "rules.yaml:1:1: found a list, expected 'rules:' and a list of rules"),
        ("rules: {a: 1}", "rules.yaml:1:8: rules: found a mapping, expected a list of rules"),
        ("rules: []\n---\nx: 1", "rules.yaml:2:1: not YAML: expected a single document"),
        ("rules: [*x]", "rules.yaml:1:9: not YAML: found undefined alias 'x'"),
        ("rules: !!python/object:os.system {}", "rules.yaml:1:8: not YAML: could not determine"),
        ("rules: [{? [a] : 1}]", "rules.yaml:1:12: not YAML: while constructing a mapping"),
        ("rules: !!int abc", "rules.yaml:1:1: a value can't be read: invalid literal"),
        ("rules:\n  \x00", "rules.yaml:2:3: found the character U+0000, which YAML doesn't allow"),
        ("[" * 5000, "rules.yaml:1:1: the file is nested too deeply"),
        ("rules: &a [*a]", "rules.yaml:1:8: rules[0]: found a list, expected a mapping"),
    ],
)
def test_text_that_is_no_rule_file_at_all_is_refused(text: str, expected: str) -> None:
    assert only_problem_of(text).startswith(expected)


def test_a_file_is_read_and_named_in_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert [rule.name for rule in load_rules(path).rules] == ["input-drift", "quiet"]
    path.write_text(GOOD.replace("metric: kl", "metric: kk"))
    with pytest.raises(RuleError, match=r"rules\.yaml:3:13: rules\[0\]\.metric: found 'kk'"):
        load_rules(path)
    path.write_bytes(b"rules:\n  - name: caf\xe9\n")
    with pytest.raises(RuleError, match=r"rules\.yaml:2:14: found a byte that is not UTF-8"):
        load_rules(path)
    with pytest.raises(RuleError, match=r"absent\.yaml: the rule file can't be read: No such file"):
        load_rules(tmp_path / "absent.yaml")
    with pytest.raises(RuleError, match="the rule file can't be read: Is a directory"):
        load_rules(tmp_path)


def test_the_default_rules_are_those_of_the_documentation() -> None:
    rules = [
        (rule.name, rule.metric, rule.signal, rule.above, rule.severity, rule.action)
        for rule in DEFAULT_RULES.rules
    ]
    assert rules == [
        ("many-features-drift", "drifted_signals", "*", 2, "high", None),
        ("output-drift", "surprise", "prediction", 1, "medium", None),
        ("label-drift", "surprise", "label", 1, "medium", None),
        ("feature-drift", "surprise", "*", 1, "low", None),
        ("drift", "kl", "*", 0.05, "medium", None),
        ("drift-retrain", "kl", "*", 0.07, "high", "retrain"),
        ("latency-rollback", "latency_mean_ms", "*", 200, "critical", "rollback"),
        ("no-data", "seconds_without_events", "*", 600, "medium", None),
    ]
    required = [rule.required_events for rule in DEFAULT_RULES.rules]
    assert required == [0, 0, 0, 0, 1000, 1000, 100, 0]
    documented = (ROOT / "docs" / "statistics.md").read_text().partition("### The default rules")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", documented, re.MULTILINE) == [
        rule.name for rule in DEFAULT_RULES.rules
    ]


def test_rules_that_inhibit_each_other_in_a_circle_are_all_named() -> None:
    text = "rules:\n" + "".join(
        f"- {{name: {name}, metric: events, below: 5, severity: low, inhibited_by: [{others}]}}\n"
        for name, others in (("a", "b"), ("b", "c, d"), ("c", "a"), ("d", "c"), ("e", "a"))
    )
    assert [problem.split(": ", 2)[2] for problem in problems_of(text)] == [
        "a waits for b waits for c waits for a: none would ever be told; take one of these away",
        "b waits for c waits for a waits for b: none would ever be told; take one of these away",
        "b waits for d waits for c waits for a waits for b: none would ever be told; "
        "take one of these away",
        "c waits for a waits for b waits for c: none would ever be told; take one of these away",
        "d waits for c waits for a waits for b waits for d: none would ever be told; "
        "take one of these away",
    ]


def test_a_rule_without_a_minimum_sample_has_that_of_its_metric() -> None:
    found = {
        name: Rule(name="r", metric=name, above=0.5, severity="low").required_events
        for name in METRICS
    }
    assert found["psi"] == found["wasserstein"] == 1000
    assert found["mean"] == found["latency_p99_ms"] == 100
    assert found["events"] == 0


def test_the_schema_takes_the_good_file_and_refuses_bad_ones() -> None:
    schema = rule_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = yaml.safe_load(GOOD.replace("1e1", "10"))
    assert list(validator.iter_errors(good)) == []
    for field, value in [
        ("below", 0.01),
        ("metric", "klx"),
        ("unknown", 1),
        ("above", None),
        ("severity", "worst"),
        ("action", "restart"),
    ]:
        bad = {"rules": [good["rules"][0] | {field: value}]}
        assert list(validator.iter_errors(bad)), field


def test_rules_made_in_python_are_held_to_the_same() -> None:
    with pytest.raises(ValueError, match="found no threshold"):
        Rule(name="r", metric="kl", severity="low")
    rule = Rule(name="r", metric="kl", above=0.05, severity="low")
    with pytest.raises(ValueError, match="two rules are named 'r'"):
        RuleSet([rule, rule])
    waiting = rule.model_copy(update={"inhibited_by": ["x"]})
    with pytest.raises(ValueError, match="rule 'r': inhibited_by: found 'x', expected the name"):
        RuleSet([waiting])
