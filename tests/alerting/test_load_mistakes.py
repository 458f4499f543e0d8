"""Every problem of a rule file is found, at the line and column where it stands."""

import pytest

from support.rule_files import BY_SIZE, GOOD, only_problem_of, problems_of


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
            "rules.yaml:8:21: rules[0].minimum_events: found -1, expected greater than or "
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
            "rules.yaml:13:20: rules[1].inhibited_by[0]: quiet waits for quiet: none would be",
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
            "metric: kl\n    signal_inhibited_by: [quiet]\n",
            "rules.yaml:4:27: rules[0].signal_inhibited_by[0]: found 'quiet', which is about no",
        ),
        (
            "metric: kl\n",
            "metric: kl\n    signal_inhibited_by: [input-drfit]\n",
            "rules.yaml:4:27: rules[0].signal_inhibited_by[0]: found 'input-drfit', expected the",
        ),
        (
            "metric: events",
            "metric: events\n    signal_inhibited_by: [input-drift]",
            "rules.yaml:13:26: rules[1].signal_inhibited_by: events is measured once for the whole",
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
            "rules.yaml:5:18: rules[0].minimum_psi: found -1, expected greater than or eq",
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


def test_rules_that_inhibit_each_other_in_a_circle_are_all_named() -> None:
    text = "rules:\n" + "".join(
        f"- {{name: {name}, metric: events, below: 5, severity: low, inhibited_by: [{others}]}}\n"
        for name, others in (("a", "b"), ("b", "c, d"), ("c", "a"), ("d", "c"), ("e", "a"))
    )
    assert [problem.split(": ", 2)[2] for problem in problems_of(text)] == [
        "a waits for b waits for c waits for a: none would be reported; take one of these away",
        "b waits for c waits for a waits for b: none would be reported; take one of these away",
        "b waits for d waits for c waits for a waits for b: none would be reported; "
        "take one of these away",
        "c waits for a waits for b waits for c: none would be reported; take one of these away",
        "d waits for c waits for a waits for b waits for d: none would be reported; "
        "take one of these away",
    ]
