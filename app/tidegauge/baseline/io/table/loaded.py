"""What loading files comes to: a table ``t`` of DuckDB, whose columns are c0, c1 … and ``at_row``.

The names are ours to compare: those that differ in case alone, or are there twice, DuckDB changes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.table.column import Column, Nature
from tidegauge.baseline.io.table.database import Database

#: A row of CSV, and an object of JSON, may be so long.
LONGEST_BYTES = 16 * 1024 * 1024

Progress = Callable[[float], None]


class Loaded(NamedTuple):
    """The columns of ``t``; ``indexes`` are those that a frame's index was written as.

    ``beside`` are fields of recorded events that are no signals unless an option names them.
    """

    columns: list[Column]
    doubts: list[str]
    indexes: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    delimiter: str = ","


def make_view(database: Database) -> None:
    """Make ``t`` of the table ``cells``."""
    database.rows("CREATE VIEW t AS SELECT *, rowid AS at_row FROM cells")


def columns_of(names: Sequence[str], types: Sequence[str], nature: Nature) -> list[Column]:
    """Return columns that nothing is known of but their names and types."""
    return [
        Column(name, f"c{i}", nature, type_)
        for i, (name, type_) in enumerate(zip(names, types, strict=True))
    ]


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raise ``BaselineError`` if columns can't be told apart by name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BaselineError(f"{path} has more than one column {name!r}: rename one of them")
        seen.add(name)
