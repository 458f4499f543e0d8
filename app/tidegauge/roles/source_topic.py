"""The source topic as a session sees it that counts: which topic it is, and where it begins.

INGEST reads predictions and labels so, OUTCOMES what INGEST hands on.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from tidegauge.config import Settings
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
)
from tidegauge.roles.histogram_tail import HistogramTail

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
            self._tail = HistogramTail(settings, self._admin, counted_in, topic)
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
        names = {at.partition for at in partitions}
        logged = self._tail.counted(names, self.topic_id) if self._tail else {}
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
