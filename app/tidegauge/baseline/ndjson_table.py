"""NDJSON files as tables: one JSON object a line.

Read line by line and not by pyarrow, which takes a column's type from the first block, and refuses
the ``"NaN"`` that prediction events use for a number that is not finite.
"""

import gzip
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from tidegauge.baseline.binning import canonical_category
from tidegauge.baseline.columns import (
    INSTANT,
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
from tidegauge.contract import NON_FINITE

_BATCH_ROWS = 10_000
_INSTANT = re.compile(INSTANT)


class NdjsonTable:
    """A file with one JSON object a line, plain or compressed. Empty lines are skipped.

    A name that is not in an object counts as missing, as ``null`` does.
    """

    categories_are_text = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0
        self.kinds: dict[str, Kind] = {}
        self.offenders: dict[str, str] = {}
        try:
            self._size = max(path.stat().st_size, 1)
        except OSError as error:
            raise BaselineError(f"{path} can't be read: {error.strerror}") from error

    def scan(self) -> Iterator[float]:
        """Judge each column by all of its values."""
        judges: dict[str, _Judge] = {}
        for rows, done in self._read():
            for number, row in enumerate(rows, start=self.rows + 1):
                for name, value in row.items():
                    judge = judges.get(name)
                    if judge is None:
                        judge = judges[name] = _Judge()
                    judge.see(value, number)
            self.rows += len(rows)
            yield done
        self.kinds = {name: judge.kind for name, judge in judges.items()}
        self.offenders = {name: j.offender for name, j in judges.items() if j.offender}

    def batches(self, roles: Mapping[str, Role]) -> Iterator[Batch]:
        """Read the columns in ``roles``."""
        for rows, done in self._read():
            columns: dict[str, NumericChunk | CategoryChunk] = {}
            for name, role in roles.items():
                present = [v for row in rows if (v := row.get(name)) is not None]
                missing = len(rows) - len(present)
                if role == "numeric":
                    columns[name] = _numbers(name, present, missing)
                else:
                    columns[name] = _categories(name, present, missing)
            yield Batch(len(rows), columns, done)

    def timed(self, time: str, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read the columns in ``roles`` row by row, with the time of each."""
        for rows, done in self._read():
            seconds = epoch_seconds(time, (row.get(time) for row in rows))
            columns: dict[str, NumericRows | CategoryRows] = {}
            for name, role in roles.items():
                values = [row.get(name) for row in rows]
                if role == "numeric":
                    missing = np.array([value is None for value in values])
                    numbers = [0.0 if value is None else _as_float(value) for value in values]
                    columns[name] = NumericRows(np.array(numbers), missing)
                else:
                    columns[name] = _places(values)
            yield TimedRows(seconds, columns, done)

    def _read(self) -> Iterator[tuple[list[dict[str, Any]], float]]:
        decoder = msgspec.json.Decoder(dict[str, Any])
        rows: list[dict[str, Any]] = []
        try:
            with self._path.open("rb") as raw:
                lines: IO[bytes] | gzip.GzipFile = raw
                if self._path.suffix == ".gz":
                    lines = gzip.GzipFile(fileobj=raw)
                for number, line in enumerate(lines, start=1):
                    if line.isspace():
                        continue
                    try:
                        rows.append(decoder.decode(line))
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        raise self._malformed(number, line, error) from error
                    if len(rows) == _BATCH_ROWS:
                        yield rows, min(1.0, raw.tell() / self._size)
                        rows = []
        except (OSError, EOFError) as error:
            raise BaselineError(f"{self._path} can't be read: {error}") from error
        if rows:
            yield rows, 1.0

    def _malformed(self, number: int, line: bytes, error: Exception) -> BaselineError:
        hint = ""
        if b"NaN" in line or b"Infinity" in line:
            hint = '; a number that is not finite is written as text: "NaN"'
        return BaselineError(f"{self._path}, line {number}: {error}{hint}")


class _Judge:
    """Judges what a column holds by the types of all of its values."""

    def __init__(self) -> None:
        self._numbers = self._non_finite = self._booleans = self._instants = 0
        self._strings = self._nested = 0
        self.offender = ""

    @property
    def kind(self) -> Kind:
        texts = self._strings + self._instants
        if self._nested:
            return "nested"
        if self._numbers and not self._booleans and not texts:
            return "numeric"
        if not (self._numbers or self._booleans or texts or self._non_finite):
            return "empty"
        if self._booleans and not (self._numbers or texts or self._non_finite):
            return "boolean"
        mixed = self._numbers or self._booleans or self._strings or self._non_finite
        return "string" if mixed else "instant"

    def see(self, value: object, row: int) -> None:
        if value is None:
            return
        if isinstance(value, bool):
            self._booleans += 1
        elif isinstance(value, int | float):
            self._numbers += 1
            return
        elif not isinstance(value, str):
            self._nested += 1
        elif value in NON_FINITE:
            self._non_finite += 1
            return
        elif _INSTANT.match(value):
            self._instants += 1
        else:
            self._strings += 1
        if not self.offender:
            self.offender = f"{str(value)[:50]!r} in row {row:,}"


def _numbers(name: str, present: list[Any], missing: int) -> NumericChunk:
    try:
        values = np.array([_as_float(value) for value in present], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BaselineError(f"column {name!r} can't be read as numbers: {error}") from error
    kept = values[np.isfinite(values)]
    return NumericChunk(kept, missing=missing, nan=len(values) - len(kept))


def _as_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is no number")
    if isinstance(value, str) and value not in NON_FINITE:
        raise ValueError(f"{value!r} is text")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _places(values: list[Any]) -> CategoryRows:
    names: dict[str, int] = {}
    places = [
        -1 if value is None else names.setdefault(canonical_category(value), len(names))
        for value in values
    ]
    return CategoryRows(np.array(places, dtype=np.int64), list(names))


def _categories(name: str, present: list[Any], missing: int) -> CategoryChunk:
    try:
        return CategoryChunk(Counter(map(canonical_category, present)), missing=missing)
    except TypeError as error:
        raise BaselineError(f"column {name!r} can't be read as categories: {error}") from error
