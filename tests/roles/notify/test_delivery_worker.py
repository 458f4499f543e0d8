"""A delivery worker goes on after what ends a membership of its group."""

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tidegauge.config.settings import Settings
from tidegauge.notify.channels import channel_to
from tidegauge.notify.config import ReceiverFile
from tidegauge.roles.notify import delivery_worker
from tidegauge.roles.notify.delivery_worker import DeliveryWorker
from tidegauge.roles.notify.withheld import SilenceFollower, WithheldStore
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import NotifyMetrics


class Members:
    """Memberships of the group, one after the other, each with a partition and no records."""

    partitions = frozenset({0})
    closed = 0

    def __call__(self, *_: object, **__: object) -> "Members":
        return self

    def next(self) -> None:
        return None

    def close(self) -> None:
        self.closed += 1


def test_without_the_topic_of_withheld_alerts_a_receiver_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other receivers of the process, and its other roles, go on meanwhile."""
    stop, health, tries = threading.Event(), Health(clock=lambda: 0.0), list[dict[str, Any]]()
    members = Members()

    def restore(store: WithheldStore, partitions: object) -> None:
        tries.append(dict(health.ready()[1]["conditions"]["receiver hook"]))
        if len(tries) > 1:
            stop.set()
        raise ValueError("there is no topic w; make it with: tidegauge topics create")

    monkeypatch.setattr(delivery_worker, "GroupReader", members)
    monkeypatch.setattr(delivery_worker, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(WithheldStore, "restore", restore)
    monkeypatch.setattr(SilenceFollower, "wait", lambda *_: True)
    receiver = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:1/"}
    given = ReceiverFile.model_validate({"receivers": [receiver]}).receivers[0]
    settings, metrics = Settings(), NotifyMetrics(CollectorRegistry())
    DeliveryWorker(
        channel_to(given),
        settings,
        silences=SilenceFollower(settings, metrics=metrics, health=health, stop=stop),
        metrics=metrics,
        health=health,
        stop=stop,
    ).run()
    assert (len(tries), members.closed) == (2, 2)
    assert tries[1]["state"] == "degraded" and "there is no topic w" in tries[1]["detail"]
