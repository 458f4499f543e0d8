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

from tidegauge.config import Settings
from tidegauge.contract import DecodingError, SourceRange, decode
from tidegauge.counting import Counted
from tidegauge.kafka import Admin, Consumer, messages_in, reader
from tidegauge.windows import read_record

log = logging.getLogger(__name__)

#: Of a partition that is owned, or was just before, there are records among those that others wrote
#: in this time: it is far longer than it takes until another worker owns it.
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
    tenure: str = ""
    topic_id: str = ""


class HistogramTail:
    """Reads the youngest records of a source; raises ``KafkaException`` if no answer comes."""

    def __init__(self, settings: Settings, admin: Admin, topic: str, source: str) -> None:
        self._settings = settings
        self._admin = admin
        self._topic = topic
        self._source = source

    def counted(self, partitions: set[int], topic_id: str) -> dict[int, Counted]:
        """Return what is known of those source partitions that the log speaks of.

        ``topic_id`` is that of the source now; what was counted of another topic of its name is
        told only where nothing is known of this one.
        """
        # Transactions of others may be open: what was committed before now is there once they end.
        end = self._admin.end(self._topic, 0, _TIMEOUT_SECONDS)
        low = self._admin.begin(self._topic, 0, _TIMEOUT_SECONDS)
        found: dict[int, Counted] = {}
        before: dict[int, Counted] = {}
        # By tenure: each has one clock, and those of workers may differ.
        youngest: dict[str, float] = {}
        block, stop = _BLOCK, end
        over = time.monotonic() + _MOST_SECONDS
        with closing(reader(self._settings.kafka, fetch_wait_max_ms=50)) as consumer:
            while stop > low and partitions - found.keys():
                begin = max(stop - block, low)
                # Others may have written for long since a worker of this source did.
                records = list(self._records(consumer, begin, stop, partitions - found.keys()))
                for record in reversed(records):
                    is_same = record.topic_id in ("", topic_id)
                    self._take(record, partitions, found if is_same else before)
                    youngest.setdefault(record.tenure, record.time)
                if any(it.time < youngest[it.tenure] - TAIL_SECONDS for it in records):
                    break
                if time.monotonic() > over:
                    log.warning(
                        "%s tells nothing of %s from offset %d on; nothing older is looked for",
                        self._topic, self._source, begin,
                    )  # fmt: skip
                    break
                stop, block = begin, 4 * block
        return before | found

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

    def _records(
        self, consumer: Consumer, begin: int, stop: int, wanted: set[int]
    ) -> Iterator[_TailRecord]:
        """Yield the records of [begin, stop) of the source, without any that DETECT refuses."""
        latest, settings = time.time() + _AHEAD_SECONDS, self._settings
        for value in self._read(consumer, begin, stop):
            with suppress(DecodingError):  # DETECT skips it too, and reports it
                record = decode(value, _TailRecord)
                if record.source != self._source or record.time > latest:
                    continue
                if wanted & record.ranges.keys():
                    read_record(
                        value,
                        source=settings.topics.predictions,
                        outcomes=settings.topics.outcomes,
                        max_ahead_seconds=settings.ingest.max_ahead_seconds,
                    )
                yield record

    def _read(self, consumer: Consumer, begin: int, end: int) -> Iterator[bytes | None]:
        """Yield the records of [begin, end), as soon as no open transaction holds them back."""
        for message in messages_in(
            consumer, self._topic, {0: (begin, end)}, wait=True, timeout_seconds=_TIMEOUT_SECONDS
        ):
            yield message.value()
