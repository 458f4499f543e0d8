"""Whether the brokers answer: not ready after ten seconds without, ready at the first answer."""

import logging
import threading

import pytest
from prometheus_client import CollectorRegistry

from tidegauge.config.sections import KafkaSettings
from tidegauge.config.settings import Settings
from tidegauge.kafka.watches import AWAY_SECONDS, TopicWatch
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import CommonMetrics


class Asked:
    def __init__(self) -> None:
        self.now = 100.0
        self.health = Health(clock=lambda: self.now)
        self.watch = TopicWatch(
            Settings(kafka=KafkaSettings(bootstrap_servers="kafka:9092")),
            ["ingest"],
            metrics=CommonMetrics(CollectorRegistry(), "ingest"),
            health=self.health,
            stop=threading.Event(),
            clock=lambda: self.now,
        )

    @property
    def ready(self) -> bool:
        return self.health.ready()[0]


def test_a_broker_that_restarts_does_not_make_a_process_unready() -> None:
    one = Asked()
    one.now += AWAY_SECONDS - 1
    one.watch.no_answer("timed out")
    assert one.ready and not one.watch.away
    one.watch.answered()
    one.now += AWAY_SECONDS - 1
    one.watch.no_answer("timed out")
    assert one.ready


def test_after_ten_seconds_without_an_answer_it_says_so_until_one_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = Asked()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            one.now += AWAY_SECONDS
            one.watch.no_answer("timed out")
    assert not one.ready and one.watch.away
    state, detail = one.health.conditions()["kafka"]
    assert state == "failed"
    assert detail.startswith("no answer from the brokers (kafka:9092) for 30 s: timed out;")
    assert len(caplog.records) == 1, "a long outage is logged once"
    one.watch.answered()
    assert one.ready and not one.watch.away
    assert one.health.conditions()["kafka"] == ("ok", "")
