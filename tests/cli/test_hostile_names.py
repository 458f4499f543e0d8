"""One hostile name in every place of a record, and everything that is shown to people."""

import csv
import html.parser
import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from support.deployment import ROOT
from tidegauge.audit.why import as_text, explain
from tidegauge.cli import actions, alerts, audit, silences
from tidegauge.cli.app import app
from tidegauge.contract.alert import Action, Alert
from tidegauge.contract.audit import AuditRecord
from tidegauge.contract.record import printable, printable_json
from tidegauge.contract.silence import Silence
from tidegauge.demo import story
from tidegauge.notify.alertmanager import Posting, body_of
from tidegauge.notify.mail import mail
from tidegauge.notify.message import message
from tidegauge.notify.mlflow_record import noted, tag_of
from tidegauge.notify.webhook import slack_body, webhook_body

#: Escape sequences of C0 and C1, a title, bidi controls, nothing wide, new headers, and markup.
HOSTILE = (
    "\x1b]0;owned\x07\x9b31m\x1b[2J\u202e\u2066\u200b\u2028\r\nBcc: x@example.com\x00"
    "[red]<b>&|`*_~<!channel>](x) :skull:\U000e0041\ufeff"
)

T = TypeVar("T", bound=msgspec.Struct)

#: What others than tidegauge write, in any of the records.
_THEIRS = {
    "model", "version", "variant", "segment", "signal", "signals", "rule", "summary", "labels",
    "annotations", "bins", "reason", "note", "actor", "who", "why", "subject", "matchers",
    "target_version",
}  # fmt: skip


def hostile(example: str, kind: type[T]) -> T:
    """Read an example of the schemas with the hostile name in all that others write."""

    def spoil(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            names = name in ("labels", "annotations", "segment")
            return {
                key + HOSTILE * names: spoil(one, name if names else key)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [spoil(one, name) for one in value]
        ours = value == "baseline_without_hours"  # one of a few reasons
        return value + HOSTILE if isinstance(value, str) and name in _THEIRS and not ours else value

    raw = json.loads((ROOT / "schemas" / "examples" / f"{example}.json").read_bytes())
    spoilt = spoil(raw, "")
    try:
        return msgspec.convert(spoilt, kind)
    except msgspec.ValidationError as error:  # a field of ours that the list above lacks
        raise AssertionError(f"{example}: {error}") from error


def assert_can_be_seen(text: str) -> None:
    """Nothing but printable characters and the ends of lines."""
    odd = {hex(ord(it)) for it in text if not it.isprintable() and it != "\n"}
    assert not odd, f"{odd} in {text!r}"
    assert "Bcc: x@example.com" not in text.splitlines()


EXAMPLES = [
    "alert.firing", "alert.firing-retrain", "alert.incident", "alert.no-data", "alert.resolved",
    "alert.surprise",
]  # fmt: skip


@pytest.fixture(params=EXAMPLES)
def alert(request: pytest.FixtureRequest) -> Alert:
    return hostile(request.param, Alert)


@pytest.fixture
def record() -> AuditRecord:
    return hostile("audit-record.alert-firing", AuditRecord)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch, alert: Alert, record: AuditRecord) -> None:
    """Let the commands read hostile records, whatever they ask Kafka for."""
    silence = hostile("silence.two-hours", Silence)
    found = {Alert: [alert], Action: [hostile("action.retrain", Action)], Silence: [silence]}

    def read(_: object, topic: str, kind: type, *rest: object, **more: object) -> Iterator[Any]:
        return iter(found.get(kind, []))

    for module in (alerts, actions, silences):
        monkeypatch.setattr(module, "read_topic", read)
    raw = msgspec.json.encode(alert)
    monkeypatch.setattr("tidegauge.cli.command.ask_brokers", lambda _: None)
    monkeypatch.setattr(alerts, "newest_values", lambda *_: {})
    monkeypatch.setattr(alerts, "follow", lambda *_: iter([(raw, alert)]))
    one = msgspec.json.encode(record), record
    monkeypatch.setattr(audit, "_selected", lambda *_: iter([one]))


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "json"])
@pytest.mark.parametrize(
    "command",
    [
        ["alerts", "tail", "-n", "1"], ["alerts", "list", "--all"], ["alerts", "show", ""],
        ["alerts", "silences", "--all"], ["actions", "list"], ["audit", "list"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_prints_what_can_be_seen_and_the_same_values(
    command: list[str], form: list[str]
) -> None:
    text = shown(*command, *form)
    assert_can_be_seen(text)
    if form:
        assert any(HOSTILE in value for value in strings(json.loads(text)))
    elif "silences" not in command:
        assert "\\x1b" in text.replace("\n", "")


def strings(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value."""
    if isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.usefixtures("topics")
def test_an_export_as_a_table_can_be_seen() -> None:
    assert_can_be_seen(shown("audit", "export", "--format", "csv"))


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://x")', "+1", "-2+3", "@SUM(A1)", "\t=1", " =1"]
)
def test_no_spreadsheet_computes_a_name_in_an_export(
    name: str, record: AuditRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = msgspec.structs.replace(record, model=name)
    monkeypatch.setattr(audit, "_selected", lambda *_: iter([(msgspec.json.encode(one), one)]))
    [row] = csv.DictReader(StringIO(shown("audit", "export", "--format", "csv")))
    assert row["model"] == f"'{printable(name)}"


def test_an_answer_of_why_can_be_seen(record: AuditRecord) -> None:
    asked = hostile("audit-record.action-requested", AuditRecord)
    found = explain(asked, [asked, record])
    for line in as_text(found):
        assert_can_be_seen(printable(line))


def test_the_panel_of_the_demo_can_be_seen(alert: Alert) -> None:
    out = StringIO()
    Console(file=out, width=200).print(story._panel(alert))
    assert_can_be_seen(out.getvalue())
    assert "[red]" in out.getvalue()


def test_an_error_can_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"rules": [{"name": HOSTILE, HOSTILE: 1}]}))
    done = CliRunner().invoke(app, ["config", "validate", str(file)])
    assert done.exit_code == 2
    assert_can_be_seen(done.output)


# -- receivers ------------------------------------------------------------------------------------


def test_a_message_can_be_seen(alert: Alert) -> None:
    said = message(alert)
    for text in (said.title, said.summary, *(it for fact in said.facts for it in fact)):
        assert_can_be_seen(text)
    assert "\n" not in said.title + said.summary
    assert_can_be_seen(said.text())


def test_a_mail_has_its_own_headers_only_and_html_without_tags_of_others(alert: Alert) -> None:
    made = mail(alert, sender="tide@example.com", to=["ops@example.com"], now=0.0)
    assert "Bcc" not in made
    assert_can_be_seen(str(made["Subject"]))
    raw = made.as_bytes().decode("ascii")
    assert not re.search(r"^bcc:", raw.partition("\n\n")[0], re.IGNORECASE | re.MULTILINE)
    for part in made.iter_parts():
        text = part.get_content()
        assert_can_be_seen(text)
        if part.get_content_subtype() == "html":
            tags: set[str] = set()

            class Tags(html.parser.HTMLParser):
                def handle_starttag(self, tag: str, attrs: object) -> None:
                    tags.add(tag)  # noqa: B023

            Tags().feed(text.replace("<b>What to do.</b>", ""))
            assert tags <= {"html", "body", "table", "tr", "td", "h1", "p", "br", "a", "code"}


def test_slack_is_told_of_no_channel_and_makes_nothing_of_names(alert: Alert) -> None:
    body = json.loads(slack_body(alert))
    for text in strings(body):
        assert_can_be_seen(text)
        assert "<!" not in text

    def markdown(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if value.get("type") == "mrkdwn":
                yield value
            for one in value.values():
                yield from markdown(one)
        elif isinstance(value, list):
            for one in value:
                yield from markdown(one)

    found = list(markdown(body))
    assert found and all(one["verbatim"] for one in found)
    assert not any("<" in one["text"] for one in found) and "<" not in body["text"]


def test_alertmanager_is_told_what_can_be_seen(alert: Alert) -> None:
    body = body_of(Posting(alert, None), now=0.0, resend_seconds=60.0)
    for text in strings({"labels": body["labels"], "annotations": body["annotations"]}):
        assert_can_be_seen(text)


def test_a_webhook_has_title_and_text_that_can_be_seen_and_the_alert_as_it_is(alert: Alert) -> None:
    body = json.loads(webhook_body(alert, include_distributions=True))
    assert_can_be_seen(body["title"])
    assert_can_be_seen(body["text"])
    assert body["alert"]["model"] == alert.model


def test_mlflow_is_told_what_can_be_seen(record: AuditRecord) -> None:
    note = noted("", record, "ok", entries=5)
    assert_can_be_seen(note)
    assert "<b>" not in note and "](x)" not in re.sub("`.*`", "", note.replace("\\]", ""))
    key, value = tag_of(record)
    assert_can_be_seen(key + value)


# -- the helper -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x200B, 0x2010),
                                  *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xAD,
                                  0xD800, 0xE0001, 0xE0041])  # fmt: skip
def test_no_character_that_does_something_is_printed(code: int) -> None:
    shown_ = printable(f"a{chr(code)}b")
    assert shown_.isprintable() and shown_ != f"a{chr(code)}b"
    text = json.dumps(f"a{chr(code)}b", ensure_ascii=False)
    assert json.loads(printable_json(text)) == f"a{chr(code)}b"
    assert printable_json(text).isprintable()


@pytest.mark.parametrize("name", ["Zürich", "東京", "العربية", "🙂", "a b", "x" * 10_000])
def test_a_sound_name_stays_as_it_is(name: str) -> None:
    assert printable(name) == name


def test_commands_print_through_the_one_place_that_takes_care() -> None:
    for path in sorted((ROOT / "app" / "tidegauge" / "cli").glob("*.py")):
        if path.name in ("printing.py", "app.py"):
            continue
        text = path.read_text()
        assert not re.search(r"typer\.echo\(|(?<![.\w])print\(|(?<!Plain)Console\(", text), path
        for said in re.findall(r"typer\.secho\(\s*(.{9})", text):
            assert said == "printable", (path, said)
