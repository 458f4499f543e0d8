"""Batches that Kafka's client can't read: it would ask for them again and again.

Brokers take a batch that decompresses to any size, and the client gives up at 100 MB (zstd, by
``receive.message.max.bytes``). How many records are in it is not known, so reading goes on by one
offset, then by two, four and so on, until it succeeds.
"""

from confluent_kafka import KafkaError

from tidegauge.ingest.refusals import Message

_UNREADABLE = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG})


def is_unreadable(message: Message) -> bool:
    """Whether a message says that a batch can't be read."""
    error = message.error()
    return isinstance(error, KafkaError) and error.code() in _UNREADABLE


class PassingOver:
    """Where to go on, by partition.

    >>> passing_over = PassingOver()
    >>> passing_over.next(0, 7, 100), passing_over.next(0, 8, 100), passing_over.next(0, 10, 100)
    (8, 10, 14)
    >>> passing_over.next(0, 20, 100)  # it could read on from 14
    21
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def next(self, partition: int, at: int, end: int) -> int:
        """Return where to go on if an offset can't be read; the partition's ``end`` is known."""
        before, stride = self._last.get(partition, (-1, 0))
        stride = 2 * stride if before == at else 1
        to = max(at + 1, min(at + stride, end))
        self._last[partition] = to, stride
        return to
