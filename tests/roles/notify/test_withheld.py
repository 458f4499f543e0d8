"""The follower of silences, on a topic that is not whole."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tidegauge.config.settings import Settings
from tidegauge.roles.notify import withheld
from tidegauge.roles.notify.withheld import SilenceFollower
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import NotifyMetrics


def test_a_topic_without_partitions_is_reported_and_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its end would never be reached, so nothing would ever be delivered."""
    stop, health, settings = threading.Event(), Health(clock=lambda: 0.0), Settings()
    made: list[Any] = []

    class Consumer:
        def __init__(self, *_: object, **__: object) -> None:
            made.append(self)
            if len(made) == 2:
                stop.set()

        def list_topics(self, topic: str, timeout: float) -> Any:
            found = SimpleNamespace(error=None, partitions={})
            return SimpleNamespace(topics={topic: found})

        def assign(self, partitions: list[object]) -> None:
            raise AssertionError(f"assigned {partitions}")

        def close(self) -> None: ...

    monkeypatch.setattr(withheld, "reader", Consumer)
    monkeypatch.setattr(withheld, "_AGAIN_SECONDS", 0.01)
    follower = SilenceFollower(
        settings, metrics=NotifyMetrics(CollectorRegistry()), health=health, stop=stop
    )
    follower.run()
    assert len(made) == 2 and not follower.wait(0)
    conditions: Any = health.ready()[1]["conditions"]
    assert conditions["silences"]["state"] == "degraded"
    assert "can't be read" in conditions["silences"]["detail"]
