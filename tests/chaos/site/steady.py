"""A producer for traffic of which each record must arrive once, whatever becomes of the client.

librdkafka may lose its brokers for good as the only one restarts (``producer.librdkafka``).
Then another producer sends what has not arrived: the log tells what has, since an idempotent
producer's records of a partition arrive in order, without one left out.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from support.kafka_broker import unique
from tidegauge.producer.librdkafka import Lifeline

Value = bytes | None

#: Values kept that have arrived, so that the last one is found in the log.
_ANCHORS = 100

#: A look costs; there may be thousands of records between two.
_LOOK_SECONDS = 0.1

#: Records of others that may lie behind the last of ours.
_OF_OTHERS = 5_000

#: Too short to be a record of nobody else's.
_SHORT = 30

_SECONDS = 30.0

#: ``min.insync.replicas`` of topics with three replicas.
_IN_SYNC = 2

#: Brokers may be away for longer than that is waited for anything else.
_IN_SYNC_SECONDS = 120.0

#: What becomes of records of a producer that is given up; they are sent again.
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


def missing(given: Sequence[Value], there: Sequence[Value]) -> list[Value]:
    """Return the end of ``given`` that is not in the log, whose end is ``there``.

    Records of others may lie between ours. ``given`` begins with some that have arrived.

    >>> a, b, c = (bytes([letter]) * 40 for letter in b"abc")
    >>> missing([a, b, None, c], [b"other", a, b"other", b, None]) == [c]
    True
    >>> missing([a, None, b], [None, a, b"other"]) == [None, b]
    True
    """
    at = {value: place for place, value in enumerate(there) if len(value or b"") >= _SHORT}
    last = max((n for n, value in enumerate(given) if value in at), default=-1)
    if last < 0:
        return list(given)
    left = deque(given[last + 1 :])
    for value in there[at[given[last]] + 1 :]:
        if left and value == left[0]:
            left.popleft()
    return list(left)


class SteadyProducer:
    """Sends to one topic; ``failures`` gets what the brokers refuse. Its calls are a producer's."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        failures: list[str],
        *,
        make: Callable[[Mapping[str, Any]], Any] = Producer,
    ) -> None:
        self._config = {**config, "on_delivery": self._note}
        self._topic = topic
        self._failures = failures
        self._make = make
        #: By partition, what was given last: all that has not arrived, and some that has.
        self._given: defaultdict[int, list[Value]] = defaultdict(list)
        self._total = 0
        self._look_at = 0.0
        self._begin()

    def _begin(self) -> None:
        self.producer = self._make(self._config)
        self._lifeline = Lifeline(self._topic, self._config)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and error.code() not in _PURGED:
            self._failures.append(f"{message.topic()}/{message.partition()}: {error}")

    def produce(self, topic: str, value: Value, partition: int) -> None:
        """Send a record; raises ``BufferError`` if there is no room for it now."""
        self.producer.produce(topic, value, partition=partition)
        self._given[partition].append(value)
        self._total += 1

    def poll(self, seconds: float) -> None:
        """Serve callbacks for so long, and see that records arrive."""
        self.producer.poll(seconds)
        self._look()

    def flush(self, seconds: float) -> int:
        """Wait until all has arrived; return how many records have not in time."""
        until = time.monotonic() + seconds
        while left := int(self.producer.flush(0.5)):
            if time.monotonic() > until:
                return left
            self._look()
        return 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return what the brokers know of a topic; raises ``KafkaException``."""
        return self.producer.list_topics(topic, timeout=timeout)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        waiting = len(self.producer)
        for given in self._given.values():
            del given[: max(0, len(given) - waiting - _ANCHORS)]
        delivered = self._total - waiting
        if self._lifeline.is_lost(self.producer, delivered=delivered, waiting=waiting):
            self._renew()

    def _renew(self) -> None:
        print("the producer has lost its brokers, another one goes on", flush=True)
        given, self._given = self._given, defaultdict(list)
        self.producer.purge()
        self.producer.flush(1.0)
        self._begin()
        for partition, values in given.items():
            there = self._end_of(partition, len(values) + _OF_OTHERS)
            for value in missing(values, there):
                self._send_again(value, partition)

    def _send_again(self, value: Value, partition: int) -> None:
        while True:
            try:
                self.produce(self._topic, value, partition)
                return
            except BufferError:
                self.producer.poll(0.1)

    def _end_of(self, partition: int, records: int) -> list[Value]:
        """Return the last records of a partition."""
        config = {
            "bootstrap.servers": self._config["bootstrap.servers"],
            "group.id": unique("steady"),
            "enable.auto.commit": False,
            # What a stranger's transaction holds back is there for this one.
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            "log_level": 2,
        }
        found: list[Value] = []
        with closing(Consumer(config)) as consumer:
            at = TopicPartition(self._topic, partition)
            wait_in_sync(consumer, at)
            low, high = watermarks(consumer, at)
            at.offset = max(low, high - records)
            consumer.assign([at])
            deadline = time.monotonic() + _SECONDS
            while True:
                message = consumer.poll(_SECONDS)
                if message is None:
                    raise RuntimeError(f"{self._topic}/{partition} can't be read to its end")
                error = message.error()
                if error is None:
                    found.append(message.value())
                elif error.code() == KafkaError._PARTITION_EOF:
                    return found
                elif time.monotonic() > deadline:
                    raise KafkaException(error)


def wait_in_sync(consumer: Consumer, at: TopicPartition) -> None:
    """Wait until what the leader of a partition has appended can be read.

    While too few replicas are in sync, records of ours may be in its log behind the high watermark:
    no consumer sees them, and they are not lost either.
    """
    deadline = time.monotonic() + _IN_SYNC_SECONDS
    while True:
        with suppress(KafkaException):
            found = consumer.list_topics(at.topic, timeout=_SECONDS).topics[at.topic]
            state = found.partitions.get(at.partition)
            if state is not None and len(state.isrs) >= min(_IN_SYNC, len(state.replicas)):
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"too few replicas of {at.topic}/{at.partition} are in sync")
        consumer.poll(0.1)


def watermarks(consumer: Consumer, at: TopicPartition) -> tuple[int, int]:
    """Return the offsets of a partition.

    A broker that has just come back answers with errors that pass, such as that it leads no
    partition yet: they count only if they are still there in the end.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(at, timeout=_SECONDS)
            return low, high
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            consumer.poll(0.1)
