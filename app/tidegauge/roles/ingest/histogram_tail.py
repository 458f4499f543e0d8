"""How far each source partition was counted, as the end of the log of histograms says it.

Histograms and offsets are committed together, so the log knows what was counted where the group's
offsets are gone, or were set by somebody. Every flush reaches every partition of the log and names
all that its worker owns: the youngest records of any one partition name them all.
"""

import logging
import time
from collections.abc import Iterator

import msgspec

from tidegauge.config import KafkaSettings
from tidegauge.contract import DecodingError, SourceRange, decode
from tidegauge.counting import Counted
from tidegauge.kafka import (
    Admin,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
    is_at_end,
    reader,
)

log = logging.getLogger(__name__)

#: Of a partition that was owned, there are records no older than this before the youngest: far
#: longer than it takes until another worker owns it.
TAIL_SECONDS = 120.0

#: Clocks of workers may differ, but by less: what is said to be later was written by no worker.
_AHEAD_SECONDS = 24 * 3600.0

#: Records read at first; four times as many then, for as long as it takes.
_BLOCK = 250

#: A transaction that a dead worker has left open is ended by the brokers before.
_TIMEOUT_SECONDS = 15.0


class _TailRecord(msgspec.Struct):
    """What is wanted of a histogram record."""

    time: float
    source: str
    ranges: dict[int, SourceRange]
    topic_id: str = ""


class HistogramTail:
    """Reads the youngest records of the log; raises ``KafkaException`` if no answer comes."""

    def __init__(self, kafka: KafkaSettings, admin: Admin, topic: str, source: str) -> None:
        self._kafka = kafka
        self._admin = admin
        self._at = TopicPartition(topic, 0)
        self._source = source

    def counted(self, partitions: set[int]) -> dict[int, Counted]:
        """Return what is known of those source partitions that the log speaks of."""
        # Transactions of others may be open: what was committed before now is there once they end.
        end = self._admin.end(self._at.topic, 0, _TIMEOUT_SECONDS)
        low = self._admin.begin(self._at.topic, 0, _TIMEOUT_SECONDS)
        found: dict[int, Counted] = {}
        youngest: float | None = None
        block, stop = _BLOCK, end
        latest = time.time() + _AHEAD_SECONDS
        consumer = reader(self._kafka, fetch_wait_max_ms=50)
        try:
            while stop > low and partitions - found.keys():
                begin = max(stop - block, low)
                records = [r for r in self._read(consumer, begin, stop) if r.time <= latest]
                for record in reversed(records):
                    if record.source == self._source:
                        self._take(record, partitions, found)
                times = [record.time for record in records]
                youngest = max([*times, youngest or 0.0]) if times else youngest
                if times and youngest is not None and min(times) < youngest - TAIL_SECONDS:
                    break
                stop, block = begin, 4 * block
        finally:
            consumer.close()
        return found

    @staticmethod
    def _take(record: _TailRecord, partitions: set[int], found: dict[int, Counted]) -> None:
        for partition, at in record.ranges.items():
            counted = Counted(
                origin=at.origin,
                to=at.to,
                topic_id=record.topic_id,
                series=at.series,
                end=at.end,
            )
            if counted.is_sound and partition in partitions and partition not in found:
                found[partition] = counted

    def _read(self, consumer: Consumer, begin: int, end: int) -> Iterator[_TailRecord]:
        """Yield the records of [begin, end), as soon as no open transaction holds them back."""
        consumer.assign([TopicPartition(self._at.topic, 0, begin)])
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while True:
            messages = consumer.consume(_BLOCK, 0.05)
            if not messages and time.monotonic() > deadline:
                raise KafkaException(
                    KafkaError(KafkaError._TIMED_OUT, f"{self._at.topic} can't be read to {end}")
                )
            for message in messages:
                ended, at = is_at_end(message), message.offset()
                # At the end of what may be read stands the next record, or what is still open.
                if at is not None and at >= end:
                    return
                if not ended:
                    try:
                        yield decode(message.value(), _TailRecord)
                    except DecodingError:  # what DETECT skips, and says so
                        continue
                    if at == end - 1:
                        return
