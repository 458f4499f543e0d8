"""docs/operations.md: every setting is in it, with the default that holds."""

import os
import re

import pytest
from pydantic import BaseModel

from support.deployment import ROOT
from tidegauge.settings import Settings

MANUAL = (ROOT / "docs" / "operations.md").read_text()


def _settings(model=Settings, prefix=""):
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


SETTINGS = dict(_settings())
SECTION = MANUAL.partition("## Configuration")[2].partition("\n## ")[0]
TABLE = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", SECTION, re.MULTILINE))


def test_the_table_has_every_setting_and_no_other():
    assert TABLE.keys() == SETTINGS.keys()


def _shown(default):
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{int(default) if isinstance(default, float) and default.is_integer() else default}`"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_default_in_the_table_is_the_one_that_holds(name):
    field = SETTINGS[name]
    if field.default_factory is None:
        assert TABLE[name] == _shown(field.default)
    else:
        assert field.default_factory().startswith("tidegauge-")
        assert TABLE[name] == "`tidegauge-` and the host name"


def test_the_secret_files_that_it_names_are_read(monkeypatch, tmp_path):
    for variable in [name for name in os.environ if name.startswith("TIDEGAUGE_")]:
        monkeypatch.delenv(variable)
    work, secrets = tmp_path / "work", tmp_path / "secrets"
    work.mkdir()
    secrets.mkdir()
    named = re.findall(r"--from-file=(tidegauge_\w+)=", MANUAL)
    assert len(named) == 2
    for name in named:
        (secrets / name).write_text(f"secret of {name}\n")
    monkeypatch.chdir(work)
    monkeypatch.setenv("TIDEGAUGE_SECRETS_DIR", str(secrets))
    settings = Settings()
    found = {settings.kafka.sasl_password, settings.redis.password}
    assert {one.get_secret_value().strip() for one in found} == {f"secret of {n}" for n in named}
