"""The DuckDB database that reads a table: one file in a temporary folder.

Files are loaded into its table ``t`` with the columns c0, c1 … and ``at_row``. Names are compared
in Python, because DuckDB changes names that differ only in case or that occur twice.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from tidegauge.baseline import BaselineError

#: DuckDB holds no more than this, and puts the rest on disk; it takes some 125 MiB to run at all.
LEAST_MEMORY_BYTES = 256 * 1024 * 1024

_POLL_SECONDS = 0.1

#: What of DuckDB's messages helps: not its hints, which name options that are not ours.
_HINTS = re.compile(r"\s*(Possible (fixes|Solution)|LINE \d+:|  file = ).*", re.DOTALL)


class Database:
    """A connection that names a wrong file, and reports the progress of a long statement."""

    def __init__(self, scratch: Path, memory_bytes: int) -> None:
        self._connection = duckdb.connect(
            str(scratch / "table.duckdb"),
            config={
                "memory_limit": f"{max(memory_bytes, LEAST_MEMORY_BYTES)}B",
                "temp_directory": str(scratch),
                # A file must not be able to make DuckDB download anything.
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
            },
        )
        # The progress can be queried, and is not printed.
        self._connection.execute("SET enable_progress_bar = true")
        self._connection.execute("SET enable_progress_bar_print = false")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self._connection.execute(sql, list(parameters)).fetchall()

    def columns(self, sql: str) -> dict[str, Any]:
        """Return the columns of a query as NumPy arrays."""
        return self._connection.execute(sql).fetchnumpy()

    def batches(self, sql: str, rows: int) -> Iterator[Any]:
        """Yield the result of a query as Arrow record batches."""
        yield from self._connection.sql(sql).to_arrow_reader(rows)

    def register(self, name: str, data: object) -> None:
        """Make Arrow data a view."""
        self._connection.register(name, data)

    def run(
        self, sql: str, parameters: Sequence[object], path: Path, progress: Callable[[float], None]
    ) -> None:
        """Run a statement that reads files; raises ``BaselineError`` if one is malformed."""
        failed: list[BaseException] = []

        def work() -> None:
            try:
                self._connection.execute(sql, list(parameters))
            except BaseException as error:  # raised again below, in the thread that waits
                failed.append(error)

        thread = threading.Thread(target=work, name="duckdb", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_SECONDS)
                done = self._connection.query_progress()
                if 0 <= done <= 100:
                    progress(done / 100)
        except BaseException:
            self._connection.interrupt()
            thread.join()
            raise
        if failed:
            with malformed(path):
                raise failed[0]


_RAGGED = re.compile(
    r"Line: (\d+)\nOriginal Line: (.*?)\nExpected Number of Columns: (\d+) Found: (\d+)", re.DOTALL
)


@contextmanager
def malformed(path: Path) -> Iterator[None]:
    """Say which file it was that DuckDB refuses to read."""
    try:
        yield
    except duckdb.Error as error:
        raise BaselineError(f"{path} can't be read: {message_of(error)}") from error


def message_of(error: BaseException) -> str:
    """Return the error of DuckDB in one line, without its hints, which name other options."""
    text = str(error)
    ragged = _RAGGED.search(text)
    if ragged:
        line, row, expected, found = ragged.groups()
        return f"line {int(line):,} has {found} cells, expected {expected}: {row[:100]!r}"
    text = _HINTS.sub("", text)
    text = re.sub(r"^[A-Za-z ]+ Error: ", "", text.strip())
    return re.sub(r"\s+", " ", text).strip()[:400]


def literal(text: object) -> str:
    """Return a text as SQL has it."""
    return "'" + str(text).replace("'", "''") + "'"


def file_list(paths: Sequence[Path]) -> str:
    """Return paths as a list of SQL, none of them a pattern."""
    escaped = (re.sub(r"([*?\[])", r"[\1]", str(path)) for path in paths)
    return "[" + ", ".join(map(literal, escaped)) + "]"


#: A row of CSV, and an object of JSON, may be so long.
LONGEST_BYTES = 16 * 1024 * 1024

Progress = Callable[[float], None]


def make_view(database: Database) -> None:
    """Make ``t`` of the table ``cells``."""
    database.rows("CREATE VIEW t AS SELECT *, rowid AS at_row FROM cells")


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raise ``BaselineError`` if columns can't be told apart by name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BaselineError(f"{path} has more than one column {name!r}: rename one of them")
        seen.add(name)
