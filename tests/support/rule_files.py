"""Rule files, good ones, and what is said of bad ones."""

import pytest

from tidegauge.alerting.ruleset import parse_rules
from tidegauge.config.files import FileError

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


BY_SIZE = """\
rules:
  - name: drift-alarm
    metric: surprise
    above: 1
    minimum_psi: 0.02
    severity: {minor: low, moderate: medium, major: high}
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_rules(text, source="rules.yaml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def only_problem_of(text: str) -> str:
    problems = problems_of(text)
    assert len(problems) == 1, problems
    return problems[0]
