"""A partition some batches of which can't be read, and a client that reads it as Kafka's does."""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError

from support.counting import FakeMessage
from support.ingest_sessions import END, event_at


@dataclass(frozen=True)
class LaidOutBatch:
    """Offsets ``first`` to ``last``; of those, records are at ``records``, elsewhere are holes."""

    first: int
    last: int
    records: tuple[int, ...]
    readable: bool


def lay_out(batches: Sequence[tuple[int, bool]], gap: int = 0) -> list[LaidOutBatch]:
    """Lay out batches, each of so many records, with holes of ``gap`` offsets between them."""
    found, at = [], 0
    for size, readable in batches:
        found.append(LaidOutBatch(at, at + size - 1, tuple(range(at, at + size)), readable))
        at += size + gap
    return found


class PartitionLog:
    """Partition ``number``, read from ``position`` on.

    ``names_batches``: whether an error has the first offset of its batch, as Kafka's client says
    it.
    """

    def __init__(
        self, batches: Sequence[LaidOutBatch], number: int = 0, *, names_batches: bool = True
    ) -> None:
        self.batches = batches
        self.number = number
        self.names_batches = names_batches
        self.end = batches[-1].last + 1 if batches else 0
        self.position = 0

    @property
    def readable(self) -> list[int]:
        return [offset for it in self.batches if it.readable for offset in it.records]

    def read(self, most: int) -> list[FakeMessage]:
        """Return what comes next: at most so many records, an error, or the end."""
        found: list[FakeMessage] = []
        for batch in self.batches:
            if batch.last < self.position:
                continue
            if not batch.readable:
                return [*found, self.error(batch)]
            for offset in batch.records:
                if offset >= self.position:
                    found.append(event_at(self.number, offset))
                    if len(found) == most:
                        self.position = offset + 1
                        return found
            self.position = batch.last + 1
        return [*found, FakeMessage(b"end", self.number, self.position, problem=END)]

    def error(self, batch: LaidOutBatch) -> FakeMessage:
        """Return the error that the client gives for each offset of a batch."""
        said = f"Decompression (codec 0x4) of message at {batch.first} of 9 bytes failed"
        problem = KafkaError(KafkaError._BAD_COMPRESSION, said)
        named = batch.first if self.names_batches else None
        return FakeMessage(said.encode(), self.number, named, problem=problem)  # type: ignore[arg-type]
