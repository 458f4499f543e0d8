"""The topic of outcomes as a session of OUTCOMES reads it: from where, and what is in it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from tidegauge.config import Settings
from tidegauge.contract import DecodingError
from tidegauge.counting import Position, begin_at, from_metadata, known_end
from tidegauge.kafka import (
    Admin,
    Consumer,
    KafkaException,
    Message,
    SessionError,
    TopicPartition,
    messages_in,
    place_of,
    reader,
    written_at,
)
from tidegauge.outcomes import ReadRecord, read_input
from tidegauge.telemetry import ONE_BY_ONE, RecordFaults

log = logging.getLogger(__name__)

#: A call to the brokers that takes longer than this is given up, and the session begins anew.
BROKER_SECONDS = 10.0

#: Records that are read back at once, and how much the client fetches ahead: 16 MB.
_RECORDS = 50
_QUEUE_KBYTES = 16 * 1024


class OutcomeLog:
    """Asks the brokers about the topic of outcomes, and reads its records."""

    def __init__(self, settings: Settings, consumer: Consumer, faults: RecordFaults) -> None:
        self._settings = settings
        self._topic = settings.topics.outcomes
        self._consumer = consumer
        self._faults = faults
        self._admin = Admin(settings.kafka)
        #: Kafka's id of the topic, "" if the brokers have none, and its partitions.
        self.topic_id = ""
        self.partitions = 0

    def begin(self) -> None:
        """Learn which topic it is; raises as :meth:`check` does."""
        cluster = self._consumer.list_topics(self._topic, timeout=BROKER_SECONDS)
        self.partitions = self.partitions_of(self._topic)
        # The mock cluster of librdkafka has no controller and no topic ids.
        if cluster.controller_id in cluster.brokers:
            self.topic_id, _ = self._admin.describe(self._topic, BROKER_SECONDS, twice=True)

    def partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has; raises ``SessionError`` if it isn't there."""
        found = self._consumer.list_topics(topic, timeout=BROKER_SECONDS).topics[topic]
        if found.error is not None or not found.partitions:
            raise SessionError(f"there is no topic {topic}; make it with: tidegauge topics create")
        return len(found.partitions)

    def check(self) -> None:
        """See that the topic is the one that was read; raises ``SessionError`` if not."""
        if not self.topic_id:
            return
        try:
            topic_id, _ = self._admin.describe(self._topic, BROKER_SECONDS, twice=True)
        except KafkaException as error:
            raise SessionError(f"{self._topic} can't be looked at: {error}") from error
        if topic_id != self.topic_id:
            raise SessionError(f"{self._topic} was deleted and made again")

    def position(self, committed: TopicPartition, now: float) -> tuple[Position, int]:
        """Return where to go on in a partition, and its first record that is there.

        ``committed`` is what the group has; ``now`` is by the monotonic clock.
        """
        if committed.error is not None:
            raise KafkaException(committed.error)
        low, high = self._consumer.get_watermark_offsets(committed, timeout=BROKER_SECONDS)
        offset = committed.offset if committed.offset >= 0 else None
        counted = None if offset is None else from_metadata(committed.metadata, offset)
        its = begin_at(counted, committed=offset, topic_id=self.topic_id, low=low, high=high)
        if its.detail:
            log.error("%s/%d: %s", self._topic, committed.partition, its.detail, extra=ONE_BY_ONE)
        position = Position(
            origin=its.origin,
            start=its.begin,
            since=its.begin,
            to=max(its.begin, its.low),
            arrived=now,
            series=its.series,
            known_end=known_end(counted, its, high),
        )
        return position, low

    def records(self, partition: int, low: int, to: int) -> Iterator[list[ReadRecord]]:
        """Yield what a partition holds from its beginning up to an offset."""
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
                    yield self.read(messages)
                    messages.clear()
            yield self.read(messages)

    def read(self, messages: Sequence[Message]) -> list[ReadRecord]:
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
