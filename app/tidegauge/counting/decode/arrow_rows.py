"""Rows of a column batch as the JSON events they stand for: for batches that columns don't fit.

A value of a type that JSON doesn't have counts as invalid, whatever it is: it is not converted,
which could raise, or take any amount of memory.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa

#: Values that are Python objects at a time; a batch can have thousands of columns.
CHUNK_VALUES = 100_000

#: Columns of an event that are counted.
COUNTED = (
    "time", "model", "version", "variant", "prediction", "label", "latency_ms", "status",
    "features", "segments", "id",
)  # fmt: skip

#: What stands for a value that is neither a number, text, a boolean nor null.
_INVALID: tuple[()] = ()


Reader = Callable[[int, int], list[Any]]


def chunks(
    table: pa.Table,
    *,
    constants: Mapping[str, str],
    features: Collection[str] | None,
    segments: Collection[str] | None,
    columns: Collection[str] = COUNTED,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows, some at a time; ``constants`` are fields that are the same in all of them.

    Only the ``columns``, ``features`` and ``segments`` of these names are read; None: all.
    """
    readers: dict[str, Reader] = {}
    width = 1
    for name in columns:
        if name in constants or name not in table.column_names:
            continue
        column = table.column(name).combine_chunks()
        if name in ("features", "segments") and pa.types.is_struct(column.type):
            parts = _parts(column, features if name == "features" else segments)
            readers[name] = _struct_reader(column, parts)
            width += len(parts)
        else:
            readers[name] = reader(column)
            width += 1
    most = max(1, CHUNK_VALUES // width)
    for first in range(0, table.num_rows, most):
        end = min(first + most, table.num_rows)
        rows = _by_row({name: read(first, end) for name, read in readers.items()}, end - first)
        yield [{**row, **constants} for row in rows]


def _by_row(columns: Mapping[str, list[Any]], length: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(length)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _parts(struct: pa.StructArray, wanted: Collection[str] | None) -> dict[str, pa.Array]:
    kind = struct.type
    names = [kind.field(i).name for i in range(kind.num_fields)]
    # Of two of one name the last counts, as in JSON.
    parts = dict(zip(names, struct.flatten(), strict=True))
    return {name: part for name, part in parts.items() if wanted is None or name in wanted}


def _struct_reader(struct: pa.StructArray, parts: Mapping[str, pa.Array]) -> Reader:
    readers = {name: reader(part) for name, part in parts.items()}

    def read(first: int, end: int) -> list[Any]:
        columns = {name: read_part(first, end) for name, read_part in readers.items()}
        found: list[Any] = _by_row(columns, end - first)
        if struct.null_count:
            for row in np.flatnonzero(~_is_valid(struct.slice(first, end - first))).tolist():
                found[row] = None
        return found

    return read


def reader(array: pa.Array) -> Reader:
    """Return a function to the values from one row to before another, as JSON would have them.

    A value of a type that JSON doesn't have is ``()``.

    >>> reader(pa.array([1, None]))(0, 2), reader(pa.array([b"x", None]))(0, 2)
    ([1, None], [(), None])
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return reader(array.storage)
    if pa.types.is_dictionary(kind):
        return _dictionary_reader(array)
    if pa.types.is_run_end_encoded(kind):
        return _runs_reader(array)
    if pa.types.is_float16(kind):
        array = array.cast(pa.float64())
    if _is_plain(array.type):
        return lambda first, end: cast("list[Any]", array.slice(first, end - first).to_pylist())

    def read(first: int, end: int) -> list[Any]:
        valid = _is_valid(array.slice(first, end - first)).tolist()
        return [_INVALID if is_valid else None for is_valid in valid]

    return read


def _dictionary_reader(array: pa.DictionaryArray) -> Reader:
    # Rows share the objects: a value can be a million times as long as its index.
    values = [*reader(array.dictionary)(0, len(array.dictionary)), None]
    indices = array.indices.cast(pa.int64(), safe=False).fill_null(len(values) - 1)
    return lambda first, end: [values[i] for i in indices.slice(first, end - first).to_pylist()]


def _runs_reader(array: pa.RunEndEncodedArray) -> Reader:
    values = reader(array.values)(0, len(array.values))
    ends = array.run_ends.to_numpy()

    def read(first: int, end: int) -> list[Any]:
        rows = np.arange(array.offset + first, array.offset + end)
        return [values[i] for i in ends.searchsorted(rows, side="right").tolist()]

    return read


def shared_bytes(array: pa.Array) -> int:
    """Return the bytes of text and bytes that views in an array stand for.

    Nothing but the lengths is read, so the array need not have been validated.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return shared_bytes(array.storage)
    if kind in (pa.string_view(), pa.binary_view()):
        views = array.buffers()[1]
        size = 0 if views is None else views.size // 16 * 4
        # Each view is four integers, the first of them a length.
        lengths = np.frombuffer(views, "<i4", size) if size else np.zeros(0, "<i4")
        return int(np.abs(lengths[::4].astype(np.int64)).sum())
    if pa.types.is_dictionary(kind):
        return shared_bytes(array.dictionary)
    if pa.types.is_struct(kind) or pa.types.is_union(kind):
        return sum(shared_bytes(array.field(i)) for i in range(kind.num_fields))
    if pa.types.is_run_end_encoded(kind) or pa.types.is_nested(kind):
        return shared_bytes(array.values)
    return 0


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_null(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def _is_valid(array: pa.Array) -> Any:
    return array.is_valid().to_numpy(zero_copy_only=False)
