"""docs/tutorial.md, with the broker and the Redis of the demo: every command, every output."""

import subprocess
from pathlib import Path

import pytest

from support.deployment import ROOT
from support.processes import free_port
from support.tutorial import PAGE, WRITE, Reader, normal, parts, write

BEGIN, REAL = "## Before you begin", "## With a real broker"

STATUS = """\
version, and what fires   events/s  last window  baseline         30 days
─────────────────────────────────────────────────────────────────────────
credit 3                       600  5 s ago      ca65cf94 13 s     0 of 1
  income KL 0.347, for 9 s
"""
TAIL = """\
2026-11-30 12:50:02Z firing high credit 3: drift of income, KL 0.3469 nats over
0.07 in 1,200 events; asks for a retrain [4023b0e7c4ca]
"""


@pytest.mark.timeout(300)
def test_the_walk_with_the_embedded_broker_prints_what_is_shown(tmp_path: Path) -> None:
    fresh = subprocess.run(["make", "-q", ".venv/.demo"], cwd=ROOT, capture_output=True)
    assert fresh.returncode == 0, "the virtualenv is out of date: run make venv before the tests"
    for name in (".venv", "Makefile", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    reader = Reader(tmp_path, {}, port=free_port())
    reader.follow(parts(PAGE.read_text("utf-8"), BEGIN, REAL))
    if WRITE:
        write(reader)


def test_no_block_of_the_page_is_left_out() -> None:
    text = PAGE.read_text("utf-8")
    before = text[: text.index(f"\n{BEGIN}\n")]
    assert "```" not in before
    commands = [one.command for one in [*parts(text, BEGIN, REAL), *parts(text, REAL)]
                if not hasattr(one, "name")]  # fmt: skip
    lines = [line[2:].removesuffix("\\") for line in text.splitlines() if line.startswith("$ ")]
    assert [command.splitlines()[0].removesuffix("\\") for command in commands] == lines


@pytest.mark.parametrize(
    ("shown", "old", "new"),
    [
        (STATUS, "600", "599"),
        (STATUS, "0.347", "0.348"),
        (STATUS, "income", "age"),
        (STATUS, "0 of 1", "1 of 1"),
        (STATUS, "for 9 s", "no data now"),
        (TAIL, "high", "low"),
        (TAIL, "1,200", "1,201"),
        (TAIL, "; asks for a retrain", ""),
        (TAIL, "[4023b0e7c4ca]", ""),
    ],
)
def test_another_word_or_figure_is_another_output(shown: str, old: str, new: str) -> None:
    assert old in shown and normal(shown.replace(old, new)) != normal(shown)


def test_times_ids_and_ages_are_each_runs_own() -> None:
    assert normal(STATUS) == normal(
        STATUS.replace("13 s ", "1 min").replace("ca65cf94", "01234567").replace("9 s", "1 h 2 min")
    )
    assert normal(TAIL) == normal(
        TAIL.replace("2026-11-30 12:50:02Z", "2027-01-02 00:00:00Z").replace("4023b0", "999999")
    )
