"""What the supervisor notes of workers that are asked to leave."""

import sys
from pathlib import Path

import pytest

from chaos.plan.faults import Role
from chaos.site import supervisor as module
from chaos.site.supervisor import Slot, Supervisor
from support.processes import free_port, wait_until

#: Says that it is up, and ends as it is told by SIGTERM, or not at all. A second SIGTERM must not
#: hit it on the way out.
LEAVES = (
    "import signal, sys;"
    "leave = lambda *_: (signal.signal(15, signal.SIG_IGN), sys.exit(0));"
    "signal.signal(15, leave); print('up', flush=True)"
)
STAYS = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
FOREVER = "; import threading; threading.Event().wait()"


def slot(role: Role, what: str, directory: Path) -> Slot:
    command = [sys.executable, "-c", what + FOREVER]
    return Slot(role, 0, command, {}, free_port(), directory)


def test_whether_a_worker_left_by_itself_or_was_killed_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAVE_SECONDS", 0.5)
    slots = [slot("ingest", LEAVES, tmp_path), slot("detect", STAYS, tmp_path)]
    said: list[str] = []
    supervisor = Supervisor(slots, said.append)
    supervisor.start()
    try:
        for one in slots:
            wait_until(
                lambda one=one: one.child is not None and "up" in one.child.output(),  # type: ignore[misc]
                seconds=20,
                what=f"{one.name} is up",
            )
            supervisor.terminate(one, "a test")
            supervisor.terminate(one, "asked again, which changes nothing")
        wait_until(lambda: len(supervisor.left) == 2, seconds=20, what="both have ended")
        # The supervisor starts them again, and what it saw to itself is no failure of theirs.
        for one in slots:
            wait_until(lambda one=one: one.child is not None, seconds=20, what="it is started")  # type: ignore[misc]
        assert not supervisor.unplanned
    finally:
        supervisor.kill_all()
    left = {one.name: one for one in supervisor.left}
    assert left["ingest-0"].code == 0
    assert left["ingest-0"].seconds < 5
    assert left["detect-0"].code == -9
    assert left["detect-0"].seconds >= 0.5
    assert any("detect-0 has not left" in line for line in said)
