"""The receiver file: what it may say, and how it says what is wrong, line and column."""

from pathlib import Path

import pytest

from support.alerts import example_alert
from support.deployment import ROOT
from tidegauge.config.files import FileError
from tidegauge.contract.alert import ActionKind
from tidegauge.notify.config import KINDS, Match, WebhookReceiver, load_receivers, parse_receivers
from tidegauge.notify.webhook import WebhookChannel

GOOD = """\
receivers:
  - name: am
    type: alertmanager
    url: http://alertmanager:9093
  - name: hook
    type: webhook
    url: https://example.com/hook
    secret: {env: HOOK_SECRET}
    match: {severities: [high, critical], models: [credit*]}
  - name: mail
    type: email
    host: mail.example.com
    username: tidegauge
    password: {file: PASSWORD_FILE}
    from: tidegauge@example.com
    to: [oncall@example.com]
"""


@pytest.fixture
def good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("HOOK_SECRET", "hunter2")
    (tmp_path / "password").write_text("correct horse\n")
    return GOOD.replace("PASSWORD_FILE", str(tmp_path / "password"))


def problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_receivers(text, source="r.yaml")
    return caught.value.problems


def test_secrets_come_from_the_environment_and_from_files_and_are_never_shown(good: str) -> None:
    found = parse_receivers(good, source="r.yaml")
    _, hook, mail = found.receivers
    assert hook.secret.reveal() == "hunter2"  # type: ignore[union-attr]
    assert mail.password.reveal() == "correct horse"  # type: ignore[union-attr]
    for shown in (repr(found), str(found), found.model_dump_json()):
        assert "hunter2" not in shown and "correct horse" not in shown


@pytest.mark.parametrize(
    "case",
    [
        ("type: webhook", "type: webhok", "r.yaml:6:11: receivers[1].type: found 'webhok'"),
        ("    type: webhook\n", "", "r.yaml:5:5: receivers[1]: found no 'type'"),
        ("match: {sev", "matsh: {sev", "receivers[1].matsh: unknown key; did you mean 'match'?"),
        ("severities: [high", "severities: [hi", "r.yaml:9:26: receivers[1].match.severities[0]:"),
        ("models: [", "modles: [", "receivers[1].match.modles: unknown key; did you mean 'models'"),
        ("https://example.com/hook", "example.com", "r.yaml:7:10: receivers[1].url: expected an"),
        ("http://al", "http://me:pw@al", "r.yaml:4:10: receivers[0].url: found a user or password"),
        ("HOOK_SECRET", "NOT_SET", "r.yaml:8:13: receivers[1].secret: environment variable NOT_S"),
        ("HOOK_SECRET", "TIDEGAUGE_X", "receivers[1].secret: names that begin with TIDEGAUGE_"),
        ("{env: HOOK_SECRET}", "hunter2", "r.yaml:8:13: receivers[1].secret: "),
        ("    host: mail.example.com\n", "", "receivers[2]: found no 'host'"),
        ("username: tidegauge\n", "security: none\n", "receivers[2]: 'username' and 'password' go"),
        ("[oncall@example.com]", "[oncall]", "receivers[2].to[0]: expected a mail address"),
        ("from: tide", "form: tide", "receivers[2].form: unknown key; did you mean 'from'?"),
        ("name: hook", "name: Hook", "r.yaml:5:11: receivers[1].name: "),
        (
            "name: hook",
            "name: am",
            "r.yaml:5:11: receivers[1].name: found 'am', already a name in line 2",
        ),
        ("severities: [high, critical]", "actions: [pge]", "receivers[1].match.actions[0]: "),
        ("receivers:\n", "links: {}\nreceivers:\n", "r.yaml:1:1: links: unknown key"),
    ],
    ids=lambda case: case[2][-40:],
)
def test_a_problem_is_named_with_its_place(good: str, case: tuple[str, str, str]) -> None:
    before, after, expected = case
    assert good.count(before) == 1
    found = problems(good.replace(before, after))
    assert any(expected in one for one in found), found
    assert "hunter2" not in "".join(found)


def test_every_problem_is_told_at_once(good: str) -> None:
    text = good.replace("type: alertmanager", "type: pager").replace("host: mail", "hast: mail")
    assert [one.partition(": ")[0] for one in problems(text)] == [
        "r.yaml:3:11", "r.yaml:10:5", "r.yaml:12:5",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "receivers: []", "receivers:", "- a", "receivers: {}"])
def test_a_file_without_receivers_is_refused(text: str) -> None:
    assert all(one.startswith("r.yaml:1:") for one in problems(text))


def test_what_is_no_text_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "receivers.yaml"
    with pytest.raises(FileError, match="can't be read: No such file"):
        load_receivers(path)
    path.write_bytes(b"receivers: \xff")
    with pytest.raises(FileError, match=r"receivers\.yaml:1:12: found a byte that is not UTF-8"):
        load_receivers(path)


@pytest.mark.parametrize(
    ("named", "wanted"), [([], True), (["chat", "hook"], True), (["chat"], False)]
)
def test_a_rule_that_names_receivers_tells_only_those(named: list[str], wanted: bool) -> None:
    hook = WebhookReceiver(name="hook", type="webhook", url="https://example.com/")
    channel = WebhookChannel(hook, clock=lambda: 0.0)
    assert channel.wants(example_alert(receivers=named)) is wanted


@pytest.mark.parametrize(("asked", "wanted"), [("page", True), ("retrain", False), (None, False)])
def test_a_receiver_for_pages_is_told_of_what_has_asked_for_one(
    asked: ActionKind | None, wanted: bool
) -> None:
    pager = WebhookReceiver(
        name="pager", type="webhook", url="https://example.com/", match=Match(actions=["page"])
    )
    channel = WebhookChannel(pager, clock=lambda: 0.0)
    assert channel.wants(example_alert(action=asked)) is wanted
    assert channel.wants(example_alert("resolved", action=asked)) is wanted


def test_the_example_of_the_manual_is_valid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "alerting.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    monkeypatch.setenv("NOTIFY_WEBHOOK_SECRET", "s")
    (tmp_path / "smtp_password").write_text("s")
    (tmp_path / "mlflow_password").write_text("s")
    (tmp_path / "slack_url").write_text("https://hooks.slack.com/services/T0/B0/x\n")
    found = parse_receivers(example.replace("/run/secrets/tidegauge", str(tmp_path)), source="r")
    assert [one.type for one in found.receivers] == list(KINDS)
    # The table has every key of every kind.
    keys = {
        field.alias or name for kind in KINDS.values() for name, field in kind.model_fields.items()
    } - {"type", "match"}
    assert not [key for key in keys if f"`{key}`" not in text]


@pytest.mark.parametrize("path", ["/Sup3rSecret", "./Sup3rSecret", "{there}/Sup3r/Secret", "Sup3r"])
def test_a_secret_that_is_written_as_its_file_is_not_shown(path: str, tmp_path: Path) -> None:
    found = path.format(there=tmp_path)
    text = f"receivers:\n  - {{name: ops, type: slack, url: {{file: '{found}'}}}}\n"
    [problem] = problems(text)
    assert "Sup3r" not in problem and "can't be read: No such file" in problem
    assert (f"file {tmp_path}/…" in problem) is ("there" in path)
