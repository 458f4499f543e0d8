"""What a run has left in its topics, and when it is complete."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from chaos.judge.deliveries import DELIVERED_STATES
from chaos.source import SourceRecord
from support.kafka_broker import KafkaBroker, unique
from support.kafka_cluster import KafkaCluster
from support.kafka_reader import TopicReader
from support.product import Installation

#: Topics that workers write for others.
OUTPUTS = (
    "windows",
    "alerts_history",
    "actions",
    "audit_facts",
    "audit",
    "dead_letters",
    "performance",
)

#: Nothing new for so long is taken to be the end, seconds.
QUIET_SECONDS = 2.0

_SECONDS = 60.0


def read_source(broker: KafkaBroker | KafkaCluster, topic: str) -> Iterator[SourceRecord]:
    """Yield every record of a topic that was not aborted, each partition in order.

    Keeps none: there are millions. Raises ``AssertionError`` if the end is not reached.
    """
    config = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": unique("source"),
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        # What was aborted isn't there, and a partition may end with it.
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "fetch.max.bytes": 64 * 1024 * 1024,
        "fetch.message.max.bytes": 16 * 1024 * 1024,
        "queued.max.messages.kbytes": 65_536,
        "fetch.queue.backoff.ms": 2,
    }
    with closing(Consumer(config)) as consumer:
        partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        left = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            assert low == 0, f"{topic}/{partition} begins at {low}: retention has taken the rest"
            if high:
                left[partition] = high
        consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
        progress = time.monotonic()
        while left:
            for message in consumer.consume(10_000, 1.0):
                error, partition = message.error(), message.partition()
                progress = time.monotonic()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    left.pop(partition, None)
                    continue
                assert error is None, f"{topic}: {error}"
                offset = message.offset()
                _, timestamp = message.timestamp()
                yield partition, offset, timestamp, message.value()
                if offset + 1 >= left.get(partition, 0):
                    left.pop(partition, None)
            late = time.monotonic() - progress > _SECONDS
            assert not late, f"{topic}: no record for {_SECONDS:.0f} s, {left} left to read"


@dataclass
class Outputs:
    """Everything on the output topics so far."""

    broker: KafkaBroker | KafkaCluster
    installation: Installation
    #: Whether a record of a kind is none, by kind, partition and offset.
    is_poison: Callable[[str, int | None, int | None], bool] = lambda *_: False
    readers: dict[str, TopicReader] = field(default_factory=dict)
    #: By model, version, variant and window start: the largest revision and its events.
    _latest: dict[tuple[str, str, str, int], tuple[int, int]] = field(default_factory=dict)
    #: Ids of facts, and of those in the audit trail.
    _facts: set[str] = field(default_factory=set)
    _chained: set[str] = field(default_factory=set)
    #: Alerts that the receiver must get.
    _due: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for kind in OUTPUTS:
            self.readers[kind] = TopicReader(self.broker, self.installation.topic(kind))

    def close(self) -> None:
        """Leave the topics."""
        for reader in self.readers.values():
            reader.close()

    def more(self) -> int:
        """Read on; return how many records were new."""
        new = 0
        for kind, reader in self.readers.items():
            for message in reader.more():
                new += 1
                if self.is_poison(kind, message.partition(), message.offset()):
                    continue
                if kind == "windows":
                    self._note_report(message)
                elif kind in ("alerts_history", "audit_facts", "audit"):
                    self._note(kind, json.loads(message.value()))
        return new

    def _note(self, kind: str, record: dict[str, Any]) -> None:
        if kind == "audit":
            self._chained.add(record["id"])
        elif kind == "audit_facts":
            self._facts.add(record["id"])
        elif record["state"] in DELIVERED_STATES:
            self._due.add(record["id"])

    def _note_report(self, message: Message) -> None:
        report = json.loads(message.value())
        window = tuple(report[name] for name in ("model", "version", "variant", "window_start"))
        revision, events = report["revision"], report["events"]
        if revision >= self._latest.get(window, (0, 0))[0]:
            self._latest[window] = revision, events

    def events(self, due: float) -> int:
        """Return how many are in the latest revision of the windows that began before ``due``."""
        return sum(events for (*_, start), (_, events) in self._latest.items() if start < due)

    @property
    def messages(self) -> dict[str, list[Message]]:
        """Every record by kind, each partition in order."""
        return {
            kind: sorted(reader.messages, key=lambda m: (m.partition(), m.offset()))
            for kind, reader in self.readers.items()
        }

    def settle(
        self,
        events: int,
        due: float,
        seconds: float,
        check: Callable[[], None],
        delivered: Callable[[], Iterable[str]],
    ) -> str | None:
        """Wait until ``events`` are reported and nothing more comes; say what is amiss if not.

        They are those of windows that began before ``due``: others may be reported or not.
        Nothing more is to come once every fact is in the audit trail, and every alert is in
        ``delivered`` (by their ids). ``check`` is called meanwhile and may raise.
        """
        last = time.monotonic()
        deadline = last + seconds
        while time.monotonic() < deadline:
            check()
            if self.more():
                last = time.monotonic()
            quiet = time.monotonic() - last
            settled = self.events(due) == events and self._facts <= self._chained
            if settled and quiet > QUIET_SECONDS and self._due.issubset(delivered()):
                return None
            time.sleep(0.1)
        facts, alerts = len(self._facts - self._chained), len(self._due.difference(delivered()))
        return (
            f"not settled {seconds:.0f} s after the last fault: {self.events(due):,} events "
            f"reported, {events:,} sent; {facts} facts are not in the audit trail, {alerts} alerts "
            f"were not delivered; the last output came {quiet:.0f} s ago"
        )
