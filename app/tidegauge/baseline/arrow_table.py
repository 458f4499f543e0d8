"""CSV and Parquet files as tables, read by pyarrow in batches."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tidegauge.baseline.binning import canonical_category
from tidegauge.baseline.columns import (
    INSTANT,
    MISSING_NUMBERS,
    Batch,
    CategoryChunk,
    CategoryRows,
    Kind,
    NumericChunk,
    NumericRows,
    Role,
    TimedRows,
)
from tidegauge.baseline.errors import BaselineError
from tidegauge.baseline.times import checked, epoch_seconds

#: Larger than pyarrow's 1 MiB, as a row must fit into two blocks.
_CSV_BLOCK_BYTES = 8 * 1024 * 1024
_PARQUET_BATCH_ROWS = 65_536
_TRUTH = ("true", "false", "True", "False", "TRUE", "FALSE")


class CsvTable:
    """A CSV file with a header, plain or compressed.

    pyarrow infers types from the first block alone and then fails on a later one, so the first pass
    reads text and judges each column by all of its values.
    """

    categories_are_text = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = 0
        self._kinds: dict[str, Kind] = {}
        self._offenders: dict[str, str] = {}
        with _malformed(path):
            size = path.stat().st_size
            if size == 0:
                raise BaselineError(f"{path} is empty")
            # The reader holds the first block's columns only to learn their names.
            with self._open(pcsv.ConvertOptions(), None) as reader:
                names = [field.name for field in reader.schema]
        check_names(path, names)
        self._names = names

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Kind of each column."""
        return self._kinds

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    @property
    def offenders(self) -> Mapping[str, str]:
        """First value of a column that is no number, and its row."""
        return self._offenders

    def scan(self) -> Iterator[float]:
        """Judge each column by all of its values."""
        judges = {name: _TextJudge() for name in self._names}
        for batch, done in self._read(self._names):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                judges[name].see(column, self._rows)
            self._rows += batch.num_rows
            yield done
        self._kinds = {name: judge.kind for name, judge in judges.items()}
        self._offenders = {name: j.offender for name, j in judges.items() if j.offender}

    def batches(self, roles: Mapping[str, Role]) -> Iterator[Batch]:
        """Read the columns in ``roles``."""
        numeric = {name for name, role in roles.items() if role == "numeric"}
        for batch, done in self._read(list(roles)):
            columns: dict[str, NumericChunk | CategoryChunk] = {}
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                columns[name] = (
                    numeric_chunk(self._parse(name, column))
                    if name in numeric
                    else category_chunk(name, column)
                )
            yield Batch(batch.num_rows, columns, done)

    def timed(self, time: str, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read the columns in ``roles`` row by row, with the time of each."""
        for batch, done in self._read([time, *roles]):
            seconds = epoch_seconds(time, batch.column(time).to_pylist())
            columns: dict[str, NumericRows | CategoryRows] = {}
            for name, role in roles.items():
                column = batch.column(name)
                columns[name] = (
                    numeric_rows(self._parse(name, column))
                    if role == "numeric"
                    else category_rows(name, column)
                )
            yield TimedRows(seconds, columns, done)

    def _parse(self, name: str, column: Any) -> Any:
        try:
            return _numbers(column)
        except pa.ArrowInvalid as error:
            # The first pass found only numbers here, unless the caller overrode it.
            raise BaselineError(f"column {name!r} can't be read as numbers: {error}") from error

    def _read(self, names: list[str]) -> Iterator[tuple[Any, float]]:
        options = pcsv.ConvertOptions(
            # Numbers too are read as text and cast after: what is missing among numbers ("NA") and
            # among texts differs, and pyarrow takes one list for all columns.
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=names,
            null_values=[""],
            strings_can_be_null=True,
        )
        with _malformed(self._path):
            size = max(self._path.stat().st_size, 1)
            with pa.OSFile(str(self._path)) as file, self._open(options, file) as reader:
                for batch in reader:
                    yield batch, min(1.0, file.tell() / size)

    def _open(self, options: Any, file: Any) -> Any:
        source: Any = str(self._path) if file is None else file
        if file is not None and self._path.suffix == ".gz":
            source = pa.CompressedInputStream(file, "gzip")
        return pcsv.open_csv(
            source,
            # One thread, because only then pyarrow's errors say which row is malformed.
            read_options=pcsv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
            parse_options=pcsv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )


class ParquetTable:
    """A Parquet file: the types are in its footer, so there is only one pass over the values."""

    categories_are_text = False
    offenders: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        self._path = path
        with _malformed(path), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            self._rows: int = file.metadata.num_rows
        check_names(path, schema.names)
        self._kinds: dict[str, Kind] = {f.name: _kind_of_type(f.type) for f in schema}

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Kind of each column."""
        return self._kinds

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    def scan(self) -> Iterator[float]:
        """Nothing to do: the footer has been read."""
        yield 1.0

    def batches(self, roles: Mapping[str, Role]) -> Iterator[Batch]:
        """Read the columns in ``roles``."""
        seen = 0
        with _malformed(self._path), pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(_PARQUET_BATCH_ROWS, columns=list(roles)):
                seen += batch.num_rows
                columns = {
                    name: numeric_chunk(self._cast(name, column))
                    if roles[name] == "numeric"
                    else category_chunk(name, column)
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                    if name in roles
                }
                yield Batch(batch.num_rows, columns, seen / max(self._rows, 1))

    def timed(self, time: str, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read the columns in ``roles`` row by row, with the time of each."""
        seen = 0
        with _malformed(self._path), pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(_PARQUET_BATCH_ROWS, columns=[time, *roles]):
                seen += batch.num_rows
                columns: dict[str, NumericRows | CategoryRows] = {
                    name: numeric_rows(self._cast(name, batch.column(name)))
                    if role == "numeric"
                    else category_rows(name, batch.column(name))
                    for name, role in roles.items()
                }
                yield TimedRows(
                    arrow_seconds(time, batch.column(time)), columns, seen / max(self._rows, 1)
                )

    def _cast(self, name: str, column: Any) -> Any:
        try:
            return _plain(column).cast(pa.float64(), safe=False)
        except pa.ArrowInvalid as error:
            raise BaselineError(f"column {name!r} can't be read as numbers: {error}") from error


class _TextJudge:
    """Judges what a column of text holds: every candidate must agree with every value."""

    def __init__(self) -> None:
        self._numeric = self._boolean = self._instant = True
        self._numbers = self._present = 0
        self.offender = ""

    @property
    def kind(self) -> Kind:
        if self._present == 0:
            return "empty"
        if self._numeric and self._numbers:
            return "numeric"
        if self._boolean:
            return "boolean"
        return "instant" if self._instant else "string"

    def see(self, column: Any, rows_before: int) -> None:
        present = column.drop_null()
        self._present += len(present)
        if len(present) == 0:
            return
        if self._numeric:
            try:
                numbers = _numbers(column)
                self._numbers += len(numbers) - numbers.null_count
            except pa.ArrowInvalid:
                self._numeric = False
                self.offender = _first_offender(column, rows_before)
        if self._boolean:
            self._boolean = pc.all(pc.is_in(present, pa.array(_TRUTH))).as_py()
        if self._instant:
            self._instant = pc.all(pc.match_substring_regex(present, INSTANT)).as_py()


def numeric_chunk(column: Any) -> NumericChunk:
    """Split an Arrow column of float64 into finite values, missing and not finite."""
    values = np.asarray(column.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64)
    finite = np.isfinite(values)
    kept = values[finite]
    return NumericChunk(kept, missing=column.null_count, nan=len(values) - len(kept))


def category_chunk(name: str, column: Any) -> CategoryChunk:
    """Count an Arrow column by category, spelled canonically."""
    present = _plain(column).drop_null()
    counts: dict[str, int] = {}
    for pair in present.value_counts():
        category = _spelt(name, pair["values"].as_py())
        counts[category] = counts.get(category, 0) + pair["counts"].as_py()
    return CategoryChunk(counts, missing=len(column) - len(present))


def _spelt(name: str, value: Any) -> str:
    if not isinstance(value, str | bool | int | float):
        value = float(value)  # a decimal
    if isinstance(value, float) and not math.isfinite(value):
        raise BaselineError(f"column {name!r} holds {value}, which can't be a category")
    return canonical_category(value)


def numeric_rows(column: Any) -> NumericRows:
    """Keep an Arrow column of float64 row by row."""
    values = np.asarray(column.fill_null(0.0).to_numpy(zero_copy_only=False), dtype=np.float64)
    return NumericRows(values, np.asarray(column.is_null().to_numpy(zero_copy_only=False)))


def category_rows(name: str, column: Any) -> CategoryRows:
    """Keep an Arrow column row by row, as places in a list of its categories."""
    coded = _plain(column).dictionary_encode()
    places = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return CategoryRows(
        np.asarray(places), [_spelt(name, it) for it in coded.dictionary.to_pylist()]
    )


def arrow_seconds(name: str, column: Any) -> NDArray[np.float64]:
    """Return an Arrow column of times as epoch seconds; one without a zone is in UTC."""
    types = pa.types
    column = _plain(column)
    if types.is_timestamp(column.type) or types.is_date(column.type):
        micros = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        numbers = micros.cast(pa.int64()).cast(pa.float64(), safe=False)
        return numeric_or_nan(numbers) / 1e6
    if types.is_integer(column.type) or types.is_floating(column.type):
        return checked(name, numeric_or_nan(column.cast(pa.float64(), safe=False)))
    return epoch_seconds(name, column.to_pylist())


def numeric_or_nan(column: Any) -> NDArray[np.float64]:
    """Return an Arrow column of float64 with NaN where it is null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def check_names(path: Path, names: list[str]) -> None:
    """Raise ``BaselineError`` if columns can't be told apart by name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BaselineError(f"{path} has more than one column {twice[0]!r}: rename one of them")


def _numbers(column: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(column)
    try:
        return trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        missing = pc.is_in(trimmed, pa.array(MISSING_NUMBERS))
        return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed).cast(pa.float64())


def _first_offender(column: Any, rows_before: int) -> str:
    for row, text in enumerate(column.to_pylist(), start=rows_before + 1):
        if text is not None:
            try:
                _numbers(pa.array([text]))
            except pa.ArrowInvalid:
                return f"{text[:50]!r} in row {row:,}"
    return ""


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _kind_of_type(type_: Any) -> Kind:
    t = pa.types
    if t.is_dictionary(type_):
        return _kind_of_type(type_.value_type)
    if t.is_integer(type_) or t.is_floating(type_) or t.is_decimal(type_):
        return "numeric"
    if t.is_boolean(type_):
        return "boolean"
    if t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_):
        return "string"
    if t.is_temporal(type_):
        return "instant"
    if t.is_null(type_):
        return "empty"
    return "nested" if t.is_nested(type_) else "binary"


@contextmanager
def _malformed(path: Path) -> Iterator[None]:
    """Say which file it was when pyarrow refuses to read it."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        detail = re.sub(r"\s+", " ", str(error)).strip()[:500]
        raise BaselineError(f"{path} can't be read: {detail}") from error
    except OSError as error:
        raise BaselineError(f"{path} can't be read: {error.strerror or error}") from error
