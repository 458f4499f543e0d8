"""Parquet files as tables, read by pyarrow in batches."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tidegauge.baseline.arrow_columns import (
    category_chunk,
    category_rows,
    check_names,
    malformed,
    numeric_chunk,
    numeric_rows,
    plain,
)
from tidegauge.baseline.columns import (
    Batch,
    CategoryRows,
    Kind,
    NumericRows,
    Role,
    TimedRows,
)
from tidegauge.baseline.errors import BaselineError
from tidegauge.baseline.times import checked, epoch_seconds

_BATCH_ROWS = 65_536


class ParquetTable:
    """A Parquet file: the types are in its footer, so there is only one pass over the values."""

    categories_are_text = False
    offenders: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        self._path = path
        with malformed(path), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            self.rows: int = file.metadata.num_rows
        check_names(path, schema.names)
        self.kinds: dict[str, Kind] = {f.name: _kind_of_type(f.type) for f in schema}

    def scan(self) -> Iterator[float]:
        """Nothing to do: the footer has been read."""
        yield 1.0

    def batches(self, roles: Mapping[str, Role]) -> Iterator[Batch]:
        """Read the columns in ``roles``."""
        seen = 0
        with malformed(self._path), pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(roles)):
                seen += batch.num_rows
                columns = {
                    name: numeric_chunk(self._cast(name, column))
                    if roles[name] == "numeric"
                    else category_chunk(name, column)
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                    if name in roles
                }
                yield Batch(batch.num_rows, columns, seen / max(self.rows, 1))

    def timed(self, time: str, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read the columns in ``roles`` row by row, with the time of each."""
        seen = 0
        with malformed(self._path), pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[time, *roles]):
                seen += batch.num_rows
                columns: dict[str, NumericRows | CategoryRows] = {
                    name: numeric_rows(self._cast(name, batch.column(name)))
                    if role == "numeric"
                    else category_rows(name, batch.column(name))
                    for name, role in roles.items()
                }
                yield TimedRows(
                    _seconds(time, batch.column(time)), columns, seen / max(self.rows, 1)
                )

    def _cast(self, name: str, column: Any) -> Any:
        try:
            return plain(column).cast(pa.float64(), safe=False)
        except pa.ArrowInvalid as error:
            raise BaselineError(f"column {name!r} can't be read as numbers: {error}") from error


def _seconds(name: str, column: Any) -> NDArray[np.float64]:
    """Return an Arrow column of times as epoch seconds; one without a zone is in UTC."""
    types = pa.types
    column = plain(column)
    if types.is_timestamp(column.type) or types.is_date(column.type):
        micros = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        numbers = micros.cast(pa.int64()).cast(pa.float64(), safe=False)
        return _or_nan(numbers) / 1e6
    if types.is_integer(column.type) or types.is_floating(column.type):
        return checked(name, _or_nan(column.cast(pa.float64(), safe=False)))
    return epoch_seconds(name, column.to_pylist())


def _or_nan(column: Any) -> NDArray[np.float64]:
    """Return an Arrow column of float64 with NaN where it is null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


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
