"""The end of the labels of a run: all are joined, and those that wait for nothing are given up.

A last label on each partition, which is none, becomes a dead letter once all before it are routed.
Then a record on each partition of the topic of outcomes says that it is a quarter of an hour later:
time for OUTCOMES is what that topic says.
"""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from chaos.judge.labels import CellName
from chaos.judge.outcomes import CellReader, Counted
from chaos.judge.reading import Outputs
from chaos.labels import EARLY_SECONDS
from chaos.site.cluster import Cluster
from chaos.site.poison import Place
from support.kafka_reader import TopicReader
from support.processes import wait_until

LAST_LABEL = b'{"source": "the last label of a partition, which names no prediction"}'

_DELIVERY_SECONDS = 60.0


class CellFollower:
    """Reads what OUTCOMES has counted, as far as it is committed."""

    def __init__(self, cluster: Cluster) -> None:
        topic = cluster.installation.topic
        self._has_poison = cluster.poison.has
        self._reader = TopicReader(cluster.broker, topic("histograms"))
        self.cells = CellReader(topic("outcomes"))

    def more(self) -> None:
        """Read on; what was read is not kept."""
        for message in self._reader.more():
            if not self._has_poison("histograms", message.partition(), message.offset()):
                self.cells.take(message.value() or b"")
        self._reader.messages.clear()

    def close(self) -> None:
        """Leave the topic."""
        self._reader.close()


def end_labels(
    cluster: Cluster,
    outputs: Outputs,
    follower: CellFollower,
    seconds: float,
    check: Callable[[], None],
    say: Callable[[str], None],
) -> list[str]:
    """See that every label is joined, or given up, and every cohort reported; say what is not so.

    All predictions must be counted by now. ``check`` is called meanwhile and may raise.
    """
    topic = cluster.installation.topic
    last = _send(cluster, topic("labels"), LAST_LABEL, time.time())

    def are_routed() -> bool:
        check()
        outputs.more()
        letters = (json.loads(it.value()) for it in outputs.readers["dead_letters"].messages[-200:])
        there.update(
            Place(it["partition"], it["offset"]) for it in letters if it["topic"] == topic("labels")
        )
        return last <= there

    there: set[Place] = set()
    try:
        wait_until(are_routed, seconds=seconds, what=lambda: f"labels are routed to {last - there}")
        say("labels are routed")
        later = time.time() + EARLY_SECONDS + 60
        record: dict[str, Any] = {"kind": "predictions", "time": later}
        cluster.date_outcomes()
        ends = dict(
            wait_until(
                # Until its brokers know of the setting.
                lambda: _send(cluster, topic("outcomes"), json.dumps(record).encode(), later),
                seconds=seconds,
                what="the log of outcomes takes the times of its records",
            )
        )

        def are_joined() -> bool:
            check()
            outputs.more()
            follower.more()
            reached = follower.cells.counted().reached()
            return all(reached.get(partition, 0) > at for partition, at in ends.items())

        wait_until(
            are_joined,
            seconds=seconds,
            what=lambda: f"{ends} are joined, it is {follower.cells.counted().reached()}",
        )
        say("labels are joined")

        def are_reported() -> bool:
            check()
            outputs.more()
            counted = follower.cells.counted()
            return _are_reported(counted, outputs.readers["performance"].messages)

        wait_until(are_reported, seconds=seconds, what="every cohort is reported as it is counted")
    except AssertionError as error:
        return [f"LOST: {error}"]
    return []


def _are_reported(counted: Counted, reports: Iterable[Message]) -> bool:
    """Whether the last report of each cohort has the counts that were committed."""
    last: dict[CellName, tuple[int, int, int]] = {}
    for message in reports:
        report = json.loads(message.value() or b"")
        name = CellName(report["model"], "cohort", report["cohort_start"], report["variant"])
        found = report["performance"]
        its = (report["revision"], found["predicted"], found["labelled"])
        last[name] = max(last.get(name, its), its)
    return all(
        last.get(name, ())[1:] == (tally.predicted.total(), tally.n)
        for name, tally in counted.cells.items()
        if name.kind == "cohort" and tally.n
    )


def _send(cluster: Cluster, topic: str, value: bytes, at: float) -> set[Place]:
    """Send a record to each partition of a topic; return where those are that have its time."""
    producer = Producer({"bootstrap.servers": cluster.broker.bootstrap_servers, "log_level": 2})
    found: set[Place] = set()
    failed: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(str(error))
        elif message.timestamp()[1] == int(at * 1000):
            found.add(Place(message.partition() or 0, message.offset() or 0))

    partitions = producer.list_topics(topic, timeout=_DELIVERY_SECONDS).topics[topic].partitions
    for partition in partitions:
        producer.produce(
            topic, value, partition=partition, timestamp=int(at * 1000), on_delivery=delivered
        )
    left = producer.flush(_DELIVERY_SECONDS)
    if failed or left:
        raise RuntimeError(f"the last records of {topic} were not delivered: {left}, {failed[:3]}")
    return found if len(found) == len(partitions) else set()
