"""Prometheus's files: its own checker takes them, and its alerts fire when they must."""

import re
from typing import get_args

import pytest
import yaml

from support.deployment import ROOT, promtool, read_yaml
from support.metric_names import series_names
from tidegauge.contract.alert import Severity

ALERTS = "deploy/prometheus/alerts.yml"
ALL = [rule for group in read_yaml(ALERTS)["groups"] for rule in group["rules"]]
RULES = [rule for rule in ALL if "alert" in rule]
RUNBOOKS = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in RULES}

STORIES = ("tests/deploy/alerts_test.yml", "tests/deploy/alerts_of_conditions_test.yml")

#: Conditions that a rule of its own speaks of, in each state that it can have.
SPOKEN_OF = {
    "kafka": {"TidegaugeBrokersAway"},
    "topics": {"TidegaugeTopicNotWritable"},
    "changelog": {"TidegaugeStateNotSaved"},
    "histograms": {"TidegaugeStateNotSaved"},
    "state": {"TidegaugeStateNotSaved"},
    "ledger": {"TidegaugeAuditBroken"},
    "baselines": {"TidegaugeBaselineStoreDown", "TidegaugeBaselineUnusable"},
    "missing_baselines": {"TidegaugeMissingBaseline"},
    "rules": {"TidegaugeRuleFile"},
    "receivers": {"TidegaugeReceiverFile"},
    "dead_letters": {"TidegaugeDeadLettersDropped"},
    "clocks": {"TidegaugeClockAhead"},
    "names": {"TidegaugeNamesOverflow"},
    "source": {"TidegaugeSourceChanged", "TidegaugeSourceHeld"},
    "topic_settings": {"TidegaugeTopics"},
    "outputs": {"TidegaugeOutputsRefused"},
    "quarantine": {"TidegaugeRecordsQuarantined"},
    "slices": {"TidegaugeSliceFailed"},
}

#: Those that the two general rules speak of.
GENERAL = {
    "ingest", "labels", "labels_source", "labels_dead_letters", "outcomes", "detect",
    "notify", "acknowledgements", "silences", "windows",
}  # fmt: skip


def test_promtool_takes_the_configuration_and_the_alerts_it_names():
    checked = promtool("check", "config", "deploy/prometheus/prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALL)} rules found" in checked.stdout


@pytest.mark.parametrize("path", STORIES)
def test_each_alert_fires_where_it_must_and_is_silent_where_it_must(path, tmp_path):
    # As text, all of it: 0x80 is 81 samples of 0, and no number.
    stories = yaml.load((ROOT / path).read_text(), yaml.BaseLoader)  # noqa: S506
    stories["rule_files"] = [str(ROOT / ALERTS)]
    for check in _checks(stories):
        for alert in check.get("exp_alerts", []):
            alert["exp_annotations"]["runbook_url"] = RUNBOOKS[check["alertname"]]
    whole = tmp_path / "stories.yml"
    whole.write_text(yaml.safe_dump(stories))
    tested = promtool("test", "rules", whole)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _checks(stories):
    return [check for test in stories["tests"] for check in test["alert_rule_test"]]


def test_the_scenarios_cover_every_alert():
    expected = {
        check["alertname"]
        for path in STORIES
        for check in _checks(read_yaml(path))
        if check.get("exp_alerts")
    }
    assert expected == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_an_alert_asks_only_for_metrics_that_are_exposed(rule):
    asked = set(re.findall(r"\btidegauge_\w+", rule["expr"]))
    assert asked <= series_names()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_runbook_of_an_alert_is_a_heading_of_the_manual(rule):
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
    assert anchor == rule["alert"].lower()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_severities_are_those_of_our_own_rules(rule):
    assert set(re.findall(r"(?<=})\w+(?={)|^\w+$", rule["labels"]["severity"])) <= set(
        get_args(Severity)
    )


def _recorded():
    return {rule["record"]: rule["expr"] for rule in ALL if "record" in rule}


def test_what_alerts_take_of_the_recorded_rules_is_recorded_and_nothing_else():
    used = {name for rule in RULES for name in re.findall(r"\btidegauge:\w+:\w+", rule["expr"])}
    assert used == _recorded().keys()


def _conditions_of_the_code():
    """Return the names of conditions that are set anywhere in the package."""
    found = set()
    for path in (ROOT / "app" / "tidegauge").rglob("*.py"):
        text = path.read_text()
        names = re.findall(r"ealth\.report\(\s*([\w.\"]+),", text)
        for name in names:
            if name.startswith('"'):
                found.add(name.strip('"'))
            elif name.isupper():
                found |= set(re.findall(rf'^{name} = "(\w+)"', text, re.MULTILINE))
        found |= set(re.findall(r'(?:name|_condition): ClassVar\[str\] = "(\w+)"', text))
    return found


def test_every_condition_of_the_code_is_one_that_an_alert_speaks_of():
    assert _conditions_of_the_code() == SPOKEN_OF.keys() | GENERAL


def test_what_the_general_rules_leave_out_has_a_rule_of_its_own():
    by_name = {rule["alert"]: rule for rule in RULES}
    left_out = set()
    for name in ("TidegaugeNotReady", "TidegaugeDegraded"):
        (pattern,) = re.findall(r'condition!~"([^"]+)"', by_name[name]["expr"])
        left_out |= set(pattern.split("|"))
    assert left_out <= SPOKEN_OF.keys()
    assert not left_out & GENERAL
    assert {alert for alerts in SPOKEN_OF.values() for alert in alerts} <= by_name.keys()
