"""The end of the log of histograms, which shows how far the partitions of a source were counted.

Histograms and offsets are committed together, so the log of histograms shows what was counted,
whatever became of the group's offsets. Every flush writes to every partition of the log
and names all source partitions of its worker: the latest records of one partition name them all.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import msgspec

from tidegauge.config import KafkaSettings
from tidegauge.contract import DecodingError, SourceRange, decode
from tidegauge.counting import Counted
from tidegauge.kafka import Admin, Consumer, messages_in, reader

log = logging.getLogger(__name__)

#: Of a partition that was owned, there are records no older than this before the youngest: far
#: longer than it takes until another worker owns it.
TAIL_SECONDS = 120.0

#: Clocks of workers differ by less: a record with a later time was not written by a worker.
_AHEAD_SECONDS = 24 * 3600.0

#: A log that tells nothing of a source is given up after so long. One that was written by others
#: alone for hours is read faster than that; nothing is known then of a worker that was away longer.
_MOST_SECONDS = 15.0

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
    """Reads the youngest records of a source; raises ``KafkaException`` if no answer comes."""

    def __init__(self, kafka: KafkaSettings, admin: Admin, topic: str, source: str) -> None:
        self._kafka = kafka
        self._admin = admin
        self._topic = topic
        self._source = source

    def counted(self, partitions: set[int]) -> dict[int, Counted]:
        """Return what is known of those source partitions that the log speaks of."""
        # Transactions of others may be open: what was committed before now is there once they end.
        end = self._admin.end(self._topic, 0, _TIMEOUT_SECONDS)
        low = self._admin.begin(self._topic, 0, _TIMEOUT_SECONDS)
        found: dict[int, Counted] = {}
        youngest: float | None = None
        block, stop = _BLOCK, end
        latest = time.time() + _AHEAD_SECONDS
        over = time.monotonic() + _MOST_SECONDS
        with closing(reader(self._kafka, fetch_wait_max_ms=50)) as consumer:
            while stop > low and partitions - found.keys():
                begin = max(stop - block, low)
                read = self._read(consumer, begin, stop)
                # Others may have written for long since a worker of this source did.
                records = [r for r in read if r.source == self._source and r.time <= latest]
                for record in reversed(records):
                    self._take(record, partitions, found)
                times = [record.time for record in records]
                youngest = max([*times, youngest or 0.0]) if times else youngest
                if times and youngest is not None and min(times) < youngest - TAIL_SECONDS:
                    break
                if time.monotonic() > over:
                    log.warning(
                        "%s tells nothing of %s from offset %d on; nothing older is looked for",
                        self._topic, self._source, begin,
                    )  # fmt: skip
                    break
                stop, block = begin, 4 * block
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
        for message in messages_in(
            consumer, self._topic, {0: (begin, end)}, wait=True, timeout_seconds=_TIMEOUT_SECONDS
        ):
            with suppress(DecodingError):  # DETECT skips it too, and reports it
                yield decode(message.value(), _TailRecord)
