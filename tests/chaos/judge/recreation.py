"""The source topic is deleted and made again under running workers: what was on the old one.

All of it is copied before it goes, and so is how far the group had committed it. What nobody had
counted by then is gone with it, and no more than that may be.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from chaos.judge.reading import SourceRecord
from chaos.site.hold import Hold
from chaos.site.source_faults import NEVER_COMMITTED, Brokers, delete_topic
from chaos.site.topics import numbered
from support.kafka_broker import unique
from support.processes import wait_until

#: Time for something that needs a broker which is coming back just now.
_RETRY_SECONDS = 60.0

#: So few records are copied so quickly that the traffic needn't wait for long.
_NEARLY_ALL = 5_000

_AT_ONCE = 10_000
_LENGTH_BYTES = 4

T = TypeVar("T")


class Counted(NamedTuple):
    """How far INGEST says that a partition was counted, and where it ended as far as it knew."""

    to: int
    end: int


@dataclass
class Deleted:
    """A source topic that is gone: a copy of its records, and what was known of its partitions."""

    #: Which topic of the name it was, from 0 on.
    number: int
    topic_id: str
    copy: Path
    #: Where its partitions ended.
    ends: dict[int, int] = field(default_factory=dict)
    #: Up to where the group had committed them just before.
    committed: dict[int, int] = field(default_factory=dict)
    #: How far INGEST says that they were counted: no record beyond is to be counted any more.
    counted: dict[int, Counted] = field(default_factory=dict)

    def records(self) -> Iterator[SourceRecord]:
        """Yield its records, each partition in order, by the partition's own number."""
        with self.copy.open("rb") as file:
            while length := file.read(_LENGTH_BYTES):
                yield from _decoder.decode(file.read(int.from_bytes(length)))

    def is_counted(self, partition: int, offset: int) -> bool:
        """Whether INGEST says that it has counted a record."""
        return offset < self.counted.get(partition, Counted(0, 0)).to

    def has_lost(self, number: int, offset: int) -> bool:
        """Whether a record by the number of its partition is of this topic, and is not counted."""
        partition = number - numbered(0, self.number)
        return partition in self.ends and not self.is_counted(partition, offset)

    def to_judge(self) -> Iterator[SourceRecord]:
        """Yield the records that must be accounted for, by the number of the topic's partition."""
        for partition, *rest in self.records():
            if self.is_counted(partition, rest[0]):
                yield (numbered(partition, self.number), *rest)

    def uncounted(self) -> Iterator[SourceRecord]:
        """Yield the records that are gone with it, by the number of the topic's partition."""
        for partition, *rest in self.records():
            if not self.is_counted(partition, rest[0]):
                yield (numbered(partition, self.number), *rest)

    @property
    def unread(self) -> int:
        """How many offsets are gone with it."""
        return sum(
            end - min(end, self.counted.get(p, Counted(0, 0)).to) for p, end in self.ends.items()
        )


_decoder = msgspec.msgpack.Decoder(list[tuple[int, int, int, bytes | None]])
_encode = msgspec.msgpack.Encoder().encode


def topic_id(brokers: Brokers, topic: str) -> str:
    """Return Kafka's id of a topic."""
    admin = brokers.admin()

    def asked() -> str:
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=10)
        return str(found[topic].result(15).topic_id)

    return _retried(asked, f"the id of {topic} is known")


def delete_copied(
    brokers: Brokers,
    topic: str,
    group: str,
    gone: Deleted,
    copy: "SourceCopy",
    *,
    hold: Hold,
    is_over: Callable[[], bool],
    make_again: Callable[[], object],
    say: Callable[[str], None],
) -> None:
    """Copy a topic, delete it between two flushes of who reads it, and have it made again.

    The traffic is held as briefly as may be, so that the end of what was sent is not read yet.
    """
    copy.stop()
    wait_until(
        lambda: copy.more() < _NEARLY_ALL, seconds=_RETRY_SECONDS, what=f"{topic} is nearly copied"
    )
    with closing(copy), closing(_GroupOffsets(brokers, topic, group, [*copy.reached])) as offsets:
        offsets.committed()  # who coordinates the group is known then
        admin = brokers.admin()
        admin.list_topics(timeout=_RETRY_SECONDS)
        with hold.traffic(is_over):
            say("the traffic is held")
            wait_until(lambda: not copy.more(), seconds=_RETRY_SECONDS, what=f"{topic} is copied")
            gone.ends = dict(copy.reached)
            gone.committed = offsets.committed()
            delete_topic(admin, topic)
            say(f"{topic} is deleted")
            make_again()


class SourceCopy:
    """Reads a topic from its beginning, whatever is committed, and writes its records to a file.

    It does so in a thread while events come in, as reading them all at once takes its time.
    """

    def __init__(self, brokers: Brokers, topic: str, file: Path) -> None:
        self._topic = topic
        self._admin = brokers.admin()
        self._file = file.open("wb")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers.bootstrap_servers,
                "group.id": unique("copy"),
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                # What a stranger's transaction holds back is there for this one.
                "isolation.level": "read_uncommitted",
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 16 * 1024 * 1024,
                "queued.max.messages.kbytes": 65_536,
                "fetch.queue.backoff.ms": 2,
                "fetch.wait.max.ms": 20,
                "log_level": 2,
            }
        )
        #: Up to where each partition was read.
        self.reached: dict[int, int] = {}
        self._take_new()
        self._thread.start()

    def _take_new(self) -> None:
        """Read partitions as well that were added since."""

        def there() -> list[int]:
            return sorted(
                self._admin.list_topics(self._topic, timeout=10).topics[self._topic].partitions
            )

        partitions = _retried(there, f"the partitions of {self._topic} are known")
        new = [partition for partition in partitions if partition not in self.reached]
        self.reached |= dict.fromkeys(new, 0)
        if new:
            self._consumer.incremental_assign([TopicPartition(self._topic, p, 0) for p in new])

    def _follow(self) -> None:
        while not self._stopping.wait(0.1):
            self.more()

    def stop(self) -> None:
        """Read no further but by :meth:`more`, and then of all the partitions that there are."""
        self._stopping.set()
        self._thread.join()
        self._take_new()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
        self._file.close()

    def more(self) -> int:
        """Read on; return how many offsets are left, of those that are there now."""
        batch: list[SourceRecord] = []
        for message in self._consumer.consume(_AT_ONCE, 0.05):
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self.reached[partition] = offset
                continue
            self.reached[partition] = offset + 1
            if message.value() != NEVER_COMMITTED:
                batch.append((partition, offset, message.timestamp()[1], message.value()))
        if batch:
            packed = _encode(batch)
            self._file.write(len(packed).to_bytes(_LENGTH_BYTES) + packed)
        with suppress(KafkaException, TimeoutError):
            return sum(self._ends().values()) - sum(self.reached.values())
        return _NEARLY_ALL

    def _ends(self) -> dict[int, int]:
        # By a connection of its own: here nothing waits behind a fetch.
        wanted = {TopicPartition(self._topic, p): OffsetSpec.latest() for p in self.reached}
        asked = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=10
        )
        return {at.partition: int(found.result(15).offset) for at, found in asked.items()}


class _GroupOffsets:
    """Asks how far a group has committed partitions; is no member of it."""

    def __init__(self, brokers: Brokers, topic: str, group: str, partitions: Sequence[int]) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": brokers.bootstrap_servers, "group.id": group, "log_level": 2}
        )
        self._wanted = [TopicPartition(topic, partition) for partition in partitions]

    def close(self) -> None:
        self._consumer.close()

    def committed(self) -> dict[int, int]:
        """Return the offset of each partition, 0 if there is none."""
        found = _retried(
            lambda: self._consumer.committed(self._wanted, timeout=10), "committed offsets are told"
        )
        return {at.partition: max(at.offset, 0) for at in found}


def _retried(ask: Callable[[], T], what: str) -> T:
    def answers() -> list[T]:
        with suppress(KafkaException, TimeoutError):
            return [ask()]
        return []

    return wait_until(answers, seconds=_RETRY_SECONDS, what=what)[0]


# -- how far it was counted ------------------------------------------------------------------------


class _Range(msgspec.Struct):
    to: int
    end: int = 0


class _Flush(msgspec.Struct):
    """A record of histograms, as far as it says what was counted."""

    topic_id: str
    ranges: dict[int, _Range]


def counted_by_topic(brokers: Brokers, histograms: str) -> dict[str, dict[int, Counted]]:
    """Return how far partitions were counted by the id of their topic, as the log says it.

    Every flush reaches each partition of the log of histograms, so its first one has all.
    """
    found: dict[str, dict[int, Counted]] = defaultdict(dict)
    decode = msgspec.json.Decoder(_Flush).decode
    for value in _values(brokers, histograms):
        try:
            flush = decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # poison
            continue
        for partition, said in flush.ranges.items():
            before = found[flush.topic_id].get(partition, Counted(0, 0))
            # Ends of one topic only grow, whoever speaks of them.
            end = max(before.end, said.end) if said.to >= before.to else before.end
            found[flush.topic_id][partition] = Counted(max(before.to, said.to), end)
    return dict(found)


def _values(brokers: Brokers, topic: str) -> Iterator[bytes]:
    """Yield what was committed to the first partition before this call, and maybe more."""
    config = {
        "bootstrap.servers": brokers.bootstrap_servers,
        "group.id": unique("flushes"),
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "fetch.message.max.bytes": 16 * 1024 * 1024,
        "log_level": 2,
    }
    with closing(Consumer(config)) as consumer:
        begin = TopicPartition(topic, 0, 0)
        _, end = _retried(
            lambda: consumer.get_watermark_offsets(begin, timeout=10),
            f"the end of {topic} is known",
        )
        consumer.assign([begin])
        reached = 0
        # Workers write on, so that it need not come to an end.
        while reached < end:
            for message in consumer.consume(500, 1.0):
                error = message.error()
                # Behind the marker of a transaction, which no message stands for, its end is told.
                reached = max(reached, message.offset() + (error is None))
                if error is None:
                    yield message.value() or b""
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)


# -- what is said of it ----------------------------------------------------------------------------


def judge_recreation(
    gone: Deleted, topic: str, partitions: int, logs: Iterable[Path], lost: float
) -> list[str]:
    """Judge what INGEST says of a deleted topic, of which the new one has so many partitions.

    ``lost`` is what its counters say. More than was unread can't be lost, nor said to be; and what
    was known to be there and was never counted must be said.
    """
    said = _said(topic, logs)
    findings = []
    for partition, end in sorted(gone.ends.items()):
        name, to = (
            f"{topic}/{partition} that was deleted",
            gone.counted.get(partition, Counted(0, 0)),
        )
        if to.to < gone.committed[partition]:
            findings.append(
                f"LOST: {name} was committed to {gone.committed[partition]}, but counted to {to.to}"
            )
        if to.to > end:
            findings.append(f"WRONG: {name} ended at {end}, and was counted to {to.to}")
        if partition >= partitions or not to.to:
            continue  # nobody begins with it, or nobody knew it
        if not said[partition]:
            findings.append(f"LOST: nobody says that {name} was made again")
        elif len(said[partition]) > 1:
            findings.append(f"DUPLICATED: {name} is said to be made again: {said[partition]}")
        elif not max(to.end - to.to, 0) <= said[partition][0] <= max(end - to.to, 0):
            findings.append(
                f"WRONG: {name} was counted to {to.to} of {end}, known to end at {to.end}, and "
                f"{said[partition][0]} records are said to be lost"
            )
    if lost > gone.unread:
        findings.append(
            f"LOST: {lost:g} events are said to be lost, and {gone.unread} were unread when the "
            "topic was deleted"
        )
    return findings


def _said(topic: str, logs: Iterable[Path]) -> Mapping[int, list[int]]:
    """Return how many records are said to be lost, by partition, each time that it is said."""
    pattern = re.compile(
        rf"{re.escape(topic)}/(\d+): is another topic of the same name; it is counted from its "
        r"beginning(?:; (\d+) records of the one before were never counted)?"
    )
    said: dict[int, list[int]] = defaultdict(list)
    for log in logs:
        if log.exists():
            for partition, lost in pattern.findall(log.read_text(errors="replace")):
                said[int(partition)].append(int(lost or 0))
    return said
