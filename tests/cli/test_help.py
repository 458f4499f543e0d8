"""Help pages at 80 columns, and lines of text on a terminal: nothing is cut, words stay whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from support.terminal import on_a_terminal
from tidegauge.cli.app import app
from tidegauge.cli.printing import wrapped

COLUMNS = 80


def pages() -> Iterator[tuple[str, Any]]:
    """Yield every command by its words, and what has its help."""
    root = typer.main.get_command(app)
    context = root.context_class(root)
    yield "", root
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        yield name, command
        for below, one in getattr(command, "commands", {}).items():
            yield f"{name} {below}", one


def test_every_help_page_is_whole_at_80_columns() -> None:
    wrong = []
    for words, command in pages():
        done = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": str(COLUMNS)})
        output = done.output
        assert done.exit_code == 0 and max(map(len, output.splitlines())) <= COLUMNS, words
        if "…" in output or "<bool>" in output:
            wrong.append(f"{words}: cut, or a type beside what takes no value")
        known = {word for line in output.splitlines() for word in line.split()}
        texts = [command.help, *(getattr(one, "help", None) for one in command.params)]
        wrong += [
            f"{words}: {word} is broken"
            for text in texts
            for word in (text or "").split()
            if word not in known
        ]
        names = {name for one in command.params for name in one.opts if name.startswith("--")}
        wrong += [f"{words}: {name} is broken" for name in names if name not in output]
    assert not wrong, "\n".join(wrong)


def test_a_paragraph_breaks_where_the_terminal_ends() -> None:
    done = CliRunner().invoke(app, ["check", "--help"], env={"COLUMNS": str(COLUMNS)})
    assert "4 no worker of a role runs; the largest of them." in " ".join(done.output.split())
    assert not [
        line for line in done.output.splitlines() if line.strip() == "worker of a role runs;"
    ]


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_line_breaks_between_words_and_a_hash_stays_whole(columns: int) -> None:
    text = f"  rules    {'file ' * 20}{'a' * 64} end\nshort"
    lines = wrapped(text, columns).split("\n")
    assert "a" * 64 in "\n".join(lines) and lines[-1] == "short"
    assert all(len(line) <= columns or "a" * 64 in line for line in lines)
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_an_error_is_wrapped_on_a_terminal_and_one_line_in_a_pipe(tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    output = on_a_terminal(40, "verify", str(file), "--no-such-option-" + "a" * 60)
    assert "no-such-option" in output
    output = on_a_terminal(60, "topics", "acls", "--role", "nobody")
    lines = output.splitlines()
    assert len(lines) == 2 and max(map(len, lines)) <= 60, output
    assert " ".join(output.split()).endswith("ingest, outcomes, detect, notify, ledger, operator")
    piped = CliRunner().invoke(app, ["topics", "acls", "--role", "nobody"])
    assert len(piped.stderr.splitlines()) == 1
    # What is to be copied stays one line, for the shell to take.
    command, *_ = on_a_terminal(60, "topics", "acls", "--role", "producer").splitlines()
    assert len(command) > 60 and command.startswith("kafka-acls.sh")


def test_a_file_that_is_not_there_is_named_without_a_number(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert done.stderr == f"tidegauge: {tmp_path / 'none.json'}: No such file or directory\n"
