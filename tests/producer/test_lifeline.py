"""A producer that has lost its brokers for good is noticed; one that only waits is not."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tidegauge.producer.librdkafka import ANSWER_SECONDS, QUIET_SECONDS, Lifeline


class Client:
    """Answers with the brokers that it knows; None: not at all."""

    def __init__(self, brokers: int | None) -> None:
        self.brokers = brokers
        self.asked: list[float] = []

    def list_topics(self, topic: str, timeout: float) -> Any:
        self.asked.append(timeout)
        if self.brokers is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(brokers=dict.fromkeys(range(self.brokers)))


class Bench:
    def __init__(self, own: int | None, other: int | None) -> None:
        self.now = 100.0
        self.own, self.other = Client(own), Client(other)
        self.lifeline = Lifeline(
            "predictions",
            {"reconnect.backoff.max.ms": 5_000},
            other=self._make,
            monotonic=lambda: self.now,
        )

    def _make(self, config: Mapping[str, object]) -> Client:
        return self.other

    def look(self, delivered: int, waiting: int, *, after: float) -> bool:
        self.now += after
        return self.lifeline.is_lost(self.own, delivered=delivered, waiting=waiting)


@pytest.mark.parametrize(
    ("own", "other", "lost"),
    [(None, 1, True), (0, 1, True), (1, 1, False), (None, None, False), (None, 0, False)],
)
def test_it_is_lost_if_the_brokers_answer_another_one_alone(
    own: int | None, other: int | None, lost: bool
) -> None:
    bench = Bench(own, other)
    assert not bench.look(7, 3, after=0)
    assert not bench.look(7, 9, after=QUIET_SECONDS - 1)
    assert bench.look(7, 9, after=1) is lost


def test_brokers_are_not_asked_while_anything_is_delivered_or_nothing_waits() -> None:
    bench = Bench(None, 1)
    for delivered in range(5):
        assert not bench.look(delivered, 3, after=QUIET_SECONDS)
    for _ in range(5):
        assert not bench.look(4, 0, after=QUIET_SECONDS)
    assert not bench.own.asked and not bench.other.asked


def test_a_producer_that_waits_before_it_connects_again_is_given_that_time() -> None:
    bench = Bench(1, 1)
    bench.look(7, 3, after=0)
    bench.look(7, 3, after=QUIET_SECONDS)
    assert bench.own.asked == [ANSWER_SECONDS + 10]


def test_it_is_not_asked_without_a_pause() -> None:
    bench = Bench(None, None)
    bench.look(7, 3, after=0)
    for _ in range(3):
        bench.look(7, 3, after=QUIET_SECONDS / 2)
    assert len(bench.other.asked) == 1
