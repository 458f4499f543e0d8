"""A session that has ended leaves nothing to the next one."""

import gc
import threading
import time
import weakref

import pytest
from prometheus_client import CollectorRegistry

from tidegauge.config.settings import Settings
from tidegauge.kafka import group_session as sessions
from tidegauge.kafka.group_session import SessionError
from tidegauge.roles.ingest import session as session_module
from tidegauge.roles.ingest.state import IngestState
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import IngestMetrics


def test_it_is_gone_with_its_clients_before_the_next_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began: list[weakref.ref[object]] = []
    still_there: list[int] = []

    class Session:
        """Ends twice with an error; is in a cycle, as one is by the callbacks of its consumer."""

        def __init__(self, *_: object, **__: object) -> None:
            still_there.append(sum(it() is not None for it in began))
            self.callback = self.run
            began.append(weakref.ref(self))

        def run(self, stop: threading.Event) -> None:
            if len(began) < 3:
                raise SessionError("fenced")

        def close(self) -> None:
            pass

    monkeypatch.setattr(session_module, "Session", Session)
    monkeypatch.setattr(sessions, "wait_random", lambda *_: lambda state: 0.0)
    monkeypatch.setattr(session_module.log, "disabled", True)  # pytest would keep the error
    state = IngestState(
        Settings(),
        promoted=dict,
        baselines_age=lambda: 0.0,
        metrics=IngestMetrics(CollectorRegistry()),
        health=Health(clock=time.monotonic, stall_seconds=60),
    )
    one = session_module.Combiner(state, threading.Event())
    gc.disable()  # a worker collects seldom
    try:
        one.run()
    finally:
        gc.enable()
    assert still_there == [0, 0, 0]
