"""Which topics can't be written: what the brokers know of replicas, put into words and a state."""

import threading
from types import SimpleNamespace
from typing import ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry

from tidegauge.config.settings import Settings
from tidegauge.kafka.acls import AclRole, written_by
from tidegauge.kafka.topics import topic_specs
from tidegauge.kafka.watches import AWAY_SECONDS, Replicas, TopicWatch, describe_unwritable
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import CommonMetrics

ROLES: tuple[AclRole, ...] = ("ingest", "outcomes", "detect", "notify", "ledger")


def watch(*roles: AclRole) -> TopicWatch:
    health, metrics = Health(clock=lambda: 0.0), CommonMetrics(CollectorRegistry(), "all")
    return TopicWatch(Settings(), roles, metrics=metrics, health=health, stop=threading.Event())


def test_a_topic_with_its_replicas_in_sync_can_be_written() -> None:
    assert describe_unwritable("t", [Replicas(0, True, 2), Replicas(1, True, 3)], 2) is None


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        ([Replicas(0, True, 1)], "partitions [0] have fewer than min.insync.replicas=2 in sync"),
        ([Replicas(7, False, 2), Replicas(3, False, 0)], "partitions [3, 7] have no leader"),
        (
            [Replicas(0, False, 1), Replicas(1, True, 1)],
            "partitions [0] have no leader and "
            "partitions [1] have fewer than min.insync.replicas=2 in sync",
        ),
    ],
)
def test_a_topic_that_cannot_is_named_with_its_partitions(
    partitions: list[Replicas], said: str
) -> None:
    assert describe_unwritable("t", partitions, 2) == f"topic t can't be written: {said}"


def test_of_very_many_partitions_some_are_named() -> None:
    said = describe_unwritable("t", [Replicas(n, False, 0) for n in range(500)], 1)
    assert said is not None
    assert "partitions [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] and 490 more have no leader" in said


def test_a_process_fails_only_for_topics_that_it_cannot_do_without() -> None:
    ingest = watch("ingest")
    assert ingest.condition({}) == ("ok", "")
    assert ingest.condition({"tidegauge.dead-letters": "no letters"})[0] == "degraded"
    assert ingest.condition(
        {"tidegauge.histograms": "no histograms", "tidegauge.dead-letters": "no letters"}
    ) == ("failed", "no letters; no histograms")
    assert watch("notify").condition({"tidegauge.withheld": "none withheld"})[0] == "degraded"


def test_what_one_role_needs_another_one_in_the_process_needs_too() -> None:
    written = written_by(Settings(), ROLES)
    assert not written.required & written.others
    assert "tidegauge.audit" in written.required


def test_every_topic_that_is_written_by_us_is_looked_after() -> None:
    written = written_by(Settings(), ROLES)
    topics = Settings().topics
    # What others write: producers, people.
    others = {topics.predictions, topics.labels, topics.acknowledgements, topics.silences}
    ours = {name for name in written.required | written.others if not name.startswith("__")}
    assert ours == {spec.name for spec in topic_specs(Settings())} - others


def test_a_client_that_has_lost_the_brokers_for_good_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one does whose broker leaves itself out of an answer while it stops (librdkafka 5301)."""

    class Client:
        made: ClassVar[list["Client"]] = []
        brokers_are_back = False

        def __init__(self, *_: object, **__: object) -> None:
            self.is_lost = not Client.brokers_are_back
            self.is_closed = False
            Client.made.append(self)

        def list_topics(self, *names: str, timeout: float) -> SimpleNamespace:
            if self.is_lost:
                raise KafkaException(KafkaError(KafkaError._TRANSPORT, "no broker"))
            return SimpleNamespace(topics={})

        def close(self) -> None:
            self.is_closed = True

    now = 0.0
    monkeypatch.setattr("tidegauge.kafka.watches.reader", Client)
    health = Health(clock=lambda: now)
    one = TopicWatch(
        Settings(),
        ROLES,
        metrics=CommonMetrics(CollectorRegistry(), "all"),
        health=health,
        stop=threading.Event(),
        clock=lambda: now,
    )
    one.check()
    assert len(Client.made) == 1, "they have been away for a moment only"
    now = AWAY_SECONDS
    one.check()
    assert not health.ready()[0]
    Client.brokers_are_back = True
    now += 1
    one.check()
    one.check()
    assert health.ready()[0]
    assert [client.is_closed for client in Client.made] == [True, True, False]


def test_a_watch_that_is_to_stop_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is stopped while it waits for its brokers would wait for an answer to it."""

    class Client:
        is_closed = False

        def list_topics(self, *names: str, timeout: float) -> SimpleNamespace:
            raise AssertionError("asked after the stop")

        def close(self) -> None:
            self.is_closed = True

    client = Client()
    monkeypatch.setattr("tidegauge.kafka.watches.reader", lambda *_, **__: client)
    one = watch("ingest")
    one.stop.set()
    one.run()
    assert client.is_closed
