"""Ids and classes of the rows of a column batch, where labels are awaited."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tidegauge.counting.awaited import (
    NO_ID,
    UNUSABLE_ID,
    AwaitedColumns,
    ClassValue,
    Hashes,
    id_hash,
)
from tidegauge.counting.decode import native
from tidegauge.counting.decode.arrow import Batch, UnusualError
from tidegauge.stats import Places


def awaited_of(batch: Batch, numbers: Sequence[int], lengths: Sequence[int]) -> AwaitedColumns:
    """Return ids and classes of a batch, of which so many rows each came in these messages.

    Raises :class:`UnusualError` for labels of a type that needs care.
    """
    classes, texts = _classes(batch.column("label"), batch.length)
    id = batch.column("id")
    ids = np.full(batch.length, NO_ID, np.uint64) if id is None else _ids(id)
    return AwaitedColumns(ids, classes, texts, np.repeat(np.array(numbers, np.uint64), lengths))


def _classes(column: pa.Array | None, length: int) -> tuple[Places, list[ClassValue]]:
    """Return the class of each row as a place among texts, -1 without one, and the texts."""
    if column is None or pa.types.is_null(column.type):
        return np.full(length, -1, np.intp), []
    kind = column.type
    encoded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
    kind = encoded.type.value_type
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or _is_text(kind)):
        raise UnusualError(f"label is {column.type}")
    texts = encoded.dictionary.to_pylist()
    places = [-1 if text is None else place for place, text in enumerate(texts)]
    indices = encoded.indices.cast(pa.int64()).fill_null(len(texts))
    return np.array([*places, -1], np.intp)[indices.to_numpy(zero_copy_only=False)], texts


def _ids(column: pa.Array) -> Hashes:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return np.full(len(column), NO_ID, np.uint64)
    if not _is_text(kind):
        none = column.is_null().to_numpy(zero_copy_only=False)
        return np.where(none, np.uint64(NO_ID), np.uint64(UNUSABLE_ID))
    texts = column.cast(pa.large_string())
    # A null is like a text without characters: no id.
    texts = texts.fill_null("") if texts.null_count else texts
    if native.MODULE is None:
        return np.fromiter(map(id_hash, texts.to_pylist()), np.uint64, len(texts))
    _, offsets, data = texts.buffers()
    begin, end = texts.offset, texts.offset + len(texts) + 1
    places = np.frombuffer(offsets, np.int64)[begin:end]
    characters = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    return np.frombuffer(native.MODULE.id_hashes(places, characters), np.uint64)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
