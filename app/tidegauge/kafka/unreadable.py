"""Batches that Kafka's client can't read, and the search for where each of them ends. Pure.

Brokers take a batch that decompresses to any size, and the client gives up at 100 MB (zstd, by
``receive.message.max.bytes``). From every offset of such a batch it gives the same error, again and
again. The error names the first offset of the batch but not its last one, so that is searched for:
the client is asked to read from other offsets, each twice as far as the one before, then from the
middle of what is left. An answer that is not of this batch (a record, another batch's error, the
end of the partition) says that the batch ends before the offset asked for. So nothing that can be
read is passed over, whatever follows the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from tidegauge.contract import RawMessage

_UNREADABLE = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG})


def is_end(message: "RawMessage") -> bool:
    """Whether a message says that its partition was read to the end."""
    error = message.error()
    return isinstance(error, KafkaError) and error.code() == KafkaError._PARTITION_EOF


def is_unreadable(message: "RawMessage") -> bool:
    """Whether a message says that a batch can't be read."""
    error = message.error()
    return isinstance(error, KafkaError) and error.code() in _UNREADABLE


def stopping(messages: "Sequence[RawMessage]") -> "list[RawMessage]":
    """Return the errors of unreadable batches that are the last that came of their partitions.

    If a record comes after such an error, the client has gone on by itself.
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
    asked: int = 0

    def is_answer(self, message: "RawMessage") -> bool:
        """Whether a message answers what was asked, be it what it may."""
        if is_unreadable(message):
            return True
        # What was fetched before the client was sent to another offset is dropped by the client;
        # if it weren't, this would be of smaller offsets or, at worst, end the search too early,
        # and the rest of the batch would be searched again.
        return (message.error() is None or is_end(message)) and message.offset() >= self.asked

    def take(self, message: "RawMessage") -> None:
        """Narrow the search down by an answer."""
        if is_unreadable(message) and _first_offset(message) == self.batch:
            self.inside = self.asked
            self.stride *= 2
        else:
            self.after = self.asked

    def step(self, partition: int) -> ReadFrom:
        """Return where to read next."""
        if self.after - self.inside == 1:
            passed = UnreadableRange(self.first, self.after, self.why)
            return ReadFrom(partition, self.after, passed)
        self.asked = min(self.inside + self.stride, (self.inside + self.after) // 2)
        return ReadFrom(partition, self.asked)


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
    """Return the first offset of the batch that an error is of; None if it doesn't say so."""
    offset: int | None = error.offset()
    return offset if offset is not None and offset >= 0 else None
