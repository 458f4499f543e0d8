"""docs/architecture.md and CONTRIBUTING.md: what they name is there, and an event passes by it."""

import ast
import re
from pathlib import Path

import pytest

from tools.house_trace import calls_of_one_event

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
DOCS = (ROOT / "docs").rglob("*.md")
STEPS = re.findall(r"^\| \w* ?\| `(app/[\w/.]+)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)


def test_the_way_of_one_event_is_not_longer_than_the_limit():
    assert len(STEPS) > 30
    assert len({file for file, _ in STEPS}) <= 40


def test_an_event_passes_through_every_function_of_the_way():
    """From the call of the producer to the request of the webhook, as the roles run."""
    calls = calls_of_one_event()
    passed = {(call.file, ".".join(call.name.split(".")[:depth]))
              for call in calls for depth in (1, 2)}  # fmt: skip
    way = [(file.removeprefix("app/tidegauge/"), function) for file, function in STEPS]
    assert [step for step in way if step not in passed] == []


@pytest.mark.parametrize(("file", "function"), STEPS)
def test_a_function_of_the_way_is_in_its_file(file, function):
    names = function.split(".")
    scope = ast.parse((ROOT / file).read_text()).body
    for name in names:
        (found,) = [one for one in scope if getattr(one, "name", None) == name]
        scope = getattr(found, "body", [])


PAGES = ["CONTRIBUTING.md", "README.md", *sorted(str(it.relative_to(ROOT)) for it in DOCS)]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page):
    folders = "app|bench|deploy|docs|examples|k8s|native|scripts|tests|tools"
    text = (ROOT / page).read_text()
    named = set(re.findall(rf"(?<![\w/.@])(?<!exec )((?:{folders})/[\w/.-]*\w/?)", text))
    if page in ("CONTRIBUTING.md", "docs/architecture.md", "docs/contributing/chaos.md"):
        assert len(named) > 8
    # NAME stands for the name of an added file.
    missing = [it for it in named if "NAME" not in it and not (ROOT / it).exists()]
    assert missing == []
