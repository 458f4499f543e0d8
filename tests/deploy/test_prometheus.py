"""Prometheus's files: its own checker takes them, and its alerts fire when they must."""

import re

import pytest

from support.deployment import ROOT, promtool, read_yaml
from support.metric_names import series_names

ALERTS = "deploy/prometheus/alerts.yml"
RULES = [rule for group in read_yaml(ALERTS)["groups"] for rule in group["rules"]]


def test_promtool_takes_the_configuration_and_the_alerts_it_names():
    checked = promtool("check", "config", "deploy/prometheus/prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_each_alert_fires_where_it_must_and_is_silent_where_it_must():
    tested = promtool("test", "rules", "tests/deploy/alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_scenarios_cover_every_alert():
    expected = {
        check["alertname"]
        for test in read_yaml("tests/deploy/alerts_test.yml")["tests"]
        for check in test["alert_rule_test"]
        if check.get("exp_alerts")
    }
    assert expected == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_only_for_metrics_that_are_exposed(rule):
    asked = set(re.findall(r"\btidegauge_\w+", rule["expr"]))
    assert asked <= series_names()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_manual_says_what_to_do_at_each_alert(rule):
    assert f"### {rule['alert']}" in (ROOT / "docs" / "operations.md").read_text()
