"""Mutations: each finds in the product what it replaces. In processes of their own, as it stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.site.mutations import MUTATIONS, VARIABLE, replace

_ROOT = Path(__file__).resolve().parents[2]


def run_mutated(name: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(_ROOT / "app"), str(_ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-m", "chaos.site.worker", "run", "--help"],
        env=dict(os.environ) | {VARIABLE: name, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_mutated_worker_starts(name: str) -> None:
    done = run_mutated(name)
    assert done.returncode == 0, done.stderr
    assert "--role" in done.stdout


def test_an_unknown_mutation_is_refused() -> None:
    done = run_mutated("no_such_mutation")
    assert done.returncode != 0
    assert "no_such_mutation" in done.stderr


def test_a_mutation_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="mend this mutation"):
        replace(Path, "no_such_method", None)
