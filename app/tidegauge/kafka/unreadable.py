"""Batches and headers that Kafka's client can't read: too large, or not text.

Brokers accept a batch that decompresses to any size, but the client gives up at 100 MB (zstd, by
``receive.message.max.bytes``). At every offset of such a batch it reports the same error again, so
anyone with write access to a topic could stop its readers. INGEST makes a dead letter of such a
batch; on the other topics :class:`SteadyConsumer` skips it.

The error names the first offset of the batch but not its last one, so that is searched for: the
client is asked to read from other offsets, each twice as far as the one before, then from the
middle of what is left. An answer that is not of this batch (a record, another batch's error, the
end of the partition) shows that the batch ends before the offset asked for. So nothing that can be
read is passed over, whatever follows the batch.
"""

import ctypes
import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

if TYPE_CHECKING:
    from tidegauge.contract import RawMessage

log = logging.getLogger(__name__)

#: Is called with the place of a record that can't be read, and with the reason.
Skipped = Callable[[str, str], None]

#: Asking for the end of a partition.
_BROKER_SECONDS = 10.0

_UNREADABLE = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG})


def is_end(message: "RawMessage") -> bool:
    """Return whether a message reports the end of its partition."""
    error = message.error()
    return isinstance(error, KafkaError) and error.code() == KafkaError._PARTITION_EOF


def is_unreadable(message: "RawMessage") -> bool:
    """Return whether a message reports a batch that can't be read."""
    error = message.error()
    return isinstance(error, KafkaError) and error.code() in _UNREADABLE


def stopping(messages: "Sequence[RawMessage]") -> "list[RawMessage]":
    """Return the errors of unreadable batches that are the last messages of their partitions.

    If a record comes after such an error, the client has continued by itself.
    """
    last = {m.partition(): m for m in messages if not _is_other_news(m)}
    return [message for message in last.values() if is_unreadable(message)]


class UnreadableRange(NamedTuple):
    """Offsets ``first`` to before ``end``, which can't be read, and the client's reason."""

    first: int
    end: int
    why: str


class ReadFrom(NamedTuple):
    """The offset of a partition to read from next, and what was found to be unreadable before it.

    ``passed`` is None while the search goes on.
    """

    partition: int
    offset: int
    passed: UnreadableRange | None = None


@dataclass
class _Search:
    """The search for the end of one batch, which is known by its first offset, ``batch``.

    ``inside`` is the last offset known to be in the batch, ``after`` the first one known not to be.
    """

    batch: int | None
    first: int
    inside: int
    after: int
    why: str
    stride: int = 1
    requested: int = 0

    def is_answer(self, message: "RawMessage") -> bool:
        """Return whether a message, of any kind, is an answer to the request."""
        if is_unreadable(message):
            return True
        # What was fetched before the client was sent to another offset is dropped by the client;
        # if it weren't, this would be of smaller offsets or, at worst, end the search too early,
        # and the rest of the batch would be searched again.
        return (message.error() is None or is_end(message)) and message.offset() >= self.requested

    def take(self, message: "RawMessage") -> None:
        """Narrow the search down by an answer."""
        if is_unreadable(message) and _first_offset(message) == self.batch:
            self.inside = self.requested
            self.stride *= 2
        else:
            self.after = self.requested

    def step(self, partition: int) -> ReadFrom:
        """Return where to read next."""
        if self.after - self.inside == 1:
            passed = UnreadableRange(self.first, self.after, self.why)
            return ReadFrom(partition, self.after, passed)
        self.requested = min(self.inside + self.stride, (self.inside + self.after) // 2)
        return ReadFrom(partition, self.requested)


class UnreadableBatches:
    """The searches of one session, one a partition at most."""

    def __init__(self) -> None:
        self._searches: dict[int, _Search] = {}

    def __contains__(self, partition: int) -> bool:
        """Whether the end of a batch is being searched for in a partition."""
        return partition in self._searches

    def begin(self, error: "RawMessage", to: int, end: int) -> ReadFrom | None:
        """Begin a search in a partition that was read up to ``to`` and ends at ``end``.

        None if the partition ends before it: then it was cut off, and the error is out of date.
        """
        partition, batch = error.partition(), _first_offset(error)
        first = to if batch is None else max(to, batch)
        if end <= first:
            return None
        search = _Search(batch, first, first, end, str(error.error()))
        self._searches[partition] = search
        return self._go_on(partition, search)

    def take(self, messages: "list[RawMessage]") -> "tuple[list[RawMessage], list[ReadFrom]]":
        """Take the answers out of messages; return those to count, and where to read next.

        Of a partition that is being searched nothing is to be counted: it is read again.
        """
        if not self._searches:
            return messages, []
        others: list[RawMessage] = []
        answers: dict[int, RawMessage] = {}
        for message in messages:
            search = self._searches.get(message.partition())
            if search is None or _is_other_news(message):
                others.append(message)
            elif message.partition() not in answers and search.is_answer(message):
                answers[message.partition()] = message
        steps = []
        for partition, answer in answers.items():
            search = self._searches[partition]
            search.take(answer)
            steps.append(self._go_on(partition, search))
        return others, steps

    def drop(self, partition: int) -> None:
        """Forget the search in a partition, if there is one."""
        self._searches.pop(partition, None)

    def clear(self) -> None:
        """Forget all searches."""
        self._searches.clear()

    def _go_on(self, partition: int, search: _Search) -> ReadFrom:
        step = search.step(partition)
        if step.passed:
            self.drop(partition)
        return step


def _is_other_news(message: "RawMessage") -> bool:
    return message.error() is not None and not (is_end(message) or is_unreadable(message))


def _first_offset(error: "RawMessage") -> int | None:
    """Return the first offset of the batch that an error is of; None if that is not known."""
    offset: int | None = error.offset()
    return offset if offset is not None and offset >= 0 else None


class SteadyConsumer(Consumer):  # type: ignore[misc]  # it has no types
    """Delivers the records that can be read, and skips the batches that can't be.

    While it searches for the end of such a batch, it delivers nothing of that partition; then it
    continues right after the batch. ``passed`` is called with each; by default that is logged.
    """

    def __init__(self, config: Any, *, passed: Skipped | None = None, **options: Any) -> None:
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
    log.error("%s is skipped: %s", place, why)


# Bound once: looking it up while an error is pending could raise that.
_clear_error = ctypes.pythonapi.PyErr_Clear
_clear_error.argtypes = []
_clear_error.restype = None


def headers_of(message: Message) -> dict[str, bytes]:
    """Return the headers whose name is text and which have a value; the last of each name.

    Every reader of headers calls this function. ``confluent_kafka.Message.headers`` (2.15,
    ``c_headers_to_py``) doesn't check that a name is UTF-8. For one that isn't it leaves an error
    pending, which is raised at any later place, and a tuple with a hole in it, which ends the
    process when it is touched.
    """
    try:
        found = message.headers()
        _clear_error()
    except (SystemError, UnicodeDecodeError):
        return {}
    headers: dict[str, bytes] = {}
    for header in found or ():
        # Unpacking would touch the hole; the collector leaves it out, and goes from last to first.
        match gc.get_referents(header):
            case [bytes(value), str(name)]:
                headers[name] = value
    return headers
