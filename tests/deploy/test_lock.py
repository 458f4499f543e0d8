"""constraints.txt: it pins what pyproject.toml asks for, and names no index."""

import re
import tomllib
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.deployment import ROOT

PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _asked() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    found = map(Requirement, chain(PROJECT["dependencies"], *extras))
    return [one for one in found if one.name != PROJECT["name"]]


@pytest.mark.parametrize("asked", _asked(), ids=str)
def test_what_the_project_asks_for_is_pinned_to_a_version_that_it_allows(asked):
    pins = [it for it in PINS if canonicalize_name(it.name) == canonicalize_name(asked.name)]
    assert pins, f"{asked.name} has no pin; run: make lock"
    for pin in pins:
        (version,) = [it.version for it in pin.specifier]
        assert asked.specifier.contains(version), f"{pin}, expected {asked}; run: make lock"


def test_every_line_is_a_name_and_a_version():
    for pin in PINS:
        assert pin.url is None and re.fullmatch(r"==[\w.+!]+", str(pin.specifier)), pin


def test_no_index_is_named():
    assert "://" not in (ROOT / "constraints.txt").read_text()
