"""A topic as one receiver's consumer group reads it.

An offset is committed when its record is done with, so the next reader begins with the first one
that isn't.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tidegauge.config import Settings
from tidegauge.kafka.clients import receiver_consumer
from tidegauge.kafka.unreadable import Skipped

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_BROKER_SECONDS = 10.0


class Interrupted(Exception):
    """The record at hand is not ours any more, or the process is to stop."""


class ReceivedRecord(NamedTuple):
    """A record, and whether it is still to be delivered; if not, it was before this began."""

    message: Message
    partition: int
    offset: int
    new: bool


class GroupReader:
    """A membership of the consumer group ``group``, which reads ``topic``, for one thread.

    With ``from_beginning`` everything the topic holds is read first, to know what fires.
    ``changed`` is called with each new assignment: whether there is any, and the metadata of its
    committed offsets; records read before are void then. ``metadata`` is what to commit with an
    offset. Methods raise ``KafkaException``; the membership is of no use after that.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        group: str,
        *,
        from_beginning: bool,
        changed: Callable[[bool, list[str | None]], None],
        metadata: Callable[[], str] = lambda: "",
        passed: Skipped | None = None,
    ) -> None:
        self._topic = topic
        self._group = group
        self._from_beginning = from_beginning
        self._changed = changed
        self._metadata = metadata
        #: Offsets from which on alerts are to be delivered. A new one for each assignment.
        self._from: dict[int, int] = {}
        #: Partitions of which the alerts delivered before are still being read.
        self._restoring: set[int] = set()
        #: Offsets that are done with but not committed, by partition: no receiver wanted them.
        self._skipped: dict[int, int] = {}
        #: A failure inside a callback, which librdkafka must not see.
        self._failure: Exception | None = None
        self._consumer = receiver_consumer(settings, group, passed=passed)
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    @property
    def whole(self) -> bool:
        """Whether there is an assignment, and all that was delivered before it has been read."""
        return bool(self._from) and not self._restoring

    @property
    def partitions(self) -> set[int]:
        """The partitions that are ours, none while another process delivers."""
        return set(self._from)

    def next(self, seconds: float = _POLL_SECONDS) -> ReceivedRecord | None:
        """Return the next record, if there is one within ``seconds``."""
        message = self._consumer.poll(seconds)
        if self._failure is not None:
            raise self._failure
        if message is None:
            return None
        partition: Any = message.partition()
        offset: Any = message.offset()
        error = message.error()
        if error is None:
            new = offset >= self._from[partition]
            if new:
                self._restoring.discard(partition)
            return ReceivedRecord(message, partition, offset, new)
        if error.code() == KafkaError._PARTITION_EOF:
            self._restoring.discard(partition)
            return None
        raise KafkaException(error)

    def done(self, received: ReceivedRecord) -> None:
        """Commit that an alert is delivered, or is a dead letter."""
        self._skipped[received.partition] = received.offset + 1
        self.commit_skipped()

    def skip(self, received: ReceivedRecord) -> None:
        """Note that a record is not wanted; committed with the next one, or when nothing comes."""
        if received.new:
            self._skipped[received.partition] = received.offset + 1

    def commit_skipped(self) -> None:
        """Commit the offsets of the skipped records."""
        if self._skipped:
            self._commit(self._skipped)
            self._skipped = {}

    def pause(self, seconds: float, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Wait, and stay a member; raises :class:`Interrupted` if there is no point in waiting.

        A consumer that doesn't ask for records is taken for dead, so it goes on asking, paused.
        """
        own = self._from
        held = [TopicPartition(self._topic, partition) for partition in own]
        self._consumer.pause(held)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            beat()
            received = self.next(min(left, _POLL_SECONDS))
            if stop.is_set() or own is not self._from:
                raise Interrupted
            if received is not None:  # it would be lost, and it can't be put back
                raise KafkaException(KafkaError(KafkaError._STATE))
        self._consumer.resume(held)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _commit(self, offsets: dict[int, int]) -> None:
        text = self._metadata()
        positions = [
            TopicPartition(self._topic, p, offset, metadata=text) for p, offset in offsets.items()
        ]
        for position in self._consumer.commit(offsets=positions, asynchronous=False):
            if position.error is not None:
                raise KafkaException(position.error)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._begin(consumer, partitions)
        except Exception as error:
            self._failure = error

    def _begin(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop()
        unknown: dict[int, int] = {}
        metadata: list[str | None] = []
        for one in consumer.committed(partitions, timeout=_BROKER_SECONDS):
            if one.error is not None:  # and not: nothing was ever committed
                raise KafkaException(one.error)
            low, high = consumer.get_watermark_offsets(
                TopicPartition(one.topic, one.partition), timeout=_BROKER_SECONDS
            )
            committed = None if one.offset == OFFSET_INVALID else one.offset
            start, lost = starting_offset(committed, low, high)
            metadata.append(one.metadata)
            if lost:
                log.error("%s: %s", self._group, lost)
            if committed is None:
                unknown[one.partition] = start
            if self._from_beginning and low < start:
                self._restoring.add(one.partition)
            self._from[one.partition] = start
        consumer.assign(
            [
                TopicPartition(self._topic, p, OFFSET_BEGINNING if p in self._restoring else offset)
                for p, offset in self._from.items()
            ]
        )
        if unknown:
            # From now on, and not from whenever the first alert comes.
            self._commit(unknown)
        self._changed(bool(self._from), metadata)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop()
        self._changed(False, [])

    def _drop(self) -> None:
        self._from = {}
        self._restoring = set()
        self._skipped = {}


def starting_offset(committed: int | None, low: int, high: int) -> tuple[int, str | None]:
    """Return where to begin in a partition with the records [``low``, ``high``), and what is lost.

    A new receiver begins with the next record, not with those of last year.

    >>> starting_offset(None, 0, 40)
    (40, None)
    >>> starting_offset(17, 0, 40)
    (17, None)
    >>> starting_offset(17, 30, 40)
    (30, 'offsets 17 to 30 were deleted before they were delivered')
    >>> starting_offset(170, 0, 40)[0]
    0
    """
    if committed is None:
        return high, None
    if committed > high:
        return low, (
            f"the topic was made anew: it ends at {high}, and {committed} was reached; "
            f"delivering from {low} on"
        )
    if committed < low:
        return low, f"offsets {committed} to {low} were deleted before they were delivered"
    return committed, None
