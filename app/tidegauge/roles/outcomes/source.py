"""The topic of outcomes as a session of OUTCOMES reads it: from where, and what is in it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

from tidegauge.config import Settings
from tidegauge.contract import DecodingError
from tidegauge.counting import Position
from tidegauge.kafka import (
    Consumer,
    Message,
    TopicPartition,
    messages_in,
    place_of,
    reader,
    written_at,
)
from tidegauge.outcomes import Joined, OutcomeJoin, ReadRecord, read_input
from tidegauge.roles import SourceTopic
from tidegauge.roles.outcomes.backstop import JoinBackstop
from tidegauge.telemetry import ONE_BY_ONE

log = logging.getLogger(__name__)

#: A call to the brokers that takes longer than this is given up, and the session begins anew.
BROKER_SECONDS = 10.0

#: Records that are read back at once, and how much the client fetches ahead: 16 MB.
_RECORDS = 50
_QUEUE_KBYTES = 16 * 1024


class OutcomeLog:
    """Reads the records of the topic of outcomes; ``topic`` shows what the brokers know of it."""

    def __init__(
        self,
        settings: Settings,
        consumer: Consumer,
        backstop: JoinBackstop,
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.outcomes
        self._consumer = consumer
        self._backstop = backstop
        self._faults = backstop.faults
        self.topic = SourceTopic(
            settings,
            self._topic,
            consumer,
            counted_in=settings.topics.histograms,
            monotonic=monotonic,
        )

    def positions(
        self, committed: Sequence[TopicPartition], now: float
    ) -> Iterator[tuple[int, Position, int]]:
        """Yield of each partition where to go on in it, and its first record that is there.

        ``committed`` are as the group has them; ``now`` is by the monotonic clock. Raises as
        :meth:`SourceTopic.beginnings` does.
        """
        for partition, its in self.topic.beginnings(committed).items():
            if its.detail:
                log.error("%s/%d: %s", self._topic, partition, its.detail, extra=ONE_BY_ONE)
            position = Position(
                origin=its.origin,
                start=its.begin,
                since=its.begin,
                to=max(its.begin, its.low),
                arrived=now,
                series=its.series,
                known_end=self.topic.ends[partition],
            )
            yield partition, position, its.low

    def read_back(self, join: OutcomeJoin, partition: int, low: int, to: int) -> Iterator[None]:
        """Join what a partition holds from its beginning up to an offset; it was counted before.

        Yields after each batch. Raises as :meth:`join` does.
        """
        for messages in self._messages(partition, low, to):
            for _ in self.join(messages, join):
                pass
            join.settle()
            join.held.forget_counts()
            yield

    def _messages(self, partition: int, low: int, to: int) -> Iterator[list[Message]]:
        with closing(
            reader(
                self._settings.kafka,
                self._settings.outcomes.group_id,
                passed=self._faults.skipped,
                queued_max_messages_kbytes=_QUEUE_KBYTES,
            )
        ) as consumer:
            messages: list[Message] = []
            for message in messages_in(consumer, self._topic, {partition: (low, to)}):
                messages.append(message)
                if len(messages) >= _RECORDS:
                    yield messages
                    messages.clear()
            yield messages

    def join(self, messages: Sequence[Message], join: OutcomeJoin) -> Iterator[Joined]:
        """Join messages of a partition, and yield what they add.

        Raises ``SessionError`` if the join fails: a session that follows leaves out the record.
        """
        topic_id = self.topic.topic_id
        for some in self._backstop.batches(topic_id, messages):
            records = self._read(some)
            try:
                joined = join.take(records)
            except Exception as error:
                raise self._backstop.failed(topic_id, some, error) from error
            yield joined

    def _read(self, messages: Sequence[Message]) -> list[ReadRecord]:
        """Read records; one that can't be read is reported, counted and passed over."""
        found, ahead = [], self._settings.ingest.max_ahead_seconds
        for message in messages:
            written = written_at(message) or 0.0
            try:
                found.append(read_input(message.value(), written, max_ahead_seconds=ahead))
            except DecodingError as error:
                self._faults.skipped(place_of(message), f"no record of outcomes: {error}")
        return found

    def lag(self, positions: Mapping[int, Position]) -> int:
        """Return how many records wait, as far as the client has seen."""
        lag = 0
        for partition, at in positions.items():
            source = TopicPartition(self._topic, partition)
            _, high = self._consumer.get_watermark_offsets(source, cached=True)
            at.high = max(high, 0)
            lag += 0 if at.caught_up else max(at.high - at.to, 0)
        return lag
