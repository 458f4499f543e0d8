"""A consumer that goes on after a batch which Kafka's client can't read.

The client gives up a batch that decompresses to more than 100 MB (zstd), be it of some kB, and
gives the same error from every offset of it, for ever. Whoever may write to a topic could stop all
that reads it, at every start. INGEST makes a dead letter of such a batch; of the other topics it is
passed over, counted and named in the log.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from tidegauge.kafka.unreadable import ReadFrom, UnreadableBatches, is_unreadable, stopping

log = logging.getLogger(__name__)

#: Asking for the end of a partition.
_BROKER_SECONDS = 10.0

#: Is called with the place of the batch, and with what it is.
Passed = Callable[[str, str], None]


class SteadyConsumer(Consumer):  # type: ignore[misc]  # it has no types
    """Hands out what can be read, and passes over the batches that can't be.

    While the end of such a batch is searched for, nothing of its partition is handed out; then it
    goes on right after it. ``passed`` is called with each; by default that is logged.
    """

    def __init__(self, config: Any, *, passed: Passed | None = None, **options: Any) -> None:
        super().__init__(config, **options)
        self._passed = passed or _log
        #: By topic.
        self._searches: dict[str, UnreadableBatches] = {}

    def poll(self, timeout: float = -1) -> Message | None:
        """Return the next record, or news, within so many seconds."""
        deadline = None if timeout < 0 else time.monotonic() + timeout
        while True:
            left = -1 if deadline is None else max(0.0, deadline - time.monotonic())
            message = super().poll(left)
            if message is None:
                return None
            found = self._readable([message])
            if found:
                return found[0]

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """Return records and news; none also if what came can't be read."""
        return self._readable(super().consume(num_messages, timeout))

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        """Join the group; with another assignment nothing is searched any more."""
        callbacks.setdefault("on_assign", None)
        super().subscribe(topics, **{name: self._forgetting(it) for name, it in callbacks.items()})

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these partitions from now on."""
        self._searches.clear()
        super().assign(partitions)

    def _forgetting(self, callback: Callable[..., None] | None) -> Callable[..., None]:
        def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            self._searches.clear()
            if callback is not None:
                callback(consumer, partitions)

        return call

    def _readable(self, messages: list[Message]) -> list[Message]:
        if not self._searches and not any(map(is_unreadable, messages)):
            return messages
        by_topic: dict[str | None, list[Any]] = {}
        for message in messages:
            by_topic.setdefault(message.topic(), []).append(message)
        readable: list[Message] = by_topic.pop(None, [])  # news of no topic
        for topic, its in by_topic.items():
            readable += self._readable_of(str(topic), its)
        return readable

    def _readable_of(self, topic: str, messages: list[Any]) -> list[Any]:
        batches = self._searches.setdefault(topic, UnreadableBatches())
        messages, steps = batches.take(messages)
        for error in stopping(messages):
            at = TopicPartition(topic, error.partition())
            [position] = self.position([at])
            _, end = self.get_watermark_offsets(at, timeout=_BROKER_SECONDS)
            begun = batches.begin(error, max(position.offset, 0), end)
            if begun is not None:
                steps.append(begun)
        for step in steps:
            self._go_on(topic, step)
        return [message for message in messages if not is_unreadable(message)]

    def _go_on(self, topic: str, step: ReadFrom) -> None:
        self.seek(TopicPartition(topic, step.partition, step.offset))
        if step.passed is not None:
            first, end, why = step.passed
            self._passed(
                f"{topic}/{step.partition} at offset {first}",
                f"a batch of {end - first} that the client can't read: {why}",
            )


def _log(place: str, why: str) -> None:
    log.error("%s is passed over: %s", place, why)
