"""Reading Arrow IPC streams into batches, within limits. How streams begin is remembered."""

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from tidegauge.contract import ARROW_MAGIC, LabelReason, Reason
from tidegauge.counting.decode.arrow import Batch
from tidegauge.counting.decode.arrow_rows import shared_bytes
from tidegauge.counting.decode.arrow_size import (
    Limits,
    check_batches,
    measure_schema,
    too_many_bytes,
)
from tidegauge.counting.decode.reference import NAME_CHARACTERS, RefusedError

#: Bytes of beginnings of streams that are remembered; a sender has one of some kB for each version
#: of a model.
HEAD_BYTES = 16 * 1024 * 1024

#: The longest one that is remembered before a stream was read with it.
UNREAD_HEAD_BYTES = 64 * 1024

#: What may follow the last batch of a stream.
_ENDS = (b"", ARROW_MAGIC + bytes(4))


class _SchemaError(RefusedError):
    """No stream of this schema can be counted."""


class _KnownStream(NamedTuple):
    """What is remembered of how a stream begins."""

    #: Bytes of text that rows may share; None if they can't.
    most_shared: int | None
    #: None until a stream that begins so was read.
    schema: pa.Schema | None = None
    identity: tuple[str, str, str] | None = None
    #: Why no stream that begins so can be counted.
    refused: tuple[Reason | LabelReason, str] | None = None


class Streams:
    """Reads Arrow IPC streams. How they begin is remembered: a sender's all begin alike.

    Nothing of a stream is decoded before it is known that it stays within the ``limits``.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[bytes, _KnownStream] = {}
        #: Metadata of batches that are within the limits, whatever is in them.
        self._small: set[bytes] = set()
        self._bytes = 0

    def read(self, payload: bytes) -> Batch:
        """Decode a stream.

        Raises :class:`RefusedError` if it isn't one or is too large; what is corrupt in other ways
        can raise anything.
        """
        head = _head(payload)
        known = self._known.get(head)
        if known is None:
            has_views = measure_schema(payload, self._limits).has_views
            known = _KnownStream(self._limits.decoded_bytes if has_views else None)
            self._remember_unread(head, known)  # what is refused comes again, too
        elif known.refused is not None:
            raise RefusedError(*known.refused)
        elif known.schema is not None and _metadata(payload, len(head)) in self._small:
            found = _only_batch(payload, len(head), known.schema, known.most_shared)
            if found is not None:
                return Batch([found], known.schema, found.num_rows, known.identity, head)
        small = check_batches(payload, len(head), self._limits)
        if known.schema is not None:
            found = _only_batch(payload, len(head), known.schema, known.most_shared)
            if found is not None:
                self._remember_small(small)
                return Batch([found], known.schema, found.num_rows, known.identity, head)
        try:
            batch = _read(payload, head, known.most_shared)
        except _SchemaError as error:
            self._remember_unread(head, known._replace(refused=(error.reason, error.detail)))
            raise
        known = known._replace(schema=batch.schema, identity=batch.identity)
        self._remember(head, known)
        return batch

    def _remember(self, head: bytes, known: _KnownStream) -> None:
        if head not in self._known:
            self._make_room(len(head))
        self._known[head] = known

    def _remember_unread(self, head: bytes, known: _KnownStream) -> None:
        if len(head) <= UNREAD_HEAD_BYTES:
            self._remember(head, known)

    def _remember_small(self, metadata: bytes) -> None:
        if metadata:
            self._make_room(len(metadata))
            self._small.add(metadata)

    def _make_room(self, size: int) -> None:
        self._bytes += size
        if self._bytes > HEAD_BYTES:
            self._known.clear()
            self._small.clear()
            self._bytes = size


def _metadata(payload: bytes, start: int) -> bytes:
    """Return the metadata of the message at a place, with what comes before it."""
    length = int.from_bytes(payload[start + 4 : start + 8], "little")
    return payload[start : start + 8 + length]


def _head(payload: bytes) -> bytes:
    """Return the message with the schema, which a stream begins with."""
    return _metadata(payload, 0)


def _only_batch(
    payload: bytes, start: int, schema: pa.Schema, most_shared: int | None
) -> pa.RecordBatch | None:
    """Return what follows the schema if that is one sound batch and nothing else."""
    try:
        rest = pa.BufferReader(pa.py_buffer(payload).slice(start))
        message = pa.ipc.read_message(rest)
        # Dictionaries would come first, each in a message of its own.
        if message.type != "record batch" or rest.read() not in _ENDS:
            return None
        batch = pa.ipc.read_record_batch(message, schema)
        if most_shared is not None:
            _check_shared(batch.columns, most_shared)
        batch.validate(full=True)
    except (pa.ArrowException, OSError, EOFError):
        return None
    return batch


def _check_shared(columns: Iterable[pa.Array], most: int) -> None:
    """Refuse text that many rows share before each row's is validated."""
    found = sum(map(shared_bytes, columns))
    if found > most:
        raise too_many_bytes(found, most)


def _read(payload: bytes, head: bytes, most_shared: int | None) -> Batch:
    try:
        with pa.ipc.open_stream(payload) as reader:
            identity = _identity(reader.schema)
            table = reader.read_all()
        if most_shared is not None:
            _check_shared((part for it in table.columns for part in it.chunks), most_shared)
        # Offsets inside a corrupt buffer would otherwise be followed later, out of bounds.
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedError("invalid_arrow", str(error)) from error
    return Batch(table.to_batches(), table.schema, table.num_rows, identity, head)


def _identity(schema: pa.Schema) -> tuple[str, str, str] | None:
    """Return the model, version and variant that a schema names; None if each row names its own."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    model, version, variant = named = [
        metadata.get(key, b"").decode() for key in (b"model", b"version", b"variant")
    ]
    if len(set(schema.names)) != len(schema.names):
        raise _SchemaError("invalid_arrow", "two columns have the same name")
    if max(map(len, named)) > NAME_CHARACTERS:
        raise _SchemaError("invalid_arrow", f"a name of over {NAME_CHARACTERS} characters")
    if model and version:
        return model, version, variant
    missing = {"model", "version"} - set(schema.names)
    if missing:
        raise _SchemaError(
            "invalid_arrow",
            f"{' and '.join(sorted(missing))} neither in the schema's metadata nor a column",
        )
    return None
