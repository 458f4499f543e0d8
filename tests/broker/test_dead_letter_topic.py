"""A dead-letter topic that refuses letters must not stop counting. A real broker, INGEST alone."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(180)

SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    "INGEST__FLUSH_SECONDS": "0.2",
    "INGEST__SESSION_TIMEOUT_SECONDS": "6",
}
DROPPED = "tidegauge_ingest_dead_letters_dropped_total"


class Ingest:
    """An INGEST worker that runs, what is sent to it, and what it has committed."""

    def __init__(self, broker: KafkaBroker, installation: Installation, child: Child) -> None:
        self.broker = broker
        self.installation = installation
        self.child = child
        self.sound: set[tuple[int, int]] = set()
        self.bad: set[tuple[int, int]] = set()
        self._producer = Producer(
            {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "log_level": 2}
        )
        self.histograms = TopicReader(broker, installation.topic("histograms"))

    def send(self, *, sound: int, bad: int, size: int = 3_000) -> None:
        """Send sound events and records that are no JSON, mixed over both partitions."""

        def note(kind: set[tuple[int, int]]) -> Any:
            return lambda error, message: kind.add((message.partition(), message.offset()))

        topic = self.installation.topic("predictions")
        event = {"time": time.time(), "model": "m", "version": "1", "features": {"x": 1}}
        for i in range(max(sound, bad)):
            if i < sound:
                value = json.dumps(event)
                self._producer.produce(topic, value, partition=i % 2, on_delivery=note(self.sound))
            if i < bad:
                value = bytes(32 + (i + j * 31) % 90 for j in range(size))
                self._producer.produce(topic, value, partition=i % 2, on_delivery=note(self.bad))
        assert self._producer.flush(30) == 0

    def counted(self) -> int:
        """Return the events in the histograms: the last word of each tenure on each cell."""
        for _ in self.histograms.more():
            pass
        cells: dict[tuple[Any, ...], tuple[int, int]] = {}
        for message in self.histograms.messages:
            record = json.loads(message.value())
            for cell in record["cells"]:
                key = (record["tenure"], cell["model"], cell["window_start"])
                cells[key] = max(cells.get(key, (0, 0)), (record["seq"], cell["events"]))
        return sum(events for _, events in cells.values())

    def wait_until_counted(self, *, seconds: float) -> None:
        def everything() -> bool:
            self.child.check_alive()
            return self.counted() == len(self.sound) and self.lag() == 0

        wait_until(
            everything,
            seconds=seconds,
            what=lambda: f"{len(self.sound)} events, it is {self.counted()}\n{self.child.tail()}",
        )

    def lag(self) -> float | None:
        return self.installation.gauge("tidegauge_ingest_lag_events")

    def dead_letters(self) -> list[dict[str, Any]]:
        reader = TopicReader(self.broker, self.installation.topic("dead_letters"))
        try:
            return [json.loads(message.value()) for message in reader.more()]
        finally:
            reader.close()

    def condition(self) -> dict[str, str]:
        answer = self.installation.http("/readyz")
        assert answer is not None, "nobody answers at /readyz"
        found: dict[str, str] = json.loads(answer[1])["conditions"]["dead_letters"]
        return found

    def dropped(self) -> float:
        return self.installation.gauge(f'{DROPPED}{{reason="invalid_json"}}') or 0.0


@contextmanager
def ingest(directory: Path, broker: KafkaBroker, redis_url: str) -> Iterator[Ingest]:
    installation = Installation(
        directory, unique("letters"), broker.bootstrap_servers, redis_url, SETTINGS
    )
    installation.create_topics()
    child = installation.start("run", "--role", "ingest")
    one = Ingest(broker, installation, child)
    try:
        installation.wait_ready(child)
        yield one
        assert child.stop() == 0, child.tail()
    finally:
        child.stop()
        one.histograms.close()


def limit(broker: KafkaBroker, topic: str, max_bytes: int) -> None:
    entry = ConfigEntry(
        "max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = broker.admin()  # kept in a variable: what it does ends with it
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def origins(letters: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return sorted((letter["partition"], letter["offset"]) for letter in letters)


def test_letters_too_large_for_their_topic_arrive_without_payload(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    with ingest(tmp_path, kafka_broker, redis_url) as one:
        one.send(sound=50, bad=5)
        one.wait_until_counted(seconds=20)
        assert one.condition()["state"] == "ok"
        limit(kafka_broker, one.installation.topic("dead_letters"), 2_000)
        # Many in one flush: together they are far beyond the limit even without their payloads.
        one.send(sound=500, bad=200)
        one.wait_until_counted(seconds=40)
        condition = one.condition()
        assert condition["state"] == "degraded" and "MSG_SIZE_TOO_LARGE" in condition["detail"]
        assert one.dropped() == 0
        letters = one.dead_letters()
        assert origins(letters) == sorted(one.bad), "each bad record's origin, and once"
        assert {letter["payload"] is None for letter in letters} == {True, False}
        for letter in letters:
            assert letter["payload_bytes"] == 3_000 and letter["detail"]
            assert letter["payload_truncated"] == (letter["payload"] is None)


def test_counting_goes_on_without_a_dead_letter_topic_and_says_how_many_were_not_sent(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    with ingest(tmp_path, kafka_broker, redis_url) as one:
        one.send(sound=50, bad=5)
        one.wait_until_counted(seconds=20)
        assert len(one.dead_letters()) == 5
        admin = kafka_broker.admin()
        for future in admin.delete_topics([one.installation.topic("dead_letters")]).values():
            future.result(30)
        one.send(sound=300, bad=12)
        one.wait_until_counted(seconds=90)
        assert one.dropped() == 12
        condition = one.condition()
        assert condition["state"] == "degraded" and "12 were not sent" in condition["detail"]
        answer = one.installation.http("/readyz")
        assert answer is not None and answer[0] == 200, "counting goes on"
        assert "12 dead letters were not sent" in one.child.output()


def test_counting_goes_on_if_writing_dead_letters_is_forbidden(
    tmp_path: Path, redis_url: str
) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    with (tmp_path / "broker" / "server.properties").open("a") as config:
        config.write(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
            "allow.everyone.if.no.acl.found=true\n"
        )
    broker.start()
    try:
        with ingest(tmp_path / "installation", broker, redis_url) as one:
            one.send(sound=50, bad=5)
            one.wait_until_counted(seconds=20)
            # As soon as there is one rule for a topic, what no rule allows is forbidden.
            only_reading = AclBinding(
                ResourceType.TOPIC,
                one.installation.topic("dead_letters"),
                ResourcePatternType.LITERAL,
                "User:ANONYMOUS",
                "*",
                AclOperation.READ,
                AclPermissionType.ALLOW,
            )
            admin = broker.admin()
            for future in admin.create_acls([only_reading]).values():
                future.result(30)
            one.send(sound=300, bad=12)
            one.wait_until_counted(seconds=60)
            # What was sent before the broker had learnt of it arrived whole; nothing came twice.
            letters = one.dead_letters()
            assert len(set(origins(letters))) == len(letters) == len(one.bad) - one.dropped()
            assert "TOPIC_AUTHORIZATION_FAILED" in one.condition()["detail"]
    finally:
        broker.stop()
