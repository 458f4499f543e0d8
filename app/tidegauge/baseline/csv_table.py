"""CSV files as tables, read by pyarrow in batches."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from tidegauge.baseline.arrow_columns import (
    category_chunk,
    category_rows,
    check_names,
    malformed,
    numeric_chunk,
    numeric_rows,
)
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
from tidegauge.baseline.times import epoch_seconds

#: Larger than pyarrow's 1 MiB, as a row must fit into two blocks.
_BLOCK_BYTES = 8 * 1024 * 1024

_TRUTH = ("true", "false", "True", "False", "TRUE", "FALSE")


class CsvTable:
    """A CSV file with a header, plain or compressed.

    pyarrow infers types from the first block alone and then fails on a later one, so the first pass
    reads text and judges each column by all of its values.
    """

    categories_are_text = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0
        self.kinds: dict[str, Kind] = {}
        self.offenders: dict[str, str] = {}
        with malformed(path):
            size = path.stat().st_size
            if size == 0:
                raise BaselineError(f"{path} is empty")
            # The reader holds the first block's columns only to learn their names.
            with self._open(pcsv.ConvertOptions(), None) as reader:
                names = [field.name for field in reader.schema]
        check_names(path, names)
        self._names = names

    def scan(self) -> Iterator[float]:
        """Judge each column by all of its values."""
        judges = {name: _TextJudge() for name in self._names}
        for batch, done in self._read(self._names):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                judges[name].see(column, self.rows)
            self.rows += batch.num_rows
            yield done
        self.kinds = {name: judge.kind for name, judge in judges.items()}
        self.offenders = {name: j.offender for name, j in judges.items() if j.offender}

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
        with malformed(self._path):
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
            read_options=pcsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pcsv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )


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
