"""docs/architecture.md and CONTRIBUTING.md: what they name is there, and an event passes by it."""

import ast
import re
from pathlib import Path

import pytest

from tools.house_trace import calls_of_one_event, helpers, passed, walk

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
DOCS = (ROOT / "docs").rglob("*.md")
STEPS, HELPERS = walk(PAGE), helpers(PAGE)


def test_the_way_of_one_event_is_not_longer_than_the_limit():
    assert len(STEPS) > 30
    assert len({step.file for step in STEPS}) <= 40


def test_an_event_passes_through_every_function_of_the_way():
    """From the call of the producer to the request of the webhook, as the roles run."""
    seen = passed(calls_of_one_event())
    assert [step for step in [*STEPS, *HELPERS] if step not in seen] == []


@pytest.mark.parametrize(("file", "function"), [*STEPS, *HELPERS])
def test_a_function_of_the_way_is_in_its_file(file, function):
    names = function.split(".")
    scope = ast.parse((ROOT / "app" / "tidegauge" / file).read_text()).body
    for name in names:
        (found,) = [one for one in scope if getattr(one, "name", None) == name]
        scope = getattr(found, "body", [])


LABEL_STEPS = re.findall(r"^\| `([\w.]+)` \| `app/tidegauge/([\w/.]+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("function", "file"), LABEL_STEPS)
def test_a_function_of_the_way_of_a_label_is_in_its_file(function, file):
    test_a_function_of_the_way_is_in_its_file(file, function)


def test_the_way_of_a_label_begins_at_its_sender_and_ends_with_a_report():
    files = [file.partition("/")[0] for _, file in LABEL_STEPS]
    assert (files[0], files[-1], len(files)) == ("producer", "windows", 13)


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
