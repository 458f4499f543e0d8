"""Columns of a table on their way into a baseline: what a batch holds, and where it is collected.

Exact quantiles need all values of a column at once, but never those of two columns: what exceeds a
budget waits on disk, a file a column.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline.errors import BaselineError

#: What the values of a column are, judged by all of them.
Kind = Literal["numeric", "boolean", "string", "instant", "nested", "binary", "empty"]

#: What a column is read as.
Role = Literal["numeric", "categorical"]

#: Values kept in memory before they go to disk: 512 MiB is 12 columns of 5 million rows.
MEMORY_BYTES = 512 * 1024 * 1024

#: Distinct values beyond which a column is no category but an id; counting them fills the memory.
DISTINCT_VALUES_LIMIT = 1_000_000

#: How spreadsheets and R write "no value" in a column of numbers. Not in pyarrow's list and left
#: out here: NaN, which is a value that is wrong and counted apart from one that is missing. In a
#: column of text only the empty string is missing: "NA" may be Namibia.
MISSING_NUMBERS = ("", "NA", "N/A", "n/a", "#N/A", "NULL", "null")

#: A date or a date and time, as ISO 8601 writes them.
INSTANT = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[+-]\d\d:?(\d\d)?)?)?$"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NumericChunk:
    """Finite values of a batch, and how many were missing or not finite."""

    values: FloatArray
    missing: int
    nan: int


@dataclass(frozen=True, slots=True)
class CategoryChunk:
    """How often each category was seen in a batch, and how many values were missing."""

    counts: Mapping[str, int]
    missing: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table, by column; ``done`` is the share of the table read so far, 0 to 1."""

    rows: int
    columns: Mapping[str, NumericChunk | CategoryChunk]
    done: float


@dataclass(frozen=True, slots=True)
class NumericRows:
    """A number for each row; any where it is missing."""

    values: FloatArray
    missing: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CategoryRows:
    """A place in ``names`` for each row, -1 where it is missing."""

    places: NDArray[np.int64]
    names: list[str]


@dataclass(frozen=True, slots=True)
class TimedRows:
    """Some rows of a table, row by row; ``seconds`` is their time since 1970, NaN without one."""

    seconds: FloatArray
    columns: Mapping[str, NumericRows | CategoryRows]
    done: float


class Table(Protocol):
    """A file of rows. Raises ``BaselineError`` wherever the file is malformed."""

    #: Whether categories come as the text that was in the file (CSV) or spelled canonically.
    categories_are_text: bool

    def scan(self) -> Iterator[float]:
        """Look at the whole file, yielding the share done; ``kinds`` and ``rows`` hold after it."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Kind of each column, in the order of the file."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def offenders(self) -> Mapping[str, str]:
        """For columns that aren't numeric: the first value that is no number, and its row."""

    def batches(self, roles: Mapping[str, Role]) -> Iterator[Batch]:
        """Read the columns in ``roles``, batch by batch."""

    def timed(self, time: str, roles: Mapping[str, Role]) -> Iterator[TimedRows]:
        """Read them again with the time of each row, which is in the column ``time``."""


class Collector:
    """Collects the batches of a table, column by column; a context manager, as it may own files."""

    def __init__(self, roles: Mapping[str, Role], *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._held_bytes = 0
        self._held: dict[str, list[FloatArray]] = {
            name: [] for name, role in roles.items() if role == "numeric"
        }
        self._file_names = {name: f"{i}.f64" for i, name in enumerate(self._held)}
        self._categories: dict[str, Counter[str]] = {
            name: Counter() for name, role in roles.items() if role == "categorical"
        }
        self.missing: Counter[str] = Counter()
        self.nan: Counter[str] = Counter()
        self._stack = ExitStack()
        self._directory: Path | None = None

    def __enter__(self) -> "Collector":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, batch: Batch) -> None:
        """Add a batch; raises ``BaselineError`` if a category has too many values."""
        for name, chunk in batch.columns.items():
            self.missing[name] += chunk.missing
            if isinstance(chunk, NumericChunk):
                self.nan[name] += chunk.nan
                self._held[name].append(chunk.values)
                self._held_bytes += chunk.values.nbytes
            else:
                counts = self._categories[name]
                counts.update(chunk.counts)
                if len(counts) > DISTINCT_VALUES_LIMIT:
                    raise BaselineError(
                        f"column {name!r} has more than {DISTINCT_VALUES_LIMIT:,} different "
                        f"values, which looks like an id: --exclude {name}"
                    )
        if self._held_bytes > self._memory_bytes:
            self._spill()

    def take_values(self, name: str) -> FloatArray:
        """Hand over all finite values of a numeric column, sorted; its memory and file are freed.

        Sorted, because then nothing computed from them can depend on the order of the rows.
        """
        parts = self._held.pop(name)
        if self._directory is not None:
            path = self._directory / self._file_names[name]
            if path.exists():
                parts.append(np.fromfile(path, dtype=np.float64))
                path.unlink()
        values = np.concatenate(parts) if parts else np.empty(0)
        values += 0.0  # -0.0 becomes 0.0: they are equal, and which one sorts first is arbitrary
        values.sort()
        return values

    def take_categories(self, name: str) -> Counter[str]:
        """Hand over the counts of a categorical column."""
        return self._categories.pop(name)

    def _spill(self) -> None:
        if self._directory is None:
            self._directory = Path(
                self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegauge-"))
            )
        for name, parts in self._held.items():
            # Opened and closed each time: a table may have more columns than a process may files.
            with (self._directory / self._file_names[name]).open("ab") as file:
                for part in parts:
                    file.write(np.ascontiguousarray(part).data)
            parts.clear()
        self._held_bytes = 0
