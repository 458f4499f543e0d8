"""docs/reference: generated from the code, complete, and true where the manual repeats it."""

import os
import re

import pytest

from support.deployment import ROOT
from support.metric_names import METRICS
from tidegauge.config.settings import Settings
from tidegauge.kafka.topics import topic_specs
from tools.reference import PAGES
from tools.reference.settings import settings

REFERENCE = ROOT / "docs" / "reference"
MANUAL = (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_make_reference_writes(name):
    assert (REFERENCE / name).read_text() == PAGES[name]()


def _names(page):
    return re.findall(r"^\| `([\w.-]+)` \|", (REFERENCE / page).read_text(), re.MULTILINE)


def test_every_setting_is_there_once_with_a_description():
    found = [f"{section}.{name}".lstrip(".") for section, name, _ in settings()]
    assert sorted(_names("settings.md")) == sorted(found)
    assert all(field.description for _, _, field in settings())


def test_every_metric_is_there_with_its_labels_and_a_meaning():
    page = (REFERENCE / "metrics.md").read_text()
    assert set(_names("metrics.md")) == set(METRICS)
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{name}` | {metric.kind} | {labels} |" in page
    assert not re.findall(r"^\| `tidegauge_\w+` \| \w+ \| .*\| +\|$", page, re.MULTILINE)


def test_every_topic_is_there_twice():
    topics = sorted(spec.name for spec in topic_specs(Settings()))
    assert sorted(_names("topics.md")) == sorted(2 * topics)


def test_the_default_of_a_setting_is_written_as_yaml_has_it():
    page = (REFERENCE / "settings.md").read_text()
    assert "| `windows.seconds` | whole number, ≥ 1 | `60` |" in page
    assert "| `ingest.flush_seconds` | number, > 0 | `1` |" in page
    assert "| `ingest.redact_dead_letters` | `true`, `false` | `false` |" in page
    assert "| `detect.rules_file` | path | none |" in page


def test_the_secret_files_that_the_manual_names_are_read(monkeypatch, tmp_path):
    for variable in [name for name in os.environ if name.startswith("TIDEGAUGE_")]:
        monkeypatch.delenv(variable)
    work, secrets = tmp_path / "work", tmp_path / "secrets"
    work.mkdir()
    secrets.mkdir()
    named = re.findall(r"--from-file=(tidegauge_\w+)=", MANUAL)
    assert len(named) == 3
    for name in named:
        (secrets / name).write_text(f"secret of {name}\n")
    monkeypatch.chdir(work)
    monkeypatch.setenv("TIDEGAUGE_SECRETS_DIR", str(secrets))
    loaded = Settings()
    found = {loaded.kafka.sasl_password, loaded.redis.password, loaded.outcomes.receipt_key}
    assert {one.get_secret_value().strip() for one in found} == {f"secret of {n}" for n in named}
