"""``tidegauge config``: a rule file is checked before it is in force."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from support.deployment import ROOT
from tidegauge.cli.app import app

GOOD = """\
rules:
  - name: drift
    metric: kl
    above: 0.05
    severity: medium
    for: 3
"""


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(GOOD)
    return file


def config(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["config", *arguments])


def test_a_sound_file_is_said_to_be_so_with_its_hash(rule_file: Path) -> None:
    result = config("validate", str(rule_file))
    sha256 = hashlib.sha256(GOOD.encode()).hexdigest()
    assert result.exit_code == 0
    assert result.stdout == f"{rule_file}: 1 rule, nothing wrong; sha256 {sha256}\n"


def test_every_mistake_is_told_with_its_place_and_what_is_allowed(rule_file: Path) -> None:
    rule_file.write_text(GOOD.replace("medium", "urgent").replace("for: 3", "fro: 3"))
    result = config("validate", str(rule_file))
    assert result.exit_code == 2 and result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith(
        f"{rule_file}:5:15: rules[0].severity: found 'urgent', expected one of low, medium, high"
    )
    assert second == f"{rule_file}:6:5: rules[0].fro: unknown key; did you mean 'for'?"


def test_a_program_reads_the_same(rule_file: Path) -> None:
    said = json.loads(config("validate", "--json", str(rule_file)).stdout)
    assert (said["problems"], said["rules"]) == ([], ["drift"])
    rule_file.write_text("rules: 3\n")
    result = config("validate", "--json", str(rule_file))
    assert result.exit_code == 2
    said = json.loads(result.stdout)
    assert len(said["problems"]) == 1 and said["sha256"] is None


SETTINGS = "kafka: {bootstrap_servers: 'k:9092'}\nwindows: {seconds: 30}\n"
RECEIVERS = """\
receivers:
  - {name: chat, type: webhook, url: "https://chat.example.com/x"}
"""


def test_each_kind_of_file_is_known_by_what_is_in_it(
    tmp_path: Path, rule_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the file says is checked, not what the environment would make of it.
    monkeypatch.setenv("TIDEGAUGE_WINDOWS__SECONDS", "soon")
    settings, receivers = tmp_path / "prod.yaml", tmp_path / "receivers.yaml"
    settings.write_text(SETTINGS)
    receivers.write_text(RECEIVERS)
    files = [str(rule_file), str(settings), str(receivers)]
    result = config("validate", *files)
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()
    assert "1 rule, nothing wrong" in first
    assert second == f"{settings}: settings of kafka, windows, nothing wrong"
    assert third == f"{receivers}: 1 receiver, nothing wrong"
    said = [json.loads(line) for line in config("validate", "--json", *files).stdout.splitlines()]
    assert [one["kind"] for one in said] == ["rules", "settings", "receivers"]
    assert said[2]["receivers"] == ["chat"] and said[1]["problems"] == []


def test_mistakes_of_every_kind_of_file_are_told_and_one_of_them_is_enough_for_2(
    tmp_path: Path, rule_file: Path
) -> None:
    settings, receivers = tmp_path / "prod.yaml", tmp_path / "receivers.yaml"
    settings.write_text(SETTINGS.replace("seconds", "secnds").replace("kafka", "kafak"))
    receivers.write_text(RECEIVERS.replace("webhook", "webhok"))
    result = config("validate", str(settings), str(rule_file), str(receivers))
    assert result.exit_code == 2 and "1 rule, nothing wrong" in result.stdout
    assert result.stderr.splitlines() == [
        f"{settings}:1:1: kafak: unknown key; did you mean 'kafka'?",
        f"{settings}:2:11: windows.secnds: unknown key; did you mean 'seconds'?",
        f"{receivers}:2:24: receivers[0].type: found 'webhok', expected one of alertmanager, "
        "webhook, email, slack, mlflow; did you mean webhook?",
    ]
    for text, said in (
        ("- a\n", "expected a mapping"),
        ("log_level: loud\n", ":1:12: log_level: "),
    ):
        settings.write_text(text)
        result = config("validate", "--kind", "settings", str(settings))
        assert result.exit_code == 2 and said in result.stderr, result.output


def test_without_a_file_the_settings_are_checked_as_a_worker_reads_them_and_what_they_name(
    tmp_path: Path, rule_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = config("validate")
    assert result.exit_code == 0
    assert result.stdout == "the environment, without tidegauge.yaml: no settings, nothing wrong\n"
    (tmp_path / "tidegauge.yaml").write_text(SETTINGS + f"detect: {{rules_file: {rule_file}}}\n")
    monkeypatch.setenv("TIDEGAUGE_NOTIFY__RECEIVERS_FILE", str(tmp_path / "receivers.yaml"))
    result = config("validate")
    assert result.exit_code == 2
    settings, rules = result.stdout.splitlines()
    assert settings == (
        "tidegauge.yaml and the environment: settings of detect, kafka, notify, windows, "
        "nothing wrong"
    )
    assert rules.startswith(f"{rule_file}: 1 rule, nothing wrong")
    assert str(tmp_path / "receivers.yaml") in result.stderr
    monkeypatch.setenv("TIDEGAUGE_WINDOWS__SECONDS", "soon")
    said = json.loads(config("validate", "--json").stdout)
    assert said["kind"] == "settings"
    assert "TIDEGAUGE_WINDOWS__SECONDS" in said["problems"][0]
    assert config("validate", "--kind", "rules").exit_code == 2
    monkeypatch.setenv("TIDEGAUGE_CONFIG", "nowhere.yaml")
    result = config("validate")
    assert result.exit_code == 2 and "nowhere.yaml" in result.stderr


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = config("validate", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "the rule file can't be read" in result.stderr


def test_the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(config("schema").stdout))
    assert validator.is_valid(yaml.safe_load(GOOD))
    assert not validator.is_valid(yaml.safe_load(GOOD.replace("for: 3", "for: 0")))
    assert not validator.is_valid(yaml.safe_load(GOOD.replace("for: 3", "fro: 3")))


def test_the_schema_is_kept_with_the_others_and_takes_the_rules_that_are_shipped() -> None:
    kept = (ROOT / "schemas/config/rules.schema.json").read_text("utf-8")
    assert kept == config("schema").stdout, "run `make schemas` and commit the result"
    validator = jsonschema.Draft202012Validator(json.loads(kept))
    for shipped in ("app/tidegauge/alerting/default.yaml", "k8s/config/rules.yaml"):
        validator.validate(yaml.safe_load((ROOT / shipped).read_text("utf-8")))
