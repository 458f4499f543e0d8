"""Good rule files and rules, where they come from, and their schema."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from support.deployment import ROOT
from support.rule_files import BY_SIZE, GOOD, only_problem_of
from tidegauge.alerting.metrics import METRICS
from tidegauge.alerting.model import Rule, rule_schema
from tidegauge.alerting.ruleset import DEFAULT_RULES, RuleSet, load_rules, parse_rules
from tidegauge.config.files import FileError


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


def test_a_file_is_read_and_named_in_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert [rule.name for rule in load_rules(path).rules] == ["input-drift", "quiet"]
    path.write_text(GOOD.replace("metric: kl", "metric: kk"))
    with pytest.raises(FileError, match=r"rules\.yaml:3:13: rules\[0\]\.metric: found 'kk'"):
        load_rules(path)
    path.write_bytes(b"rules:\n  - name: caf\xe9\n")
    with pytest.raises(FileError, match=r"rules\.yaml:2:14: found a byte that is not UTF-8"):
        load_rules(path)
    with pytest.raises(FileError, match=r"absent\.yaml: the rule file can't be read: No such file"):
        load_rules(tmp_path / "absent.yaml")
    with pytest.raises(FileError, match="the rule file can't be read: Is a directory"):
        load_rules(tmp_path)


def test_the_rules_of_the_deployments_are_the_default_ones() -> None:
    assert load_rules(ROOT / "k8s" / "config" / "rules.yaml").rules == DEFAULT_RULES.rules


def test_the_default_rules_are_those_of_the_documentation() -> None:
    rules = [
        (rule.name, rule.metric, rule.signal, rule.above, rule.severity, rule.action)
        for rule in DEFAULT_RULES.rules
    ]
    assert rules == [
        ("not-sent", "absent_excess", "*", 0.8, "high", None),
        ("missing-values", "missing_excess", "*", 0.05, "medium", None),
        ("not-finite-values", "not_finite_excess", "*", 0.01, "medium", None),
        ("invalid-values", "invalid_excess", "*", 0.01, "medium", None),
        ("new-values", "unseen_excess", "*", 0.05, "medium", None),
        ("out-of-range-values", "out_of_range_share", "*", 0.01, "medium", None),
        ("constant-values", "constant", "*", 0, "high", None),
        ("many-features-drift", "drifted_signals", "*", 2, "high", None),
        ("output-drift", "surprise", "prediction", 1, "medium", None),
        ("label-drift", "surprise", "label", 1, "medium", None),
        ("feature-drift", "surprise", "*", 1, "low", None),
        ("drift", "kl_values", "*", 0.05, "medium", None),
        ("drift-retrain", "kl_values", "*", 0.07, "high", "retrain"),
        ("latency-rollback", "latency_mean_ms", "*", 200, "critical", "rollback"),
        ("accuracy-drop", "accuracy", "*", None, "critical", None),
        ("mae-rise", "mae", "*", None, "critical", None),
        ("no-data", "seconds_without_events", "*", 600, "medium", None),
    ]
    required = [rule.required_events for rule in DEFAULT_RULES.rules]
    assert required == [20] * 6 + [100] + [0, 0, 0, 0, 1000, 1000, 100, 30, 30, 0]
    documented = (ROOT / "docs" / "statistics.md").read_text().partition("### The default rules")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", documented, re.MULTILINE) == [
        rule.name for rule in DEFAULT_RULES.rules
    ]


def test_a_rule_without_a_minimum_sample_has_that_of_its_metric() -> None:
    found = {
        name: Rule(name="r", metric=name, above=0.5, severity="low").required_events
        for name in METRICS
    }
    assert found["psi"] == found["wasserstein"] == 1000
    assert found["mean"] == found["latency_p99_ms"] == found["missing_share"] == 100
    assert found["missing_excess"] == 20
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


def one_rule(metric: str, drop: float) -> str:
    return (
        "rules:\n  - name: worse\n    severity: low\n"
        f"    metric: {metric}\n    drop_from_baseline: {drop:g}\n"
    )


@pytest.mark.parametrize("drop", [5, 1])
@pytest.mark.parametrize("metric", ["accuracy", "auc", "f1_weighted"])
def test_a_drop_of_all_that_there_is_would_never_hold(metric: str, drop: float) -> None:
    assert only_problem_of(one_rule(metric, drop)) == (
        f"rules.yaml:5:25: rules[0].drop_from_baseline: found {drop}, but {metric} can't fall by "
        "all of the baseline's figure, or more, so that it would never hold; expected a share "
        "below 1, such as 0.05 for 5 %"
    )


@pytest.mark.parametrize("metric", ["mae", "log_loss", "r2"])
def test_what_may_become_twice_as_bad_can_be_watched_for_it(metric: str) -> None:
    (rule,) = parse_rules(one_rule(metric, 5), source="rules.yaml").rules
    assert rule.drop_from_baseline == 5
