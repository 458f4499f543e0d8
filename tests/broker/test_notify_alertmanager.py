"""Alerts in a real Alertmanager: firing, kept firing over restarts of either side, and resolved."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.alertmanager import Alertmanager
from support.delivery import Delivery, numbered, wait_committed
from support.http_sink import HttpSink
from support.processes import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def manager(tmp_path: Path, delivery: Delivery) -> Iterator[Alertmanager]:
    one = Alertmanager(tmp_path, delivery.sink().url)
    one.start()
    yield one
    one.stop()


def to(manager: Alertmanager, **options: Any) -> dict[str, Any]:
    return {"name": "am", "type": "alertmanager", "url": manager.url, **options}


def told(sink: HttpSink) -> list[tuple[str, str, str]]:
    """Return status, rule and model of all that Alertmanager has told."""
    return [
        (alert["status"], alert["labels"]["alertname"], alert["labels"]["model"])
        for request in sink.requests
        for alert in json.loads(request.body)["alerts"]
    ]


def wait_alerts(manager: Alertmanager, models: set[str]) -> list[dict[str, Any]]:
    def found() -> set[str]:
        return {alert["labels"]["model"] for alert in manager.alerts()}

    wait_until(
        lambda: found() == models, seconds=30, what=lambda: f"{models} fire, it is {found()}"
    )
    return manager.alerts()


def test_an_alert_fires_and_is_resolved(delivery: Delivery, manager: Alertmanager) -> None:
    (sink,) = delivery.sinks
    delivery.delivery_worker(to(manager))
    firing = numbered(0, severity="critical", variant="canary", segment={"region": "EU"})
    delivery.send(firing)
    (alert,) = wait_alerts(manager, {"credit"})
    assert alert["labels"] == {
        "alertname": "drift",
        "severity": "critical",
        "model": "credit",
        "version": "3",
        "variant": "canary",
        "segment": "region=EU",
        "signal": "income",
        "team": "lending",
    }
    assert alert["annotations"]["summary"] == firing.summary
    assert alert["startsAt"] == "2026-03-01T12:00:00.000Z"
    wait_until(
        lambda: told(sink) == [("firing", "drift", "credit")],
        seconds=20,
        what=lambda: f"told, it is {told(sink)}",
    )
    resolved = numbered(
        0, "resolved", severity="critical", variant="canary", segment={"region": "EU"}
    )
    delivery.send(resolved)
    wait_alerts(manager, set())
    wait_until(
        lambda: told(sink)[1:] == [("resolved", "drift", "credit")],
        seconds=20,
        what=lambda: f"told of the end, it is {told(sink)}",
    )
    (end,) = json.loads(sink.requests[-1].body)["alerts"]
    assert end["endsAt"] == "2026-03-01T12:10:00Z" and resolved.ends_at == 1772367000


def test_what_fires_comes_back_after_alertmanager_has_forgotten_it(
    delivery: Delivery, manager: Alertmanager
) -> None:
    delivery.delivery_worker(to(manager, resend_seconds=0.5))
    delivery.send(
        numbered(0, model="a"), numbered(1, model="b"), numbered(1, "resolved", model="b")
    )
    wait_alerts(manager, {"a"})
    manager.kill()
    wait_until(lambda: delivery.condition("am")["state"] == "degraded", seconds=20, what="degraded")
    manager.start()
    wait_alerts(manager, {"a"})
    wait_until(lambda: delivery.condition("am")["state"] == "ok", seconds=20, what="ok")


def test_who_begins_anew_holds_what_fires_from_the_topic_and_not_what_has_ended(
    delivery: Delivery, manager: Alertmanager
) -> None:
    delivery.send(
        numbered(0, model="a"),
        numbered(1, model="b"),
        numbered(2, model="low", severity="low"),
        numbered(1, "resolved", model="b"),
    )
    match = {"severities": ["medium", "high", "critical"]}
    # With so short a round, an alert that isn't sent again ends by itself within two seconds.
    receiver = to(manager, resend_seconds=0.5, match=match)
    delivery.delivery_worker(receiver)
    wait_alerts(manager, {"a"})
    delivery.stop()
    wait_alerts(manager, set())
    delivery.send(numbered(3, model="c"))
    delivery.delivery_worker(receiver)
    wait_alerts(manager, {"a", "c"})
    wait_committed(delivery, "am", 5)
    (sink,) = delivery.sinks
    assert not {model for _, _, model in told(sink)} & {"b", "low"}
