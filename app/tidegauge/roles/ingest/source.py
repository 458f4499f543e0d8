"""The source topic as a session of INGEST sees it: which topic it is, and where counting begins.

Histograms and offsets are committed together, so the log of histograms shows what was counted,
whatever became of the group's offsets. Every flush writes to every partition of the log
and names all source partitions of its worker: the latest records of one partition name them all.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import msgspec

from tidegauge.config import KafkaSettings, Settings
from tidegauge.contract import DecodingError, SourceRange, decode
from tidegauge.counting import (
    DOUBTFUL,
    Beginning,
    Counted,
    begin_at,
    from_metadata,
    known_end,
    last_known,
)
from tidegauge.kafka import (
    Admin,
    Consumer,
    KafkaError,
    KafkaException,
    SessionError,
    TopicPartition,
    messages_in,
    reader,
)

log = logging.getLogger(__name__)

#: What assigning waits for.
_BROKER_SECONDS = 10.0

#: What a flush waits for; it is tried again.
_CHECK_SECONDS = 2.0

#: How often an idle worker asks the brokers, so that it sees partitions that were added.
IDLE_CHECK_SECONDS = 5.0

#: A broker that has just come up, or does not know a new topic yet, gets this long.
DOUBT_SECONDS = 1.0


class SourceTopic:
    """Asks the brokers about the source topic."""

    def __init__(
        self,
        settings: Settings,
        topic: str,
        consumer: Consumer,
        *,
        counted_in: str | None,
        monotonic: Callable[[], float],
    ) -> None:
        """``counted_in`` is the log that shows what was counted of the topic, if any does."""
        self._topic = topic
        self._consumer = consumer
        self._monotonic = monotonic
        self._admin = Admin(settings.kafka)
        self._tail: HistogramTail | None = None
        if counted_in is not None:
            self._tail = HistogramTail(settings.kafka, self._admin, counted_in, topic)
        #: Kafka's id of the topic, or "" if the brokers have none.
        self.topic_id = ""
        self.partitions = 0
        #: Where partitions that were assigned end at least.
        self.ends: dict[int, int] = {}
        self._asked_at: float | None = None

    def begin(self) -> None:
        """Learn which topic this session counts; raises as :meth:`check` does."""
        cluster = self._consumer.list_topics(self._topic, timeout=_BROKER_SECONDS)
        # The mock cluster of librdkafka has no controller and no topic ids.
        knows_ids = cluster.controller_id in cluster.brokers
        self.partitions = self._count_partitions(cluster, self._topic)
        self._asked_at = self._monotonic()
        self.topic_id = self._ask(_BROKER_SECONDS)[0] if knows_ids else ""

    def partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has; raises ``SessionError`` if it isn't there."""
        found = self._consumer.list_topics(topic, timeout=_BROKER_SECONDS)
        return self._count_partitions(found, topic)

    @staticmethod
    def _count_partitions(cluster: Any, topic: str) -> int:
        found = cluster.topics[topic]
        if found.error is not None or not found.partitions:
            raise _missing(topic, found.error)
        return len(found.partitions)

    def check(self, *, moved: bool) -> None:
        """See that what was read since the last check was read from this topic.

        An id never comes back, so the topic that has it now had it all the time. Without new
        records it asks now and then only. Raises ``SessionError`` if it is another topic now, or
        none, and ``KafkaException`` if the brokers don't answer.
        """
        if self._asked_at is None:
            return
        now = self._monotonic()
        if not (moved and self.topic_id) and now - self._asked_at < IDLE_CHECK_SECONDS:
            return
        self._asked_at = now
        if self.topic_id:
            self._compare(_CHECK_SECONDS)
        else:
            found = self._consumer.list_topics(self._topic, timeout=_CHECK_SECONDS)
            self.partitions = max(self.partitions, len(found.topics[self._topic].partitions))

    def beginnings(self, partitions: Sequence[TopicPartition]) -> dict[int, Beginning]:
        """Return where to begin with partitions that are being assigned; raises as :meth:`check`.

        ``partitions`` are as the group committed them.
        """
        if self.topic_id:
            self._compare(_BROKER_SECONDS)
        # The log is asked even where the group has an offset: see :func:`last_known`.
        logged = self._tail.counted({at.partition for at in partitions}) if self._tail else {}
        known: dict[int, Counted] = {}
        for at in partitions:
            its = from_metadata(at.metadata, at.offset) if at.offset >= 0 else None
            last = last_known(its, logged.get(at.partition), self.topic_id)
            if last is not None:
                known[at.partition] = last
        found = self._beginnings(partitions, known)
        if any(one.happened in DOUBTFUL for one in found.values()):
            time.sleep(DOUBT_SECONDS)
            self._compare(_BROKER_SECONDS)
            if self._beginnings(partitions, known) != found:
                raise SessionError(f"{self._topic} is changing: {found}")
        return found

    def _beginnings(
        self, partitions: Sequence[TopicPartition], known: dict[int, Counted]
    ) -> dict[int, Beginning]:
        found = {}
        for at in partitions:
            counted = known.get(at.partition)
            if counted is not None and counted.topic_id and not self.topic_id:
                raise SessionError(f"the brokers don't tell the id of {self._topic} now")
            low, high = self._consumer.get_watermark_offsets(at, timeout=_BROKER_SECONDS)
            if max(at.offset, counted.to if counted else 0) > high:
                # With what is in open transactions.
                high = self._admin.end(at.topic, at.partition, _BROKER_SECONDS)
            its = found[at.partition] = begin_at(
                counted,
                committed=at.offset if at.offset >= 0 else None,
                topic_id=self.topic_id,
                low=low,
                high=high,
            )
            self.ends[at.partition] = known_end(counted, its, high)
        return found

    def _compare(self, seconds: float) -> None:
        topic_id, self.partitions = self._ask(seconds)
        if topic_id != self.topic_id:
            raise SessionError(f"{self._topic} was deleted and made again")

    def _ask(self, seconds: float) -> tuple[str, int]:
        try:
            # Of several brokers the rest are there, and a new client learns of them.
            return self._admin.describe(self._topic, seconds, twice=True)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise _missing(self._topic, error.args[0]) from error
            raise


def _missing(topic: str, error: object) -> SessionError:
    return SessionError(
        f"topic {topic} is not there ({error}); make it with: tidegauge topics create"
    )


#: Of a partition that was owned, there are records no older than this before the youngest: far
#: longer than it takes until another worker owns it.
TAIL_SECONDS = 120.0

#: Clocks of workers differ by less: a record with a later time was not written by a worker.
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
        with closing(reader(self._kafka, fetch_wait_max_ms=50)) as consumer:
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
