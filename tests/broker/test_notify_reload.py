"""A file of receivers that changes under a NOTIFY at work: receivers come, go and change."""

import threading
from pathlib import Path

import pytest
import yaml

from support.delivery import Delivery, ids, numbered, wait_ids, webhook
from support.processes import wait_until
from tidegauge.config.files import LOOK_SECONDS
from tidegauge.roles.active_config import ActiveConfig
from tidegauge.roles.notify.notifier import Notifier

pytestmark = pytest.mark.timeout(120)


class Process:
    """A NOTIFY whose main loop the test turns, by a clock of its own."""

    def __init__(self, delivery: Delivery, path: Path, *receivers: object) -> None:
        self.delivery, self.path, self.now = delivery, path, 0.0
        self.told: list[ActiveConfig] = []
        self.failures: list[BaseException] = []
        self.write(*receivers)
        self.notifier = Notifier(
            delivery.settings,
            path,
            metrics=delivery.metrics,
            health=delivery.health,
            failed=self.failures.append,
            in_force=self.told.append,
            clock=lambda: self.now,
        )
        self.notifier.start()

    def write(self, *receivers: object) -> None:
        self.path.write_text(yaml.safe_dump({"receivers": list(receivers)}))

    def look(self) -> dict[str, dict[str, str]]:
        self.now += LOOK_SECONDS
        self.notifier.look()
        return self.delivery.conditions()

    def wait_delivers(self, *names: str) -> None:
        """Look until these receivers are delivered to, and no others."""

        def delivers() -> set[str]:
            found = self.look()
            return {
                name.removeprefix("receiver ")
                for name, condition in found.items()
                if name.startswith("receiver ") and condition["detail"] == ""
            }

        wait_until(
            lambda: delivers() == set(names),
            seconds=60,
            what=lambda: f"{names}, it is {delivers()}",
        )


def courier_threads() -> dict[str, threading.Thread]:
    return {one.name: one for one in threading.enumerate() if one.name.startswith("receiver ")}


def test_receivers_come_go_and_change_and_a_wrong_file_changes_nothing(
    delivery: Delivery, tmp_path: Path
) -> None:
    stays, goes, comes = delivery.sink(), delivery.sink(), delivery.sink()
    path = tmp_path / "receivers.yaml"
    process = Process(delivery, path, webhook(stays, "stays"), webhook(goes, "goes"))
    try:
        process.wait_delivers("stays", "goes")
        delivery.send(numbered(0))
        for sink in (stays, goes):
            wait_ids(sink, ["id-0"])
        assert courier_threads().keys() == {"receiver stays", "receiver goes"}

        process.write(webhook(stays, "stays"), webhook(comes, "comes"))
        process.wait_delivers("stays", "comes")
        wait_until(
            lambda: courier_threads().keys() == {"receiver stays", "receiver comes"},
            seconds=20,
            what="the courier that is gone has ended",
        )

        def forgotten() -> bool:
            process.look()  # which sees that the thread has ended
            delivered = "tidegauge_notify_delivered_total"
            return delivery.registry.get_sample_value(delivered, {"receiver": "goes"}) is None

        wait_until(forgotten, seconds=20, what="its metrics are gone")
        delivery.send(numbered(1))
        for sink, expected in ((stays, ["id-0", "id-1"]), (comes, ["id-1"])):
            wait_ids(sink, expected)

        path.write_text("receivers: [{name: stays, type: webhok}]\n")
        for _ in range(3):
            found = process.look()
        assert found["receivers"]["state"] == "degraded"
        assert "receivers.yaml:1:" in found["receivers"]["detail"]
        assert delivery.metric("tidegauge_notify_receivers_file_ok") == 0
        delivery.send(numbered(2))
        for sink, expected in ((stays, ["id-0", "id-1", "id-2"]), (comes, ["id-1", "id-2"])):
            wait_ids(sink, expected)

        # One that is changed goes on where it was.
        only = webhook(stays, "stays", match={"severities": ["critical"]})
        process.write(only, webhook(comes, "comes"))
        before = courier_threads()["receiver stays"]
        wait_until(
            lambda: (
                process.look() and courier_threads().get("receiver stays", before) is not before
            ),
            seconds=20,
            what="another courier",
        )
        process.wait_delivers("stays", "comes")
        delivery.send(numbered(3), numbered(4, severity="critical"))
        wait_ids(comes, ["id-1", "id-2", "id-3", "id-4"])
        wait_ids(stays, ["id-0", "id-1", "id-2", "id-4"])
        assert process.look()["receivers"] == {"state": "ok", "detail": ""}
        assert ids(goes) == ["id-0"]
        assert [sorted(one.entries) for one in process.told] == [
            ["goes", "stays"], ["comes", "stays"], ["comes", "stays"],
        ]  # fmt: skip
        assert len({one.sha256 for one in process.told}) == 3
    finally:
        process.notifier.close()
    assert process.failures == []
