"""The short form of ``chaos.starts``: a few starts and restarts of DETECT on a busy machine."""

import os
from pathlib import Path

import pytest

from chaos.starts import WORKERS, Starts, run


@pytest.mark.timeout(600)
def test_workers_that_start_at_once_or_one_after_the_other_are_soon_at_work(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    seen = run(tmp_path / "run", starts=3, restarts=1, load=os.cpu_count() or 1, say=said.append)
    assert not seen.findings, "\n".join([*said, *seen.findings])
    assert (len(seen.ready), len(seen.replaced)) == (3, WORKERS)
    assert len(seen.taken) == 3 + 1


def test_the_last_line_has_the_figures_and_every_finding() -> None:
    seen = Starts(ready=[4.04, 9.96, 5.0], taken=[1.0], findings=["start 1 hangs"])
    assert seen.totals() == {
        "starts": 3,
        "restarts": 0,
        "ready_seconds": {"median": 5.0, "max": 10.0},
        "taken_seconds": {"median": 1.0, "max": 1.0},
        "replaced_seconds": None,
        "failures": 1,
        "findings": ["start 1 hangs"],
    }
