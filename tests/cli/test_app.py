"""The command line as a whole: what it lists, and what a command needn't carry."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tidegauge.cli.app import app

COMMANDS = ["run", "check", "verify", "backtest", "demo", "baseline", "topics", "alerts", "actions"]

#: What a process has imported once its arguments are read.
_LOADED = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.argv = ["tidegauge", *sys.argv[1:]]
from tidegauge.cli import main
main()
"""


def test_every_command_is_listed_with_its_help() -> None:
    said = CliRunner().invoke(app, ["--help"])
    assert said.exit_code == 0
    for command in COMMANDS:
        assert f"│ {command} " in said.output
        helped = CliRunner().invoke(app, [command, "--help"])
        assert helped.exit_code == 0 and f" {command} " in helped.output


def test_a_command_that_is_not_there_is_wrong_input() -> None:
    said = CliRunner().invoke(app, ["bassline"])
    assert said.exit_code == 2
    assert "bassline" in said.output


@pytest.mark.parametrize(
    ("command", "module", "without"),
    [
        ("topics", "setup", {"faust", "scipy", "pyarrow", "tidegauge.roles.worker"}),
        ("alerts", "alerts", {"faust", "scipy", "pyarrow", "tidegauge.roles.worker"}),
        ("run", "setup", {"faust", "scipy", "tidegauge.cli.baseline", "tidegauge.backtest"}),
    ],
)
def test_a_command_imports_only_what_it_needs(command: str, module: str, without: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, command, "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert f"tidegauge.cli.{module}" in loaded
    assert not loaded & without


def test_a_reader_that_has_seen_enough_is_no_wrong_input() -> None:
    """As ``head`` has, which closes the pipe."""
    command = [sys.executable, "-m", "tidegauge", "topics", "acls", "--role", "ingest"]
    done = subprocess.Popen(
        [*command, "--principal", "User:x"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stdout is not None and done.stderr is not None
    done.stdout.close()
    assert (done.stderr.read(), done.wait()) == ("", 1)
    done.stderr.close()
