"""How much an Arrow stream takes once it is decoded, from its metadata alone. Pure.

A small stream can claim anything: a column of nulls or a compressed one takes no bytes for a row,
and one field of a schema can stand in it a million times. So rows, columns and decoded bytes are
bounded before pyarrow is given the stream.

https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from tidegauge.config import IngestSettings
from tidegauge.counting.decode.reference import RefusedError

_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3

#: What a column takes for a row once it is decoded to floats or bin numbers, whatever its type.
_CELL_BYTES = 8

#: What pyarrow takes for a field of a schema or an entry of its metadata, about.
_FIELD_BYTES = 256

#: Decoded schemas are kept, so they have a bound of their own: names and metadata of all fields.
MAX_SCHEMA_BYTES = 16 * 1024 * 1024

#: How streams were compressed before it was in the format: pyarrow still reads it, unasked.
_OLD_COMPRESSION = b"ARROW:experimental_compression"

#: Messages of a stream. Each is checked by itself, and a stream of a sender has a few.
MAX_MESSAGES = 10_000

#: Numbers of types in Arrow's ``Schema.fbs``. Values of the last two are views of a buffer that any
#: number of rows can share.
_TIMESTAMP, _BINARY_VIEW, _TEXT_VIEW = 10, 23, 24


class Limits(NamedTuple):
    """What a stream may hold: rows, columns (those in structs and lists too), decoded bytes."""

    rows: int
    columns: int
    decoded_bytes: int

    @classmethod
    def of(cls, settings: IngestSettings) -> "Limits":
        """Return what the settings allow."""
        return cls(
            rows=settings.max_batch_rows,
            columns=settings.max_batch_columns,
            decoded_bytes=settings.max_batch_decoded_bytes,
        )


class Schema(NamedTuple):
    """How large the schema of a stream is: its columns, and whether some are of views."""

    columns: int
    has_views: bool


_INT = {
    size: {
        signed: struct.Struct(f"<{code if signed else code.upper()}") for signed in (True, False)
    }
    for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
}


class FlatbufferTable:
    """A table at a position of a flatbuffer, by the numbers of its fields: Arrow's metadata.

    It reads only what is needed to learn sizes before a body is read. Whatever lies outside the
    buffer raises ``ValueError``, so a corrupt buffer can't be read for ever or out of bounds.
    See https://flatbuffers.dev/internals/.
    """

    __slots__ = ("_at", "_data", "_vtable", "_width")

    def __init__(self, data: bytes | memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - read_int(data, at, 4)
        self._width = read_int(data, self._vtable, 2, signed=False)

    @classmethod
    def root(cls, data: bytes | memoryview, at: int = 0) -> "FlatbufferTable":
        """Return the table that a buffer begins with, at a position."""
        return cls(data, at + read_int(data, at, 4, signed=False))

    def _place(self, number: int) -> int:
        """Return where a field is; 0 if it isn't there."""
        entry = 4 + 2 * number
        if entry + 2 > self._width:
            return 0
        offset = read_int(self._data, self._vtable + entry, 2, signed=False)
        return self._at + offset if offset else 0

    def integer(self, number: int, size: int) -> int:
        """Return an integer of so many bytes; 0 if it isn't there."""
        place = self._place(number)
        return read_int(self._data, place, size) if place else 0

    def table(self, number: int) -> "FlatbufferTable | None":
        """Return a table that a field refers to."""
        place = self._place(number)
        return FlatbufferTable(self._data, self._follow(place)) if place else None

    def vector(self, number: int) -> tuple[int, int]:
        """Return where the items of a vector or string begin, and how many it has."""
        place = self._place(number)
        if not place:
            return 0, 0
        at = self._follow(place)
        return at + 4, read_int(self._data, at, 4, signed=False)

    def tables(self, number: int) -> Iterator["FlatbufferTable"]:
        """Yield the tables of a vector; the same one may be there any number of times."""
        first, length = self.vector(number)
        for at in range(first, first + 4 * length, 4):
            yield FlatbufferTable(self._data, self._follow(at))

    def _follow(self, place: int) -> int:
        return place + read_int(self._data, place, 4, signed=False)


def read_int(data: bytes | memoryview, at: int, size: int, *, signed: bool = True) -> int:
    """Return a little-endian integer; raises ``ValueError`` outside the buffer."""
    if not 0 <= at <= len(data) - size:
        raise ValueError(f"offset {at} is outside the metadata")
    value: int = _INT[size][signed].unpack_from(data, at)[0]
    return value


class _Message(NamedTuple):
    kind: int
    header: FlatbufferTable
    #: Where its body is.
    first: int
    end: int


def measure_schema(payload: bytes, limits: Limits) -> Schema:
    """Measure the schema that a stream begins with; raises :class:`RefusedError` above a limit."""
    try:
        message, _ = _message(payload, 0)
        if message is None or message.kind != _SCHEMA:
            raise ValueError("the stream doesn't begin with a schema")
        return _measure_schema(payload, message.header, limits)
    except ValueError as error:
        raise _invalid(error) from error


def check_batches(payload: bytes, start: int, limits: Limits) -> bytes:
    """Check what follows the schema; raises :class:`RefusedError` above a limit.

    Returns the metadata of what follows if that is one batch and nothing compressed: with the same
    metadata any other body is as large. Else returns nothing.
    """
    rows = decoded = 0
    alone = b""
    try:
        for number, message in enumerate(_messages(payload, start)):
            if number == MAX_MESSAGES:
                raise RefusedError("too_large", f"a stream of more than {MAX_MESSAGES} messages")
            batch = _batch_of(message)
            if message.kind == _BATCH:
                rows += batch.integer(0, 8)
                if rows > limits.rows:
                    raise RefusedError(
                        "too_large",
                        f"the batch claims {rows} rows, at most {limits.rows} are taken "
                        "(ingest.max_batch_rows); send it in parts",
                    )
            decoded += _decoded_bytes(payload, message, batch)
            if decoded > limits.decoded_bytes:
                raise too_many_bytes(decoded, limits.decoded_bytes)
            is_alone = number == 0 and message.kind == _BATCH and batch.table(3) is None
            alone = payload[start : message.first] if is_alone else b""
    except ValueError as error:
        raise _invalid(error) from error
    return alone


def _batch_of(message: _Message) -> FlatbufferTable:
    if message.kind not in (_BATCH, _DICTIONARY):
        raise ValueError(f"a message of kind {message.kind} among the batches")
    batch = message.header if message.kind == _BATCH else message.header.table(1)
    if batch is None:
        raise ValueError("a dictionary without values")
    if batch.integer(0, 8) < 0:
        raise ValueError("a batch of fewer than no rows")
    return batch


def too_many_bytes(found: int, limit: int) -> RefusedError:
    """Say that a batch is too large once it is decoded."""
    return RefusedError(
        "too_large",
        f"the batch takes {found} bytes once it is decoded, at most {limit} are taken "
        "(ingest.max_batch_decoded_bytes); send it in parts",
    )


def _invalid(error: ValueError) -> RefusedError:
    return RefusedError("invalid_arrow", f"the stream can't be read: {error}")


def _messages(payload: bytes, at: int) -> Iterator[_Message]:
    while True:
        message, at = _message(payload, at)
        if message is None:
            return
        yield message


def _message(payload: bytes, at: int) -> tuple[_Message | None, int]:
    """Return the message at a position, None at the stream's end, and where the next one is."""
    if at >= len(payload):
        return None, at
    length = read_int(payload, at, 4)
    at += 4
    if length == -1:  # the marker that streams of before Arrow 0.15 don't have
        length = read_int(payload, at, 4)
        at += 4
    if length == 0:
        return None, at
    body = at + length
    if length < 0 or body > len(payload):
        raise ValueError(f"a message of {length} bytes where {len(payload) - at} are left")
    if payload.find(_OLD_COMPRESSION, at, body) >= 0:
        raise ValueError("compressed as before Arrow 1.0")
    message = FlatbufferTable.root(payload, at)
    header = message.table(2)
    if header is None:
        raise ValueError("a message without a header")
    end = body + message.integer(3, 8)
    if not body <= end <= len(payload):
        raise ValueError(f"a body of {end - body} bytes where {len(payload) - body} are left")
    return _Message(message.integer(1, 1), header, body, end), end


def _decoded_bytes(payload: bytes, message: _Message, batch: FlatbufferTable) -> int:
    """Return what the columns of a batch take, and its buffers once they are decompressed."""
    nodes, columns = batch.vector(1)
    end = nodes + 16 * columns
    if end > len(payload):
        raise ValueError(f"{columns} columns, which the metadata has no room for")
    # Pairs of little-endian integers: how many rows a column has, how many of them are null.
    lengths = memoryview(payload)[nodes:end].cast("q")[::2]
    found = _CELL_BYTES * sum(lengths)
    if columns and min(lengths) < 0:
        raise ValueError("a column of fewer than no rows")
    if batch.table(3) is None:  # not compressed: the buffers are those of the message
        return found
    first, buffers = batch.vector(2)
    for at in range(first, first + 16 * buffers, 16):
        offset, length = read_int(payload, at, 8), read_int(payload, at + 8, 8)
        if length == 0:
            continue
        if offset < 0 or length < 8 or message.first + offset + length > message.end:
            raise ValueError("a buffer outside the body")
        size = read_int(payload, message.first + offset, 8)
        found += length if size == -1 else size
        if size < -1:
            raise ValueError(f"a buffer of {size} bytes")
    return found


def _measure_schema(payload: bytes, schema: FlatbufferTable, limits: Limits) -> Schema:
    columns, size, has_views = 0, _metadata_bytes(schema, 2), False
    waiting = [schema.tables(1)]
    while waiting:
        field = next(waiting[-1], None)
        if field is None:
            waiting.pop()
            continue
        columns += 1
        if columns > limits.columns:
            raise RefusedError(
                "too_large",
                f"the batch has more than {limits.columns} columns (ingest.max_batch_columns), "
                "those in structs included",
            )
        kind, details = field.integer(2, 1), field.table(3)
        has_views = has_views or kind in (_BINARY_VIEW, _TEXT_VIEW)
        first, length = field.vector(0)
        if first + length > len(payload):
            raise ValueError("a name outside the metadata")
        payload[first : first + length].decode()
        size += _FIELD_BYTES + length + _metadata_bytes(field, 6)
        if kind == _TIMESTAMP and details is not None:
            size += details.vector(1)[1]  # its time zone
        if size > MAX_SCHEMA_BYTES:
            raise _schema_too_large()
        waiting.append(field.tables(5))
    if size > MAX_SCHEMA_BYTES:
        raise _schema_too_large()
    return Schema(columns, has_views)


def _schema_too_large() -> RefusedError:
    return RefusedError(
        "too_large",
        f"names and metadata of the schema take more than {MAX_SCHEMA_BYTES} bytes",
    )


def _metadata_bytes(table: FlatbufferTable, number: int) -> int:
    size = 0
    for entry in table.tables(number):
        size += _FIELD_BYTES + entry.vector(0)[1] + entry.vector(1)[1]
        if size > MAX_SCHEMA_BYTES:
            break
    return size
