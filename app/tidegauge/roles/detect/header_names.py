"""Lets aiokafka read records with header names that are not UTF-8, which Kafka allows anybody.

aiokafka decodes the name of each header as it unpacks a batch (``_read_msg`` in
``default_records.pyx``) and raises ``UnicodeDecodeError`` out of its fetcher, at the same record
for ever. Here such a batch is unpacked by its own Python implementation, with names in which what
is no text is replaced.
"""

from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher
import aiokafka.record.memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _Lenient(bytearray):
    """Bytes whose slices are decoded whatever they hold."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_DefaultRecordBatchPy):
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Lenient):
            self._buffer = _Lenient(self._buffer)


class TolerantBatch:
    """A batch of records; unpacked by the fast implementation as far as that goes."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self._batch = DefaultRecordBatch(buffer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            for record in self._batch:
                yield record
                done += 1
        except UnicodeDecodeError:
            for number, record in enumerate(_LenientBatch(self._buffer)):
                if number >= done:
                    yield record


def install() -> None:
    """Have every consumer of this process read so."""
    vars(aiokafka.record.memory_records)["DefaultRecordBatch"] = TolerantBatch
    vars(aiokafka.consumer.fetcher)["MemoryRecords"] = _MemoryRecordsPy
