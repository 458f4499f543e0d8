"""What commands print: lines, JSON, and tables. Every time, id and segment has one form.

Nothing that others wrote can control a terminal. Nothing is cut: what doesn't fit goes on in the
next line, a number together with its unit.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.containers import Lines
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tidegauge.contract import encode, printable, printable_json, printable_lines, utc_text

#: Enough of an id to type; commands take any beginning that is unique.
_SHORT_ID = 12

SEVERITY_COLOURS = {"low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}

#: The space between a number and its unit, where no line breaks.
_UNIT_SPACE = re.compile(r"(?<=\d) (?=(?:d|h|min|s|ms|KiB|MiB|nats)\b)")

#: Stands for that space while lines are broken: rich and textwrap also break at a no-break space.
_HELD = "\ue000"

#: Names up to this length are not broken; longer ones must not push everything else aside.
_WHOLE_NAME = 24


def short(id: str) -> str:
    """Return the beginning of an id, as every command shows it."""
    return printable(id[:_SHORT_ID])


def table_time(seconds: float) -> str:
    """Write a time in two lines, for the first column of a table."""
    return utc_text(seconds).replace(" ", "\n", 1)


def echo(text: str = "", *, err: bool = False, fg: str | None = None, wrap: bool = True) -> None:
    """Print lines; on a terminal they break between words, unless ``wrap`` is False.

    In a pipe or a file a line stays whole, so that it can be searched.
    """
    text = printable_lines(text)
    columns = terminal_columns(err=err) if wrap else None
    if columns is not None:
        text = wrapped(text, columns)
    typer.secho(text, err=err, fg=fg)


def terminal_columns(*, err: bool = False) -> int | None:
    """Return the width of the terminal that is written to; None if it is none."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def wrapped(text: str, columns: int) -> str:
    r"""Break lines that are longer than a terminal between words; the rest of each is indented.

    The rest of ``  name    text`` stands below the text. A word that is longer than the terminal
    stays whole, so that a hash can be copied.

    >>> wrapped("  because  of a long reason\nshort", 24)
    '  because  of a long\n           reason\nshort'
    """
    return "\n".join(_wrapped(line, columns) for line in text.split("\n"))


_NAME_AND_TEXT = re.compile(r"  [a-z]+ {2,}(?=\S)")


def _wrapped(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    named = _NAME_AND_TEXT.match(line)
    indent = len(named[0]) if named else len(line) - len(line.lstrip()) + 2
    if indent > columns // 2:
        indent = 4
    lines = textwrap.wrap(
        _UNIT_SPACE.sub(_HELD, line),
        columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_HELD, " ")


def echo_json(value: object, *, indent: bool = False) -> None:
    """Print JSON, or what is encoded as JSON; bytes and text are JSON already."""
    if not isinstance(value, str | bytes):
        value = encode(value) if isinstance(value, msgspec.Struct) else msgspec.json.encode(value)
    if indent:
        value = msgspec.json.format(value)
    typer.echo(printable_json(value if isinstance(value, str) else value.decode(errors="replace")))


class PlainText(Text):
    """A text that breaks between words, but not between a number and its unit."""

    def wrap(self, *args: Any, **options: Any) -> Lines:
        """Break into lines."""
        held = self.copy()
        held.plain = _UNIT_SPACE.sub(_HELD, self.plain)
        lines = held.wrap(*args, **options)
        for line in lines:
            line.plain = line.plain.replace(_HELD, " ")
        return lines

    def __rich_measure__(self, *args: Any) -> Measurement:
        """Return the least and the greatest width."""
        return Text(_UNIT_SPACE.sub(_HELD, self.plain)).__rich_measure__(*args)


def plain(text: object, style: str = "") -> Text:
    """Return a text of others as rich shows it: in one line, without markup."""
    return PlainText(printable(str(text)), style)


class PlainConsole(Console):
    """A console on which strings have no markup; what is to have a style is a :class:`Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown, such as that of a table's cell."""
        found = super().render_str(printable_lines(text), **options)
        return PlainText(
            found.plain,
            found.style,
            justify=found.justify,
            overflow=found.overflow,
            spans=found.spans,
        )


def folding_table(
    *headers: str,
    whole: Collection[str] = (),
    right: Collection[str] = (),
    names: Mapping[str, Iterable[str]] | None = None,
) -> Table:
    """Return a table of these columns, with few lines, for terminals of 80 columns and more.

    ``whole`` are not broken, such as ids that somebody will copy; ``right`` are aligned so.
    ``names`` has what is in some columns and is not broken if that is possible.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in headers:
        longest = max(map(len, (names or {}).get(header, ())), default=0)
        table.add_column(
            header,
            overflow="fold",
            # Not by a least width: rich adds that after it has fitted the table to the terminal.
            no_wrap=header in whole or 0 < longest <= _WHOLE_NAME,
            justify="right" if header in right else "left",
        )
    return table
