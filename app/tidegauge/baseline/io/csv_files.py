"""CSV files as the table ``t``: delimiter, header and lines before it, then the cells as text."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.column import Loaded, ReadOptions, columns_of
from tidegauge.baseline.io.database import (
    LONGEST_BYTES,
    Database,
    Progress,
    check_names,
    file_list,
    literal,
    make_view,
)
from tidegauge.baseline.io.files import Files, TextFile, as_utf8

#: In this order where two fit alike: a comma may be a decimal sign too.
DELIMITERS = (";", "\t", "|", ",")

#: Rows that are looked at to find the delimiter.
_ROWS = 200

#: Signs that separate cells in some files, but aren't looked for.
_RARE = re.compile(r"[;|\t:^~\x01\x1f]|,")

_SEP = re.compile(r"sep=(.)\r?\n")

_BLANK = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))+")
_LINE = re.compile(r"\r\n|\r|\n")

_NAMED = {"\\t": "\t", "tab": "\t"}


class Dialect(NamedTuple):
    """The delimiter, the names of the columns, the row after these, and the lines before them."""

    delimiter: str
    names: list[str]
    first: list[str]
    skip: int = 0


def find_dialect(path: object, sample: str, delimiter: str | None) -> Dialect:
    r"""Return how a file is written whose text begins with ``sample``.

    Raises ``BaselineError`` if it has no header, or is of one column where a delimiter seems to be.

    >>> find_dialect("t.csv", "income;age\n1,5;30\n2,5;31\n", None)
    Dialect(delimiter=';', names=['income', 'age'], first=['1,5', '30'], skip=0)
    """
    sample = sample.removeprefix("\ufeff")
    skip = 0
    spoken = _SEP.match(sample)  # by which Excel tells itself
    if spoken:
        sample, skip, delimiter = sample[spoken.end() :], 1, delimiter or spoken[1]
    blank = _BLANK.match(sample)
    if blank:
        sample, skip = sample[blank.end() :], skip + len(_LINE.findall(blank[0]))
    delimiter = _NAMED.get(delimiter, delimiter) if delimiter else None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise BaselineError(f"--delimiter {delimiter!r}: expected one character, or tab")
    if not sample.strip():
        raise BaselineError(f"{path} is empty")
    if delimiter is None:
        delimiter = max(DELIMITERS, key=lambda it: _fit(_rows(sample, it)))
    rows = _rows(sample, delimiter)
    names = rows[0]
    if len(names) == 1:
        _check_single(path, names[0], [row[0] for row in rows[1:] if len(row) == 1])
    return Dialect(delimiter, names, rows[1] if len(rows) > 2 else [], skip)


def _rows(sample: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error:  # a cell longer than csv takes; what came before it tells enough
        pass
    return rows or [[""]]


def _fit(rows: list[list[str]]) -> tuple[float, int]:
    """Return how well a delimiter fits: the share of rows as wide as the header, then the width."""
    width = len(rows[0])
    if width == 1:
        return 0.0, 0
    # The last row of the sample may be cut short.
    others = rows[1:-1] or rows[1:]
    same = sum(len(row) == width for row in others) / len(others) if others else 1.0
    # Of a delimiter that is right, no other is left in most headers' cells.
    left = sum(it in cell for cell in rows[0] for it in DELIMITERS)
    return same, width - 2 * left


def _check_single(path: object, name: str, cells: list[str]) -> None:
    if name.startswith("#"):
        raise BaselineError(
            f"{path} begins with a comment, {name[:60]!r}, where the names of the columns should be"
        )
    for sign in dict.fromkeys(_RARE.findall(name)):
        if all(cell.count(sign) == name.count(sign) for cell in cells):
            shown = "tab" if sign == "\t" else sign
            raise BaselineError(
                f"{path} has one column, called {name[:60]!r}: is {shown!r} the delimiter? "
                f"--delimiter '{shown}'"
            )


#: What pandas calls the nameless column that it wrote its index as, when it reads that CSV.
_UNNAMED = re.compile(r"Unnamed: \d+")


def load_csv(
    database: Database,
    files: Files,
    shown: Path,
    options: ReadOptions,
    scratch: Path,
    check: Callable[[Sequence[str]], None],
    progress: Progress,
) -> Loaded:
    """Read CSV files of the same columns; every cell is text."""
    texts = [as_utf8(it, options.encoding, scratch, i) for i, it in enumerate(files.paths)]
    dialects = [
        find_dialect(path, text.sample, options.delimiter)
        for path, text in zip(files.paths, texts, strict=True)
    ]
    first = dialects[0]
    for path, its in zip(files.paths, dialects, strict=True):
        if its._replace(first=[]) != first._replace(first=[]):
            raise BaselineError(
                f"{path} has other columns than {files.paths[0]}: {', '.join(its.names)[:200]!r}"
            )
    check_names(shown, first.names)
    check(first.names)
    _read_csv(database, texts, first, shown, progress)
    _check_first(database, first, shown)
    make_view(database)
    columns = columns_of(first.names, ["VARCHAR"] * len(first.names), "text")
    nameless = {name for name in first.names if not name or _UNNAMED.fullmatch(name)}
    return Loaded(
        columns,
        [it.doubt for it in texts if it.doubt],
        indexes=frozenset(nameless & {first.names[0]}),
        delimiter=first.delimiter,
    )


def _check_first(database: Database, dialect: Dialect, shown: Path) -> None:
    """Hold the first row against what Python's csv makes of it: none may be passed over."""
    if not dialect.first or len(dialect.names) == 1:  # of one column, an empty line is a row
        return
    expected = [it.replace("\r\n", "\n") for it in dialect.first]
    found = database.rows("SELECT * FROM cells ORDER BY rowid LIMIT 1")
    if not found or [it or "" for it in found[0]] != expected:
        raise BaselineError(
            f"{shown} can't be read: after the header comes {dialect.first[:5]}, found "
            f"{list(found[0])[:5] if found else 'no row'}"
        )


def _read_csv(
    database: Database,
    texts: Sequence[TextFile],
    dialect: Dialect,
    shown: Path,
    progress: Progress,
) -> None:
    fields = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(dialect.names)))
    listed = file_list([it.path for it in texts])
    database.run(
        f"CREATE TABLE cells AS SELECT * FROM read_csv({listed}"
        f", auto_detect = false, header = true, skip = {dialect.skip}"
        f", delim = {literal(dialect.delimiter)}, quote = '\"', escape = '\"'"
        f", columns = {{{fields}}}, max_line_size = {LONGEST_BYTES}"
        f", buffer_size = {LONGEST_BYTES})",
        (),
        shown,
        progress,
    )
