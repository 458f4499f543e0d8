"""Every command: usage, arguments and options, from the command line itself."""

import enum
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from tidegauge.cli.app import app
from tools.reference.markdown import code, page, table, text

INTRODUCTION = """
`tidegauge --help` and `tidegauge COMMAND --help` show the same. Exit codes are in
[configuration](../operations.md#configuration).
"""

_TYPES = {int: "INTEGER", float: "NUMBER", Path: "PATH"}


def command_page() -> str:
    """Return the page of commands, one section for each."""
    root = typer.main.get_command(app)
    context = root.make_context("tidegauge", ["demo"], resilient_parsing=True)
    return page("Command line", INTRODUCTION, *_sections(root, context, "tidegauge"))


# Typer keeps click's types in a private package, so they can't be named here.
def _sections(command: Any, context: Any, path: str) -> Iterator[str]:
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found.hidden:
            continue
        full = f"{path} {name}"
        if hasattr(found, "list_commands"):
            inner = found.make_context(name, [], parent=context, resilient_parsing=True)
            yield f"## {full}\n\n{text(found.help or '')}"
            yield from _sections(found, inner, full)
        else:
            level = "##" if path == "tidegauge" else "###"
            yield f"{level} {full}\n\n{_command(found, full)}"


def _command(command: Any, full: str) -> str:
    hints = get_type_hints(command.callback)
    rows, words = [], [full]
    for one in command.params:
        shown = _placeholder(one, hints[one.name])
        if one.param_type_name == "argument":
            words.append(shown)
            names = code(shown)
        else:
            names = ", ".join(code(name) for name in (*one.opts, *one.secondary_opts))
            names = names if one.is_flag else f"{names} {code(shown)}"
        choices = _choices(hints[one.name])
        meaning = f"{text(one.help or '')} One of {', '.join(choices)}." if choices else one.help
        rows.append([names, _default(one), text(meaning or "")])
    if len(words) <= len(rows):
        words.append("[OPTIONS]")
    paragraphs = [text(one) for one in (command.help or "").split("\n\n")]
    parts = [f"```text\n{' '.join(words)}\n```", *paragraphs]
    if rows:
        parts.append(table(["argument or option", "default", "meaning"], rows))
    return "\n\n".join(parts)


def _placeholder(parameter: Any, hint: Any) -> str:
    """Return the placeholder of the value in a usage line."""
    if parameter.metavar:
        shown = parameter.metavar.replace("|", " or ")
    elif parameter.param_type_name == "argument":
        shown = parameter.name.upper()
    else:
        shown = _TYPES.get(_kind(hint), "TEXT")
    return f"{shown}..." if get_origin(hint) is list else shown


def _choices(hint: Any) -> list[str]:
    """Return the allowed values as code; empty if every value of the type is allowed."""
    kind = _kind(hint)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [code(one.value) for one in kind]
    return [code(one) for one in get_args(kind)] if get_origin(kind) is Literal else []


def _kind(hint: Any) -> Any:
    """Return the type itself: ``X`` of ``X | None`` and of ``list[X]``."""
    if get_origin(hint) in (list, Union, types.UnionType):
        return next(one for one in get_args(hint) if one is not type(None))
    return hint


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default in (None, "") or isinstance(default, (bool, list, tuple)) or callable(default):
        return ""
    return code(getattr(default, "value", default))
