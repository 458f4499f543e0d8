"""The two ends of a session: it counts what it reads, and writes what it has counted.

Histograms, records of outcomes, dead letters and the offsets of what was read are written in one
transaction.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from tidegauge.contract import DeadLetter, encode
from tidegauge.counting import (
    Beginning,
    Counted,
    Position,
    Tenure,
    last_of,
    partitions_of,
)
from tidegauge.kafka import (
    Consumer,
    KafkaError,
    Message,
    ReadFrom,
    SessionError,
    TopicPartition,
    UnreadableBatches,
    commit,
    is_end,
    stopping,
)
from tidegauge.roles import DOUBT_SECONDS, SourceTopic
from tidegauge.roles.ingest.conditions import LagWatch
from tidegauge.roles.ingest.recovery import FallbackLevel, to_send
from tidegauge.roles.ingest.state import SourceState

log = logging.getLogger(__name__)

#: A call to the brokers that takes longer than this is given up, and the session begins anew. With
#: what leaving takes it must be over well before a pod's grace period of 30 s is.
BROKER_SECONDS = 10.0

#: The offset that comes next is not there (any more): only an assignment finds where to begin.
_OFFSET_IS_GONE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION})

Records = Callable[[Tenure], Iterator[tuple[int, bytes]]]


class SourceReader:
    """Counts the messages of a session into its tenure.

    ``records`` makes the records of a tenure, as a flush would.
    """

    def __init__(
        self, state: SourceState, consumer: Consumer, *, records: Records, lag: LagWatch
    ) -> None:
        self._state = state
        self._topic = state.topic
        self.consumer = consumer
        self._records = records
        self._lag = lag
        self.counter = state.new_counter()
        self.tenure = Tenure(began=state.monotonic(), positions={})
        self.unreadable = UnreadableBatches()
        #: How far partitions were read that are read again since counting failed.
        self._read_before: dict[int, int] = {}

    def begin(self) -> None:
        """Count by the baselines that are promoted now."""
        self.counter.use(self._state.promoted(), self.tenure)

    def add(self, partition: int, its: Beginning, end: int) -> None:
        """Count a partition from its beginning; ``end`` is where it ends at least."""
        self.tenure.positions[partition] = Position(
            origin=its.origin,
            start=its.begin,
            since=its.begin,
            to=max(its.begin, its.low),
            arrived=self._state.monotonic(),
            series=its.series,
            known_end=end,
        )

    def drop(self, partition: int) -> None:
        """Forget a partition that was revoked."""
        self.tenure.positions.pop(partition, None)
        self._read_before.pop(partition, None)
        self.unreadable.drop(partition)

    def take(self, messages: list[Message]) -> None:
        """Count messages, and move the positions of their partitions.

        Raises ``SessionError`` for an error of the consumer's that stays.
        """
        messages, steps = self.unreadable.take(messages)
        for step in steps:
            self._read_on(step)
        if not messages:
            return
        owned = self.tenure.positions
        # A call on each of millions of messages costs, so its result is passed on.
        partitions = partitions_of(messages)
        last = {p: messages[place] for p, place in last_of(partitions).items()}
        # Records of a partition that has just been revoked may still be in the batch: its new
        # owner counts them. An error may be of no partition at all.
        if not last.keys() <= owned.keys():
            messages = [m for m in messages if m.partition() in owned or m.error() is not None]
        # Reported before they are counted: if that never ends, this is the lag.
        taken = {p: m.offset() + 1 for p, m in last.items() if m.error() is None}
        self._lag.report(owned, taken)
        if self._read_before:
            self._check_rewound(messages)
        records = sum(to - owned[p].to for p, to in taken.items() if p in owned)
        to_count, refused = self._state.backstop.take(messages, records)
        known = partitions if len(to_count) == len(partitions) else None  # none was left out
        self.counter.count(to_count, self.tenure, known)
        for message, why in refused:
            self.counter.refuse(message, why)
        if self._state.backstop.limit is not None:
            # To see that it can be committed, before the transaction is begun.
            self.counter.settle(self.tenure)
            list(self._records(self.tenure))
        errors = [message for message in self.counter.take_errors() if not is_end(message)]
        for message in errors:
            _check(message)
        if errors:  # they don't show how far the partition was read
            last = {m.partition(): m for m in messages if m.error() is None or is_end(m)}
        now = self._state.monotonic()
        for partition, message in last.items():
            position = owned.get(partition)
            if position is None:
                continue
            position.caught_up = is_end(message)
            to = message.offset() + (0 if position.caught_up else 1)
            if to > position.to:
                position.to = to
                position.arrived = now
        self._state.backstop.counted()
        for message in stopping(messages) if errors else ():
            if message.partition() in owned:
                self._search(message)

    def _search(self, error: Message) -> None:
        """Begin to search for the end of a batch that the client can't read."""
        partition = error.partition()
        at = self.tenure.positions[partition]
        source = TopicPartition(self._topic, partition)
        _, end = self.consumer.get_watermark_offsets(source, timeout=BROKER_SECONDS)
        step = self.unreadable.begin(error, at.to, end)
        if step is not None:
            at.caught_up = False
            self._read_on(step)

    def _read_on(self, step: ReadFrom) -> None:
        """Go on after an unreadable batch, or where the search for its end leads."""
        if step.passed is not None:
            at = self.tenure.positions[step.partition]
            self.counter.refuse_range(step.partition, *step.passed)
            at.to, at.arrived = step.offset, self._state.monotonic()
            self._read_before.pop(step.partition, None)
        self.consumer.seek(TopicPartition(self._topic, step.partition, step.offset))
        # Each step halves what is left, so there is an end to them: this is no stall.
        self._state.progress.moved()

    def count_again(self, error: Exception, messages: list[Message]) -> None:
        """Drop what was counted since the last flush, and go back to the committed offsets.

        The backstop finds the record that ``error`` is of; if it can be of none, it is raised.
        """
        if not self._state.backstop.failed(error, self.tenure.positions):
            raise error
        log.warning("counting failed, and begins again at the committed offsets", exc_info=error)
        read = {partition: at.to for partition, at in self.tenure.positions.items()}
        self.counter = self._state.new_counter()
        for message in messages:
            if message.error() is None and message.partition() in read:
                read[message.partition()] = message.offset() + 1
        self.tenure = self.tenure.rewound(self._state.monotonic())
        self.counter.use(self._state.promoted(), self.tenure)
        for partition, at in self.tenure.positions.items():
            if read[partition] > at.to:
                self._read_before[partition] = read[partition]
            if read[partition] > at.to or partition in self.unreadable:
                self.consumer.seek(TopicPartition(self._topic, partition, at.to))
        self.unreadable.clear()

    def _check_rewound(self, messages: list[Message]) -> None:
        """See that the client hands out again what it did before :meth:`count_again`."""
        for message in messages:
            if message.error() is None:
                before = self._read_before.pop(message.partition(), None)
                if before is not None and message.offset() >= before:
                    raise SessionError(
                        f"partition {message.partition()} was to be read again from before offset "
                        f"{before}, and went on at {message.offset()}"
                    )


def _check(message: Message) -> None:
    """Raise for an error that stays; log one that passes."""
    error = message.error()
    assert error is not None  # noqa: S101 - only errors are checked
    if error.fatal() or error.code() in _OFFSET_IS_GONE:
        raise SessionError(str(error))
    log.warning("consumer: %s", error)


class SourceWriter:
    """The transactional producer of a session."""

    def __init__(self, state: SourceState, source: SourceTopic) -> None:
        self._state = state
        self._topics = state.settings.topics
        self.source = source
        #: Partitions of the topics that are written to, as far as they are known.
        self.partitions: dict[str, int] = {}
        self.producer = self._new_producer()

    def begin(self) -> None:
        """End the transaction that a predecessor has left open; raises ``KafkaException``."""
        self.producer.init_transactions(BROKER_SECONDS)

    def replace_producer(self) -> None:
        """Go on with another producer, whose first act is to end the transaction of this one.

        What was counted stays, and is committed by the next flush. Raises ``KafkaException``.
        """
        self.producer = self._new_producer()
        self.begin()

    def _new_producer(self) -> Any:
        return self._state.new_producer(alone=self._state.letters.level != "full")

    def partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has; raises ``SessionError`` if it isn't there."""
        if topic not in self.partitions:
            self.partitions[topic] = self.source.partitions_of(topic)
        return self.partitions[topic]

    def histograms(self, tenure: Tenure) -> Iterator[tuple[int, bytes]]:
        """Make the histogram records of a tenure, each with the partition that it goes to."""
        if not self._state.counts:
            return iter(())
        age = self._state.baselines_age()
        return tenure.records(
            now=self._state.clock(),
            monotonic=self._state.monotonic(),
            idle_seconds=self._state.settings.ingest.idle_seconds,
            source=self._state.topic,
            sources=self.source.partitions,
            destinations=self.partitions_of(self._topics.histograms),
            baselines_age_seconds=age if math.isfinite(age) else None,
            topic_id=self.source.topic_id,
        )

    def outcomes(self, tenure: Tenure) -> Iterator[tuple[int, bytes]]:
        """Make what a tenure has for the topic of outcomes, each with its partition.

        The topic is not asked for before there is something.
        """
        now, topic = self._state.clock(), self._topics.outcomes
        if tenure.pending and self.has_outcomes():
            yield from tenure.pending.records(self.partitions_of(topic), now)
        if tenure.labels:
            yield from tenure.labels.records(self.partitions_of(topic), now, self._state.topic)

    def has_outcomes(self) -> bool:
        """Whether there is a topic of outcomes; predictions are counted without it.

        A broker that has just come up knows no topic for a moment: at first it is asked twice.
        """
        try:
            self.partitions_of(self._topics.outcomes)
        except SessionError:
            if self._state.lacks_outcomes:
                return False
            self._state.lacks_outcomes = True
            time.sleep(DOUBT_SECONDS)
            return self.has_outcomes()
        self._state.lacks_outcomes = False
        return True

    def records(self, tenure: Tenure) -> Iterator[tuple[int, bytes]]:
        """Make all records of a tenure, as a flush would."""
        yield from self.histograms(tenure)
        yield from self.outcomes(tenure)

    def commit(
        self, tenure: Tenure, letters: Sequence[DeadLetter], level: FallbackLevel, group: Any
    ) -> None:
        """Commit a tenure, the letters that wait and its offsets; ``group`` is the membership's.

        Raises as :func:`tidegauge.kafka.commit` does.
        """
        topic_id = self.source.topic_id
        commit(
            self.producer,
            topic=self._topics.histograms,
            records=((partition, None, value) for partition, value in self.histograms(tenure)),
            # Made before the transaction is begun: their topic may not be there.
            others=[(self._topics.outcomes, *record) for record in self.outcomes(tenure)],
            letters=[
                encode(replace(letter, topic_id=topic_id)) for letter in to_send(letters, level)
            ],
            letter_topic=self._topics.dead_letters,
            offsets=[
                TopicPartition(
                    self._state.topic,
                    p,
                    at.to,
                    metadata=Counted(
                        origin=at.origin,
                        to=at.to,
                        topic_id=topic_id,
                        series=at.series,
                        end=at.least_end,
                    ).metadata(),
                )
                for p, at in tenure.positions.items()
            ],
            group=group,
        )
