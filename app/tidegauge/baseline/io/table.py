"""A table that was read: its columns and what they hold, and their values one column at a time."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.baseline import BaselineError, canonical_category
from tidegauge.baseline.io.column import (
    Column,
    Loaded,
    ReadOptions,
    Role,
    category_of,
    number_of,
    time_of,
)
from tidegauge.baseline.io.csv_files import load_csv
from tidegauge.baseline.io.database import Database, Progress, malformed
from tidegauge.baseline.io.files import Files, find_files
from tidegauge.baseline.io.judge import COLUMNS_AT_ONCE, judge_columns
from tidegauge.baseline.io.typed_files import load_arrow, load_json, load_parquet
from tidegauge.contract import DecodingError, decode
from tidegauge.stats import Floats

#: Distinct values beyond which a column is no category but an id; counting them fills the memory.
DISTINCT_VALUES_LIMIT = 1_000_000


#: Numbers that are held at once, of several columns: a statement looks all columns of the table up,
#: so one for each takes minutes of a file of thousands of columns.
_HELD_NUMBERS = 1_000_000

_BATCH_ROWS = 65_536

#: The year 2100; what is beyond it, in the first of all cases, counts milliseconds.
_LATEST = 4_102_444_800.0

#: Years 1 and 10,000, between which a time can be shown as a date.
_FIRST_OF_DATES, _AFTER_DATES = -62_135_596_800.0, 253_402_300_800.0

#: A column of some rows: numbers, NaN where one is missing; or places in a list of categories, -1
#: where one is missing.
Rows = Floats | tuple[NDArray[np.int64], list[str]]


class TimedRows(NamedTuple):
    """Some rows of a table; ``seconds`` is their time since 1970, NaN without one."""

    seconds: Floats
    columns: Mapping[str, Rows]
    done: float


class Holders(NamedTuple):
    """How many entities have a value, in how many rows, and Σ w² over them, with w rows each."""

    entities: int
    rows: int
    squares: float

    def plus(self, other: "Holders") -> "Holders":
        """Return that of a value with another spelling, as if no entity had both."""
        return Holders(
            self.entities + other.entities, self.rows + other.rows, self.squares + other.squares
        )


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

    def held(self, name: str, entity: str) -> dict[str, "Holders"]:
        """Return which entities have each value of a column; a row without one is one of its own.

        ``entity`` is the column that names them.
        """
        value, its = category_of(self.columns[name]), category_of(self.columns[entity])
        with self._readable(name):
            rows = self._database.rows(
                f"SELECT x, sum(if(e IS NULL, n, 1))::BIGINT, sum(n)::BIGINT, "
                f"sum(if(e IS NULL, n, n::DOUBLE * n)) FROM (SELECT {value} AS x, {its} AS e, "
                f"count(*) AS n FROM t GROUP BY ALL) WHERE x IS NOT NULL GROUP BY x"
            )
        found: dict[str, Holders] = {}
        for cell, *figures in rows:
            held = Holders(*figures)
            spelling = spelt(self.columns[name], cell)
            found[spelling] = held.plus(found[spelling]) if spelling in found else held
        return found

    def timed(self, time: str | None, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read columns row by row, in the order of the file.

        With the time of each row, which is in the column ``time``; NaN if that is None.
        """
        moment = "CAST('nan' AS DOUBLE)" if time is None else time_of(self.columns[time])
        fields = [f"{moment} AS at"]
        for i, (name, role) in enumerate(roles.items()):
            of = category_of if role == "categorical" else number_of
            fields.append(f"{of(self.columns[name])} AS x{i}")
        seen = 0
        with self._readable(time or next(iter(roles))):
            for batch in self._database.batches(f"SELECT {', '.join(fields)} FROM t", _BATCH_ROWS):
                seen += batch.num_rows
                at, *columns = batch.columns
                rows = {
                    name: category_rows(self.columns[name], column)
                    if role == "categorical"
                    else np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
                    for (name, role), column in zip(roles.items(), columns, strict=True)
                }
                yield TimedRows(epoch_seconds(time or "", at), rows, seen / max(self.rows, 1))

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            with malformed(self._shown):
                yield
        except BaselineError as error:
            if str(error).startswith(f"column {name!r}"):
                raise
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


def category_rows(its: Column, column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Return a place among the categories for each row, -1 where it is missing; and these."""
    coded = column.dictionary_encode()
    places = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(places), [spelt(its, value) for value in coded.dictionary.to_pylist()]


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


def epoch_seconds(name: str, column: Any) -> Floats:
    """Return the time of each row since 1970, NaN where there is none.

    ISO 8601 text, in UTC where it names no zone, or numbers of seconds since 1970. Numbers that are
    all dates written as YYYYMMDD are taken for those: as seconds they would be of a few weeks of
    1970. Raises ``BaselineError`` for anything else, and for numbers that can't be seconds of this
    century or so.
    """
    if pa.types.is_floating(column.type):
        seconds = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    else:
        values = column.to_pylist()
        seconds = np.array([_seconds(name, value) for value in values], dtype=np.float64)
    dates = compact_dates(seconds)
    if dates is not None:
        return dates
    wrong = seconds[(seconds < 0) | (seconds > _LATEST)]
    if wrong.size:
        what, hint = f"{wrong[0]:g}", " (are these milliseconds?)"
        if _FIRST_OF_DATES <= wrong[0] < _AFTER_DATES:
            what, hint = f"{datetime.fromtimestamp(wrong[0], UTC):%Y-%m-%d}", ""
        raise BaselineError(
            f"column {name!r}, which --time names, holds {what}; expected ISO 8601 from 1970 to "
            f"2099, or seconds since 1970{hint}"
        )
    return seconds


def compact_dates(numbers: Floats) -> Floats | None:
    """Return the seconds since 1970 of dates written as numbers; None if one is no such date.

    >>> compact_dates(np.array([20240101.0, np.nan])).tolist()
    [1704067200.0, nan]
    >>> compact_dates(np.array([20240101.0, 20241301.0])) is None
    True
    """
    there = numbers[~np.isnan(numbers)]
    if not there.size or there.min() < 1900_01_01 or there.max() > 2100_12_31:
        return None
    whole = there.astype(np.int64)
    years, months, days = whole // 10_000, whole // 100 % 100, whole % 100
    if (whole != there).any() or not ((months >= 1) & (months <= 12) & (days >= 1)).all():
        return None
    first = (years - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (months - 1)
    found = first.astype("datetime64[D]") + (days - 1)
    if (found >= (first + 1).astype("datetime64[D]")).any():
        return None
    result = np.full(len(numbers), math.nan)
    result[~np.isnan(numbers)] = found.astype("datetime64[s]").astype(np.float64)
    return result


def _seconds(name: str, value: object) -> float:
    if value is None or value == "":
        return math.nan
    if isinstance(value, str):
        try:
            return _of_text(value.strip())
        except ValueError:
            pass
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise BaselineError(
        f"column {name!r}, which --time names, holds {str(value)[:50]!r}; expected ISO 8601 such "
        f"as 2026-07-01T12:00:00Z, or seconds since 1970"
    )


def _of_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
