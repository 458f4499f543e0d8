"""Arrow columns in the forms that a baseline collects, for tables that pyarrow reads."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.baseline.binning import canonical_category
from tidegauge.baseline.columns import CategoryChunk, CategoryRows, NumericChunk, NumericRows
from tidegauge.baseline.errors import BaselineError


def numeric_chunk(column: Any) -> NumericChunk:
    """Split an Arrow column of float64 into finite values, missing and not finite."""
    values = np.asarray(column.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64)
    finite = np.isfinite(values)
    kept = values[finite]
    return NumericChunk(kept, missing=column.null_count, nan=len(values) - len(kept))


def category_chunk(name: str, column: Any) -> CategoryChunk:
    """Count an Arrow column by category, spelled canonically."""
    present = plain(column).drop_null()
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
    coded = plain(column).dictionary_encode()
    places = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return CategoryRows(
        np.asarray(places), [_spelt(name, it) for it in coded.dictionary.to_pylist()]
    )


def check_names(path: Path, names: list[str]) -> None:
    """Raise ``BaselineError`` if columns can't be told apart by name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BaselineError(f"{path} has more than one column {twice[0]!r}: rename one of them")


def plain(column: Any) -> Any:
    """Return an Arrow column without its dictionary, if it has one."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


@contextmanager
def malformed(path: Path) -> Iterator[None]:
    """Say which file it was when pyarrow refuses to read it."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        detail = re.sub(r"\s+", " ", str(error)).strip()[:500]
        raise BaselineError(f"{path} can't be read: {detail}") from error
    except OSError as error:
        raise BaselineError(f"{path} can't be read: {error.strerror or error}") from error
