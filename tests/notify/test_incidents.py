"""Incidents as receivers get them: one delivery, ten signals by name, each severity and its end."""

import json
from collections.abc import Iterator

import pytest

from support.alerts import example_alert
from support.http_sink import Answer, HttpSink
from support.wide_model import Drift, judged
from tidegauge.contract.alert import Alert
from tidegauge.contract.templates import links_of
from tidegauge.notify.alertmanager import FiringAlerts, Posting, body_of
from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import Match, ReceiverFile
from tidegauge.notify.mail import mail
from tidegauge.notify.message import message
from tidegauge.notify.webhook import slack_body, webhook_body

INCIDENT = example_alert("incident")


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    sink = HttpSink(Answer(200))
    yield sink
    sink.stop()


def test_fifty_features_that_drift_at_once_are_one_delivery(sink: HttpSink) -> None:
    receivers = ReceiverFile.model_validate(
        {"receivers": [{"name": "hook", "type": "webhook", "url": f"{sink.url}/hook"}]}
    )
    channel = channel_to(receivers.receivers[0])
    for verdict in judged(25, Drift(10, 25, 50, 0.9)):
        for alert in verdict.alerts:
            if channel.wants(alert):
                channel.deliver(alert)
    [request] = sink.requests
    body = json.loads(request.body)
    assert body["title"] == "[high] credit 3: kl_values of 50 signals (drift-retrain)"
    assert len(body["alert"]["signals"]) == 50
    [facts] = [it for it in body["text"].split("\n\n") if it.startswith("Model:")]
    listed = facts.partition("Signals:")[2].partition("Severity:")[0].splitlines()
    assert len(listed) == 11 and listed[-1].strip() == "and 40 more"


def test_the_first_ten_signals_are_named_with_what_is_not_the_same_for_all() -> None:
    facts = dict(message(INCIDENT).facts)
    lines = facts["Signals"].splitlines()
    assert lines[0] == "income 13.2"
    assert lines[6] == "region 4.4, low"
    assert lines[9:] == ["prediction 2.1, low", "and 2 more"]
    assert facts["Measured"].startswith("surprise 13.2 times the alarm threshold at worst; ")
    assert facts["Includes"] == (
        "feature-drift (low): income, age, tenure, balance, limit, debt, region, channel, "
        "children, prediction and 2 more"
    )
    assert message(INCIDENT).title == "[medium] credit 3: surprise of 12 signals (drift-alarm)"
    links = links_of(INCIDENT, dashboard="https://g.example.com/d?signal={signal}", runbook=None)
    assert links.dashboard == "https://g.example.com/d?signal=income"


def test_the_text_is_in_columns_and_every_form_has_the_list() -> None:
    text = message(INCIDENT).text()
    assert "\nSignals:   income 13.2\n           age 9.81\n" in text
    html = mail(INCIDENT, sender="t@x.org", to=["a@x.org"], now=0.0).get_body(("html",))
    assert html is not None and "income 13.2<br>age 9.81<br>" in html.get_content()
    assert "income 13.2\\nage 9.81" in slack_body(INCIDENT).decode()
    assert "age 9.81" in webhook_body(INCIDENT, include_distributions=False).decode()
    body = body_of(Posting(INCIDENT, None), now=2e9, resend_seconds=60)
    annotations, labels = body["annotations"], body["labels"]
    assert isinstance(annotations, dict) and "and 2 more" in annotations["description"]
    assert isinstance(labels, dict) and "signal" not in labels


def risen(**changes: object) -> Alert:
    given = {"id": "r", "severity": "high", "severities_before": ["medium"]} | changes
    return example_alert("incident", **given)


def test_a_severity_that_rose_is_said_with_what_it_was() -> None:
    said = message(risen(raised=1))
    assert said.title.startswith("[now high] ")
    assert dict(said.facts)["Severity"] == "high, medium before"


def test_alertmanager_ends_the_old_severity_and_begins_the_new_one() -> None:
    held, _ = FiringAlerts().after(INCIDENT)
    raised = risen(raised=1)
    held, sent = held.after(raised)
    assert sent == [Posting(INCIDENT, raised.window_end), Posting(raised, None)]
    ended = risen(state="resolved", ends_at=raised.window_end + 60)
    held, sent = held.after(ended)
    assert sent == [Posting(ended, ended.ends_at)] and not held.postings()


def test_who_was_told_of_the_lower_severity_is_told_of_the_rise_and_the_end() -> None:
    for severities, wanted in ((["medium"], True), (["high"], True), (["low"], False)):
        match = Match(severities=severities)
        assert match.takes(risen(raised=1)) == match.takes(risen(state="resolved")) == wanted
    assert not Match(severities=["high"]).takes(INCIDENT)


def test_a_flapping_alert_says_so() -> None:
    assert "Flapping" in dict(message(example_alert("incident", flapping=True)).facts)
