"""What the brokers are asked by DETECT, where one of its clients has lost them."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tidegauge.config.sections import KafkaSettings
from tidegauge.kafka import clients
from tidegauge.kafka.backfill import Offsets


class FakeAdmin:
    """The first one has lost its brokers; those made later reach them."""

    def __init__(self, *, lost: bool) -> None:
        self._lost = lost

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        if self._lost:
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        else:
            answer.set_result(SimpleNamespace(topic_id="an id", partitions=[0]))
        return {"histograms": answer}


def test_an_admin_client_that_gets_no_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeAdmin] = []

    def make(*_: Any, **__: Any) -> FakeAdmin:
        made.append(FakeAdmin(lost=not made))
        return made[-1]

    monkeypatch.setattr(clients, "AdminClient", make)
    asked = Offsets(KafkaSettings(), "group")
    asked._consumer.close()
    asked._consumer = SimpleNamespace(  # type: ignore[assignment]
        list_topics=lambda topic, timeout: SimpleNamespace(controller_id=1, brokers={1: None})
    )
    with pytest.raises(KafkaException):
        asked.topic_id("histograms")
    assert asked.topic_id("histograms") == "an id"
    assert len(made) == 2
