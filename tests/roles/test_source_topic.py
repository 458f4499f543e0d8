"""Asking for the source topic while a broker is lost. No broker."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tidegauge.config.settings import Settings
from tidegauge.counting.beginning import Counted
from tidegauge.kafka import clients
from tidegauge.roles import source_topic
from tidegauge.roles.source_topic import SourceTopic


class FakeAdmin:
    """The first one waits for a broker that is gone; those made later know the others."""

    made: list["FakeAdmin"]
    problem: int

    def __init__(self, config: dict[str, Any], **_: Any) -> None:
        self.lost = not self.made
        self.made.append(self)

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        if self.lost:
            answer.set_exception(KafkaException(KafkaError(self.problem)))
        else:
            answer.set_result(SimpleNamespace(topic_id="an id", partitions=[0, 1, 2]))
        return {"predictions": answer}


class Brokers:
    """What is in the source topic, and in the log of histograms."""

    def __init__(self) -> None:
        self.high = 40
        self.logged: dict[int, Counted] = {}

    def get_watermark_offsets(self, at: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self.high

    def counted(self, partitions: set[int], topic_id: str) -> dict[int, Counted]:
        return self.logged


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
def topic(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> SourceTopic:
    monkeypatch.setattr(clients, "AdminClient", FakeAdmin)
    monkeypatch.setattr(source_topic, "HistogramTail", lambda *_: brokers)
    FakeAdmin.made, FakeAdmin.problem = [], KafkaError._TIMED_OUT
    made = SourceTopic(
        Settings(),
        "predictions",
        brokers,  # type: ignore[arg-type]
        counted_in="tidegauge.histograms",
        monotonic=lambda: 0.0,
    )
    made.topic_id, made._asked_at = "an id", 0.0
    return made


@pytest.mark.parametrize("problem", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT])
def test_a_client_that_waits_for_a_lost_broker_is_replaced(
    topic: SourceTopic, problem: int
) -> None:
    FakeAdmin.problem = problem
    topic.check(moved=True)
    assert topic.partitions == 3
    assert len(FakeAdmin.made) == 2
    topic.check(moved=True)
    assert len(FakeAdmin.made) == 2


def test_what_the_brokers_refuse_another_client_would_not_be_told(topic: SourceTopic) -> None:
    FakeAdmin.problem = KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException):
        topic.check(moved=True)
    assert len(FakeAdmin.made) == 1


@pytest.mark.parametrize(("high", "end"), [(40, 50), (60, 60)])
def test_an_end_that_was_known_before_is_passed_on(
    topic: SourceTopic, brokers: Brokers, high: int, end: int
) -> None:
    """Or what was left of a topic that is deleted now would not be said to be lost."""
    brokers.high = high
    known = Counted(origin=0, to=30, topic_id="an id", end=50)
    topic.beginnings([TopicPartition("predictions", 0, 30, metadata=known.metadata())])
    assert topic.ends == {0: end}


@pytest.mark.parametrize("logged", [Counted(origin=0, to=30, topic_id="an id"), None])
def test_an_older_offset_with_its_metadata_is_not_believed(
    topic: SourceTopic, brokers: Brokers, logged: Counted | None
) -> None:
    """The brokers lost the offsets of a transaction whose histograms they kept."""
    brokers.logged = {} if logged is None else {0: logged}
    stale = Counted(origin=0, to=20, topic_id="an id")
    begun = topic.beginnings([TopicPartition("predictions", 0, 20, metadata=stale.metadata())])[0]
    if logged is None:
        assert (begun.begin, begun.happened) == (20, None)
    else:
        assert (begun.begin, begun.overlap, begun.happened) == (30, 10, "moved_back")
