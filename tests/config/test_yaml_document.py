"""A secret in every place of the files that hold secrets: no error shows it."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegauge.cli.app import app
from tidegauge.config.files import FileError
from tidegauge.config.settings import load_settings
from tidegauge.notify.config import load_receivers

SECRETS = ["Tr0ub4dor&3", "hunter2", "correct horse battery", "c2VjcmV0L2tleQ==", "passw0rd"]

RECEIVERS = """\
receivers:
  - name: hook
    type: webhook
    url: https://example.com/hook
    secret: {env: HOOK_SECRET}
    match: {severities: [high], models: [credit]}
  - name: mail
    type: email
    host: mail.example.com
    username: tidegauge
    password: {env: HOOK_SECRET}
    from: tidegauge@example.com
    to: [oncall@example.com]
"""

#: What a slip makes of the file; ``S`` stands for the secret as it is written.
SLIPS = {
    "a key": ("    secret:", "    S: x\n    secret:"),
    "a key twice": ("    secret:", "    S: x\n    S: y\n    secret:"),
    "a key of a section": ("{severities:", "{S: x, severities:"),
    "a mapping under a key": ("    secret:", "    S: {a: {b: 1, b: 2}}\n    secret:"),
    "a key of the file": ("receivers:\n", "S: 1\nreceivers:\n"),
    "the type": ("type: webhook", "type: S"),
    "no mapping": ("secret: {env: HOOK_SECRET}", "secret: S"),
    "env": ("secret: {env: HOOK_SECRET}", "secret: {env: S}"),
    "file": ("secret: {env: HOOK_SECRET}", "secret: {file: S}"),
    "a key of a secret": ("secret: {env: HOOK_SECRET}", "secret: {S: x}"),
    "the address": ("https://example.com/hook", "S"),
    "inside the address": ("https://example.com", "https://me:S@example.com"),
    "a severity": ("[high]", "[S]"),
    "the host": ("mail.example.com", "[S]"),
    "a mail address": ("[oncall@example.com]", "[S]"),
    "a number": ("    secret:", "    timeout_seconds: S\n    secret:"),
    "an alias": ("secret: {env: HOOK_SECRET}", "secret: *R"),
    "a tag": ("secret: {env: HOOK_SECRET}", "secret: !R x"),
    "an anchor twice": ("secret: {env: HOOK_SECRET}", "secret: [&R a, &R b]"),
    "a quote that is open": ("secret: {env: HOOK_SECRET}", 'secret: "R'),
    "a line without a key": ("    secret:", "    R\n    secret:"),
    "a bracket that is open": ("secret: {env: HOOK_SECRET}", "secret: [R"),
    "two colons": ("secret: {env: HOOK_SECRET}", "secret: a: R"),
    "a list for a key": ("    secret:", "    ? [R]\n    : x\n    secret:"),
}


def slipped(text: str, slip: tuple[str, str], secret: str) -> str:
    before, after = slip
    assert before in text
    after = (
        after.replace("S", f"'{secret}'", 1)
        if "@example" not in after
        else after.replace("S@", f"{secret.split()[0]}@")
    )
    return text.replace(before, after.replace("S:", f"'{secret}':").replace("R", secret), 1)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("slip", SLIPS)
def test_no_error_of_a_receiver_file_shows_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slip: str, secret: str
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "xyzzy")
    path = tmp_path / "receivers.yaml"
    path.write_text(slipped(RECEIVERS, SLIPS[slip], secret))
    with pytest.raises(FileError) as refused:
        load_receivers(path)
    said = str(refused.value)
    for part in secret.split():
        assert part not in said
    assert "xyzzy" not in said and f"{path}:" in said


SETTINGS = {
    "a section": "S: {a: 1}",
    "a key": "kafka: {S: 1}",
    "the value of a section": "kafka: S",
    "a choice": "kafka: {security_protocol: S}",
    "a number": "http: {port: S}",
    "a model's window": "model_windows: {S: {seconds: x}}",
    "the whole file": "S",
    "a list": "[S]",
    "an alias": "redis: {password: *R}",
    "a tag": "redis: {password: !R x}",
    "a quote that is open": 'redis: {password: "R',
    "two colons": "redis:\n  password: a: R",
    "a tab": "redis:\n\tpassword: R",
    "a dashboard": "links: {dashboard: S}",
    "no list": "ingest: {segments: S}",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TIDEGAUGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", SETTINGS)
def test_no_error_of_the_settings_shows_a_secret(folder: Path, place: str, secret: str) -> None:
    text = SETTINGS[place].replace("S", f"'{secret}'", 1).replace("R", secret)
    (folder / "tidegauge.yaml").write_text(text)
    with pytest.raises(ValueError) as refused:
        load_settings()
    done = CliRunner().invoke(app, ["alerts", "list"])
    assert done.exit_code == 2, done.output
    for part in secret.split():
        assert part not in str(refused.value)
        assert part not in done.output
