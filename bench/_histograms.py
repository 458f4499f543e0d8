"""What tidegauge's ingest has committed: how far it is, and what it counted."""

import msgspec
from confluent_kafka import Consumer, TopicPartition

from _fill import Filled
from _job import Counts, Signal
from _tally import Mark, WrongCountsError
from _workload import slice_name
from tidegauge.contract import Cell, HistogramRecord, SignalHistogram

_decode = msgspec.json.Decoder(HistogramRecord).decode


class Histograms:
    """Reads committed histogram records; each is a mark, and the last of each cell its counts."""

    def __init__(self, servers: str, topic: str, filled: Filled) -> None:
        self._filled = filled
        self._to: dict[int, int] = {}
        self._cells: dict[tuple[str, str, int], tuple[int, Cell]] = {}
        self.marks: list[Mark] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": topic,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, p, 0) for p in partitions])

    def read(self, seconds: float) -> None:
        """Take what comes in this time."""
        for message in self._consumer.consume(1000, seconds):
            if message.error() is not None:
                raise RuntimeError(f"histograms: {message.error()}")
            self._take(_decode(message.value()))

    def _take(self, record: HistogramRecord) -> None:
        for cell in record.cells:
            name = slice_name(cell.model, cell.segment)
            key = (record.tenure, name, cell.window_start)
            before = self._cells.get(key)
            if before is None or before[0] < record.seq:
                self._cells[key] = record.seq, cell
        for partition, of in record.ranges.items():
            self._to[partition] = max(of.to, self._to.get(partition, 0))
        events = self._events()
        if not self.marks or self.marks[-1].events < events:
            self.marks.append(Mark(events, record.time))

    def _events(self) -> int:
        """Events of the stream that are counted; closing events are none."""
        filled, partitions = self._filled, self._filled.workload.partitions
        done = 0
        for partition, to in self._to.items():
            there_are = (filled.data_records - partition + partitions - 1) // partitions
            done += min(to, there_are)
        return done * (filled.workload.batch_rows or 1)

    @property
    def complete(self) -> bool:
        """Whether every record of the topic is counted."""
        return sum(self._to.values()) >= self._filled.records

    def counts(self) -> Counts:
        """Add up the tenures; raises ``WrongCountsError`` for what no event of a stream has."""
        sums: dict[tuple[str, int], list[int]] = {}
        for (_, name, start), (_, cell) in self._cells.items():
            found = [
                count
                for signal in self._filled.workload.signals
                for count in _counts(signal, cell.signals[signal.name])
            ]
            before = sums.get((name, start), [0] * len(found))
            sums[name, start] = [a + b for a, b in zip(before, found, strict=True)]
        return sums

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def _counts(signal: Signal, found: SignalHistogram) -> list[int]:
    counts = list(found.counts)
    unseen = counts.pop() if signal.edges is None else 0
    if unseen or found.nan or found.invalid:
        raise WrongCountsError(
            f"tidegauge: {signal.name} has {unseen} unseen values, {found.nan} not finite and "
            f"{found.invalid} invalid, expected none"
        )
    return [*counts, found.absent, found.null]
