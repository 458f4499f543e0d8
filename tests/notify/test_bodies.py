"""What receivers are sent: it reads well, its links work, and it carries no values of features."""

import json
from email import message_from_bytes, policy

import msgspec
import pytest

from support.alerts import example_alert
from support.deployment import ROOT
from tidegauge.contract.alert import Alert, AlertLinks
from tidegauge.contract.templates import links_of
from tidegauge.notify.mail import mail
from tidegauge.notify.message import message
from tidegauge.notify.webhook import signature, slack_body, webhook_body

LINKS = AlertLinks(
    dashboard="https://grafana.example.com/d/x?var-model=credit",
    runbook="https://wiki.example.com/tidegauge/drift",
)
DOCUMENT = (ROOT / "docs" / "alerting.md").read_text()


def test_the_text_says_what_since_when_how_bad_and_what_to_do() -> None:
    alert = example_alert(
        variant="canary",
        segment={"region": "EU"},
        severity="high",
        labels={},
        annotations={},
        links=LINKS,
    )
    said = message(alert)
    assert said.title == "[high] credit 3 canary region=EU: kl of income (drift)"
    assert said.text() == (
        "credit 3 canary region=EU: income has drifted, KL 0.0744 nats over 0.05 in 3000 events\n"
        "\n"
        "Model:     credit 3\n"
        "Variant:   canary\n"
        "Segment:   region=EU\n"
        "Signal:    income\n"
        "Severity:  high\n"
        "Since:     2026-03-01 12:00:00 UTC\n"
        "Measured:  kl 0.0744 nats; the rule fires above 0.05\n"
        "Window:    2026-03-01 12:00:00 UTC to 12:01:00 UTC, 3,000 events\n"
        "Rule:      drift\n"
        f"Alert:     {alert.id}\n"
        "\n"
        "What to do: Find the source of the signal and what changed there. Missing or unseen "
        "values: a source broke; tell its owner, don't retrain. Many features and the prediction "
        "together: the traffic changed. Right after a release: was the baseline made from this "
        "version?\n"
        "\n"
        f"Show:      tidegauge alerts show {alert.id[:12]}\n"
        f'Ack:       tidegauge alerts ack {alert.id[:12]} --note "looking into it"\n'
        "\n"
        "Runbook:   https://wiki.example.com/tidegauge/drift\n"
        "Dashboard: https://grafana.example.com/d/x?var-model=credit\n"
    )


def test_an_end_says_so_and_asks_for_nothing() -> None:
    said = message(example_alert("resolved"))
    assert said.title.startswith("[resolved] credit 3")
    assert ("Until", "2026-03-01 12:10:00 UTC, after 10 min") in said.facts
    assert "What to do" not in said.text()


def test_a_lack_of_data_says_since_when_and_what_is_not_known() -> None:
    said = message(example_alert("no-data"))
    assert said.title == "[no data, was medium] credit 3: kl of income (drift)"
    assert said.summary == (
        "credit 3: no data for 10 min 10 s; it is unknown whether kl of income is still above "
        "0.05; the alert was firing"
    )
    assert dict(said.facts)["No data"] == "2026-03-01 12:01:00 UTC to 12:11:10 UTC"
    assert "Window" not in dict(said.facts)
    assert "whether the serving nodes still send" in (said.advice or "")
    again = message(example_alert(was="firing"))
    assert again.title == "[still medium] credit 3: kl of income (drift)"


def test_a_silence_says_how_long_it_is() -> None:
    said = message(example_alert("silence"))
    assert said.title == "[medium] credit 3: no events (no-data)"
    assert said.summary == "credit 3 has sent nothing for 10 min 1 s"
    facts = dict(said.facts)
    assert facts["Measured"] == "seconds_without_events 10 min 1 s; the rule fires above 10 min"
    assert facts["Since"] == "2026-03-01 12:01:00 UTC"


def test_the_size_of_a_drift_and_the_actions_are_said() -> None:
    facts = dict(message(example_alert("surprise", actions=["a"])).facts)
    assert facts["Size"] == "moderate, PSI 0.14"
    assert facts["Measured"] == "surprise 13.2 times the alarm threshold; the rule fires above 1"
    assert facts["Onset"] == "about 2026-03-01 12:01:00 UTC"
    assert facts["Actions"] == "1 action requested; see: tidegauge actions list"


@pytest.mark.parametrize(
    ("metric", "word"),
    [("latency_p99_ms", "serving nodes"), ("events", "still send"), ("psi", "the signal")],
)
def test_the_advice_is_about_what_was_measured(metric: str, word: str) -> None:
    assert word in (message(example_alert(metric=metric, signal=None)).advice or "")


def forms(alert: Alert) -> dict[str, str]:
    written = mail(alert, sender="t@example.com", to=["a@example.com"], now=0.0)
    plain, html = (written.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None and html is not None
    return {
        "webhook": webhook_body(alert, include_distributions=False).decode(),
        "slack": slack_body(alert).decode(),
        "plain": plain.get_content(),
        "html": html.get_content(),
    }


@pytest.mark.parametrize("name", ["firing", "surprise", "surprise-by-hour"])
def test_no_form_carries_the_bins_of_a_signal_unless_it_is_allowed(name: str) -> None:
    alert = example_alert(name)
    allowed = webhook_body(alert, include_distributions=True).decode()
    assert msgspec.convert(json.loads(allowed)["alert"], Alert) == alert
    assert alert.distribution is not None
    of_values = set(alert.distribution.bins) - {"missing", "not finite", "invalid type", "other"}
    assert len(of_values) > 3 and all(bin in allowed for bin in of_values)
    counts = json.dumps(alert.distribution.current, separators=(",", ":"))
    assert counts in allowed
    for form, body in forms(alert).items():
        assert not [bin for bin in of_values if bin in body], form
        assert counts not in body and counts.replace(",", ".0,") not in body, form


def test_a_webhooks_alert_is_one_by_its_schema() -> None:
    body = json.loads(
        webhook_body(example_alert("surprise", links=LINKS), include_distributions=False)
    )
    alert = msgspec.convert(body["alert"], Alert)
    assert alert.id == body["id"] and alert.evidence is not None
    assert alert.distribution is None and alert.evidence.counts is None
    assert alert.top_bins == []
    assert body["links"] == {"dashboard": LINKS.dashboard, "runbook": LINKS.runbook}


def documented_check() -> dict[str, object]:
    """Run the code that docs/alerting.md shows to whoever receives a webhook."""
    code = DOCUMENT.partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    return names


def test_the_documented_code_takes_a_signature_and_no_forged_or_old_one() -> None:
    names = documented_check()
    genuine = names["is_genuine"]
    assert callable(genuine)
    now = names["time"].time()  # type: ignore[attr-defined]
    body = webhook_body(example_alert(), include_distributions=False)
    header = signature("s3cret", body, now=now)
    assert genuine("s3cret", header, body)
    assert not genuine("s3cret", header, body.replace(b"credit", b"cradit"))
    assert not genuine("another", header, body)
    assert not genuine("s3cret", signature("s3cret", body, now=now - 3600), body)
    assert not genuine("s3cret", header.replace("t=", "t=1"), body)


def test_slack_reads_no_mentions_out_of_names_and_takes_every_length() -> None:
    alert = example_alert(
        model="<!channel>" + "m" * 4000, summary="<@U1> & " + "s" * 4000, links=LINKS
    )
    body = json.loads(slack_body(alert))
    blocks = body["attachments"][0]["blocks"]
    (header, *_), text = blocks, json.dumps(blocks)
    assert len(header["text"]["text"]) <= 150
    sections = [block for block in blocks if block["type"] == "section"]
    assert all(len(block["text"]["text"]) <= 3000 for block in sections if "text" in block)
    for block in sections:
        assert len(block.get("fields", [])) <= 10
        assert all(len(field["text"]) <= 2000 for field in block.get("fields", []))
    # Mentions are read in mrkdwn, not in plain text.
    assert "<@U1>" not in text and "<!channel>" not in json.dumps(sections)
    assert "<!channel>" not in body["text"]
    (actions,) = [block for block in blocks if block["type"] == "actions"]
    assert [button["text"]["text"] for button in actions["elements"]] == ["Runbook", "Dashboard"]


def test_an_email_is_known_by_the_alerts_id_and_in_a_thread_with_its_end() -> None:
    def parsed(alert: Alert):  # type: ignore[no-untyped-def]
        made = mail(alert, sender="tide@example.com", to=["a@x.org", "b@x.org"], now=1.8e9)
        return message_from_bytes(made.as_bytes(), policy=policy.default)

    firing, end = parsed(example_alert()), parsed(example_alert("resolved"))
    assert firing["Message-ID"] == f"<{example_alert().id}@example.com>"
    assert end["Message-ID"] != firing["Message-ID"]
    assert firing["To"] == "a@x.org, b@x.org"
    assert firing["Auto-Submitted"] == "auto-generated"
    plain, html = (firing.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert plain == message(example_alert()).text()
    assert "income has drifted" in html and 'href="https://wiki.example.com' in html
    same = example_alert("resolved", fingerprint="f", starts_at=1)
    assert (
        parsed(same)["References"]
        == parsed(example_alert(fingerprint="f", starts_at=1))["References"]
    )


def test_a_name_can_neither_add_a_header_nor_markup() -> None:
    alert = example_alert(model="x\r\nBcc: a@example.com", signal="<script>alert(1)</script>")
    made = mail(alert, sender="t@example.com", to=["a@example.com"], now=0.0)
    assert made["Bcc"] is None
    html = made.get_body(("html",))
    assert html is not None and "<script>" not in html.get_content()


def test_what_a_rule_says_goes_with_its_alerts_and_its_runbook_is_the_link() -> None:
    annotations = {"impact": "loans are refused", "runbook_url": "https://wiki.example.com/mine"}
    alert = example_alert(labels={"team": "risk"}, annotations=annotations, reminder=2)
    alert.links = links_of(alert, dashboard=None, runbook="https://wiki.example.com/{rule}")
    said = message(alert)
    assert said.title.startswith("[still medium] ")
    assert ("impact", "loans are refused") in said.facts and ("team", "risk") in said.facts
    assert said.runbook == "https://wiki.example.com/mine"
    assert "runbook_url" not in dict(said.facts)
