"""docs/guarantees.md: what each row of the failure table says it is shown by is there."""

import re

import pytest

from chaos.plan.faults import KINDS
from chaos.site.mutations import MUTATIONS
from support.deployment import ROOT

DOCUMENT = (ROOT / "docs" / "guarantees.md").read_text()
SECTION = DOCUMENT.partition("## If X dies")[2].partition("\n## ")[0]
ROWS = [line.strip("|").split("|") for line in SECTION.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip() for row in ROWS])
def test_every_row_names_tests_and_faults_that_are_there(row: list[str]) -> None:
    shown_by = row[5]
    files = re.findall(r"`([a-z_/]+\.py)`", shown_by)
    kinds = re.findall(r"`([a-z_]+)`", shown_by)
    assert files or kinds
    for file in files:
        assert "def test_" in (ROOT / "tests" / file).read_text()
    assert set(kinds) <= set(KINDS)


def test_every_kind_of_fault_has_a_row() -> None:
    named = {kind for row in ROWS for kind in re.findall(r"`([a-z_]+)`", row[5])}
    assert named == set(KINDS)


def test_the_table_of_mutations_is_whole() -> None:
    section = DOCUMENT.partition("## What the suite catches")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(MUTATIONS)
