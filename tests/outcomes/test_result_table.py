"""docs/outcomes.md: the tables of what becomes of labels name what the code does."""

import re
from typing import get_args

from support.deployment import ROOT
from tidegauge.contract import LabelProblem
from tidegauge.outcomes.held import RESULTS

PAGE = (ROOT / "docs" / "outcomes.md").read_text("utf-8")
SECTION = PAGE.partition("## What becomes of labels\n")[2].partition("\n## ")[0]


def _names(heading: str) -> list[str]:
    """Return the names in the first column of a table."""
    table = SECTION.partition(f"| {heading} |")[2].partition("\n\n")[0]
    columns = [line.split("|")[1] for line in table.splitlines()[2:]]
    return sorted(name for column in columns for name in re.findall(r"`(\w+)`", column))


def test_each_result_and_each_problem_has_one_row() -> None:
    assert _names("result") == sorted(RESULTS)
    assert _names("`label_problem`") == sorted(get_args(LabelProblem))
