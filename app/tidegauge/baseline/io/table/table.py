"""A table that was read: its columns and what they hold, and their values one column at a time."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.baseline import BaselineError, canonical_category
from tidegauge.baseline.io.table.cells import (
    category_of,
    number_of,
    time_of,
)
from tidegauge.baseline.io.table.column import Column, ReadOptions, Role
from tidegauge.baseline.io.table.csv_files import load_csv
from tidegauge.baseline.io.table.database import (
    Database,
    Loaded,
    Progress,
    malformed,
)
from tidegauge.baseline.io.table.files import Files, find_files
from tidegauge.baseline.io.table.json_files import load_json
from tidegauge.baseline.io.table.judge import COLUMNS_AT_ONCE, judge_columns
from tidegauge.baseline.io.table.rows import (
    CategoryRows,
    NumericRows,
    TimedRows,
    checked,
    epoch_seconds,
)
from tidegauge.baseline.io.table.typed_files import load_arrow, load_parquet
from tidegauge.contract import DecodingError, decode
from tidegauge.stats import Floats

#: Distinct values beyond which a column is no category but an id; counting them fills the memory.
DISTINCT_VALUES_LIMIT = 1_000_000


#: Numbers that are held at once, of several columns: a statement looks all columns of the table up,
#: so one for each takes minutes of a file of thousands of columns.
_HELD_NUMBERS = 1_000_000

_BATCH_ROWS = 65_536


class Table:
    """Columns by name, and their values; a file's rows are looked at but never all held."""

    def __init__(
        self,
        database: Database,
        shown: Path,
        loaded: Loaded,
        rows: int,
        columns: Mapping[str, Column],
    ) -> None:
        self._database = database
        self._shown = shown
        self.rows = rows
        self.columns = columns
        #: What is doubtful about the file as a whole.
        self.doubts = loaded.doubts
        #: Columns that are no signals unless an option names them.
        self.indexes = loaded.indexes
        self.beside = loaded.beside
        self._held: dict[str, Any] = {}

    def numbers(self, name: str) -> tuple[Floats, int, int]:
        """Return all finite values of a column, sorted; how many are missing, and not finite.

        Sorted, because then nothing computed from them can depend on the order of the rows.
        """
        if name not in self._held:
            self._held = self._read_numbers(name)
        found = self._held.pop(name)
        missing = int(np.ma.getmaskarray(found).sum())
        values = np.ma.compressed(found).astype(np.float64, copy=False)
        finite = values[np.isfinite(values)]
        nan = len(values) - len(finite)
        finite += 0.0  # -0.0 becomes 0.0: they are equal, and which one sorts first is arbitrary
        finite.sort()
        return finite, missing, nan

    def _read_numbers(self, name: str) -> dict[str, Any]:
        """Read a column's numbers, and those of the columns after it if there are few rows."""
        names = list(self.columns)
        after = [it for it in names[names.index(name) + 1 :] if self.columns[it].kind == "numeric"]
        at_once = min(COLUMNS_AT_ONCE, _HELD_NUMBERS // max(self.rows, 1))
        some = [name, *after[: max(at_once - 1, 0)]]
        fields = (f"{number_of(self.columns[it])} AS x{i}" for i, it in enumerate(some))
        with self._readable(name):
            found = self._database.columns(f"SELECT {', '.join(fields)} FROM t")
        return {it: found[f"x{i}"] for i, it in enumerate(some)}

    def categories(self, name: str) -> tuple[Counter[str], int]:
        """Return how often each value of a column was seen, and how many are missing."""
        column = self.columns[name]
        with self._readable(name):
            found = self._database.rows(
                f"SELECT {category_of(column)} AS x, count(*) FROM t GROUP BY x "
                f"LIMIT {DISTINCT_VALUES_LIMIT + 2}"
            )
        if len(found) > DISTINCT_VALUES_LIMIT:
            raise BaselineError(
                f"column {name!r} has more than {DISTINCT_VALUES_LIMIT:,} different values, which "
                f"looks like an id: --exclude {name}"
            )
        counts: Counter[str] = Counter()
        missing = 0
        for value, rows in found:
            if value is None:
                missing += rows
            else:
                counts[spelt(column, value)] += rows
        return counts, missing

    def timed(self, time: str, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read columns row by row, with the time of each row, which is in the column ``time``."""
        fields = [f"{time_of(self.columns[time])} AS at"]
        for i, (name, role) in enumerate(roles.items()):
            of = category_of if role == "categorical" else number_of
            fields.append(f"{of(self.columns[name])} AS x{i}")
        seen = 0
        with self._readable(time):
            for batch in self._database.batches(f"SELECT {', '.join(fields)} FROM t", _BATCH_ROWS):
                seen += batch.num_rows
                columns: dict[str, NumericRows | CategoryRows] = {}
                for i, (name, role) in enumerate(roles.items(), start=1):
                    if role == "categorical":
                        columns[name] = _category_rows(self.columns[name], batch.column(i))
                    else:
                        columns[name] = _numeric_rows(batch.column(i))
                yield TimedRows(_seconds(time, batch.column(0)), columns, seen / max(self.rows, 1))

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            with malformed(self._shown):
                yield
        except BaselineError as error:
            raise BaselineError(f"column {name!r}: {error}") from error


@contextmanager
def open_table(
    path: Path,
    options: ReadOptions,
    *,
    model: str = "",
    types: Mapping[str, Role] | None = None,
    exclude: Collection[str] = (),
    memory_bytes: int,
    check: Callable[[Sequence[str]], None] = lambda names: None,
    progress: Callable[[str, float], None] = lambda step, done: None,
) -> Iterator[Table]:
    """Read the files that a path names; raises ``BaselineError`` wherever one is malformed.

    ``types`` says how columns are to be read, ``exclude`` which needn't be looked at; ``model``,
    whose events are wanted where the rows are recorded events. ``check`` may raise for the names of
    the columns, before a file of text is read.
    """
    files = find_files(path)
    with tempfile.TemporaryDirectory(prefix="tidegauge-") as folder:
        scratch = Path(folder)
        database = Database(scratch, memory_bytes)
        try:
            loaded = _load(
                database, files, path, options, model, scratch, check,
                lambda it: progress("Reading", it),
            )  # fmt: skip
            progress("Reading", 1.0)
            rows = int(database.rows("SELECT count(*) FROM t")[0][0])
            with malformed(path):
                columns = judge_columns(database, loaded, options, types or {}, exclude, progress)
            yield Table(database, path, loaded, rows, columns)
        finally:
            database.close()


def spelt(column: Column, value: Any) -> str:
    """Return a category as events spell it; text of a CSV stays as it was in the file."""
    if column.nature == "json":
        try:
            value = decode(str(value).encode(), Any)
        except (DecodingError, UnicodeEncodeError) as error:
            raise BaselineError(f"column {column.name!r} holds a value: {error}") from error
    if not isinstance(value, str | bool | int | float):
        value = str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise BaselineError(f"column {column.name!r} holds {value}, which can't be a category")
    return canonical_category(value)


def _numeric_rows(column: Any) -> NumericRows:
    values = np.asarray(column.fill_null(0.0).to_numpy(zero_copy_only=False), dtype=np.float64)
    return NumericRows(values, np.asarray(column.is_null().to_numpy(zero_copy_only=False)))


def _category_rows(its: Column, column: Any) -> CategoryRows:
    coded = column.dictionary_encode()
    places = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    names = [spelt(its, value) for value in coded.dictionary.to_pylist()]
    return CategoryRows(np.asarray(places), names)


def _seconds(name: str, column: Any) -> Floats:
    if pa.types.is_floating(column.type):
        seconds = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        return checked(name, seconds)
    return epoch_seconds(name, column.to_pylist())


def _load(
    database: Database,
    files: Files,
    shown: Path,
    options: ReadOptions,
    model: str,
    scratch: Path,
    check: Callable[[Sequence[str]], None],
    progress: Progress,
) -> Loaded:
    """Make ``t`` of files; raises ``BaselineError`` if they are no table.

    ``check`` is asked of the names of the columns before a file of text is read.
    """
    if files.format == "csv":
        return load_csv(database, files, shown, options, scratch, check, progress)
    if options.delimiter is not None or options.decimal is not None:
        raise BaselineError(f"{shown} is no CSV: --delimiter and --decimal are for CSV")
    if files.format == "json":
        return load_json(database, files, shown, options, model, scratch, progress)
    if options.encoding is not None:
        raise BaselineError(f"{shown} is no text: --encoding is for CSV and JSON")
    if files.format == "arrow":
        return load_arrow(database, files, shown)
    return load_parquet(database, files, shown)
