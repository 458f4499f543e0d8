"""What commands print: nothing of what others have written does anything to a terminal."""

import shutil
import sys
import textwrap
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from tidegauge.contract import printable, printable_json, printable_lines


def echo(text: str = "", *, err: bool = False, fg: str | None = None, wrap: bool = True) -> None:
    """Print lines; on a terminal they break between words, unless somebody will copy them.

    In a pipe or a file a line stays one, for whatever searches it.
    """
    text = printable_lines(text)
    columns = terminal_columns(err=err) if wrap else None
    if columns is not None:
        text = wrapped(text, columns)
    typer.secho(text, err=err, fg=fg)


def terminal_columns(*, err: bool = False) -> int | None:
    """Return how wide the terminal is that is written to; None if it is none."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def wrapped(text: str, columns: int) -> str:
    r"""Break lines that are longer than a terminal between words; the rest of each is indented.

    A word that is longer than the terminal stays whole: it may be a hash that somebody copies.

    >>> wrapped("  because  of a long reason\nshort", 16)
    '  because  of a\n    long reason\nshort'
    """
    return "\n".join(_wrapped(line, columns) for line in text.split("\n"))


def _wrapped(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip())] + "  "
    lines = textwrap.wrap(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def echo_json(raw: bytes | str) -> None:
    """Print JSON."""
    typer.echo(printable_json(raw if isinstance(raw, str) else raw.decode(errors="replace")))


def plain(text: object, style: str = "") -> Text:
    """Return a text of others as rich shows it: in one line, and no markup in it."""
    return Text(printable(str(text)), style)


class PlainConsole(Console):
    """A console on which strings have no markup; what is to have a style is a :class:`Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown, such as that of a table's cell."""
        return super().render_str(printable_lines(text), **options)
