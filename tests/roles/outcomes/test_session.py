"""Flushes of OUTCOMES while the group is rebalanced. No broker."""

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.counting import NOW
from tidegauge.config.settings import Settings
from tidegauge.counting.tenure import Position
from tidegauge.kafka import RebalancingError, SessionError
from tidegauge.roles.outcomes import session as module
from tidegauge.roles.outcomes.session import Outcomes, Session
from tidegauge.telemetry import OutcomeMetrics
from tidegauge.telemetry.health import Health


class Brokers:
    """Stands for all that a session speaks to; ``refuses`` flushes, as while it is rebalanced."""

    def __init__(self) -> None:
        self.now = NOW
        self.refuses = 0
        self.flushes: list[float] = []
        self.stop = threading.Event()
        #: When the worker is stopped.
        self.until = NOW
        self.topic: Any = self
        self.topic_id, self.partitions = "a", 1

    def commit(self, *_: Any, **__: Any) -> None:
        self.flushes.append(self.now)
        if self.refuses:
            self.refuses -= 1
            raise RebalancingError("the group has another generation")

    def consume(self, *_: Any) -> list[Any]:
        self.now += 0.5
        if self.now >= self.until:
            self.stop.set()
        return []

    def partitions_of(self, topic: str) -> int:
        return 1

    def lag(self, positions: object) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
def session(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name in ("outcomes_consumer", "outcomes_producer", "OutcomeLog", "Membership"):
        monkeypatch.setattr(module, name, lambda *_, **__: brokers)
    monkeypatch.setattr(module, "commit", brokers.commit)
    role = Outcomes(
        Settings(),
        OutcomeMetrics(CollectorRegistry()),
        Health(clock=lambda: brokers.now),
        brokers.stop,
        clock=lambda: brokers.now,
        monotonic=lambda: brokers.now,
    )
    made = Session(role)
    made.state.positions[0] = Position(origin=0, start=0, since=0, to=5, arrived=NOW)
    made.state.joins[0] = made.state.new_join()
    return made


def test_a_stop_while_the_group_is_rebalanced_ends_the_session_alone(
    session: Session, brokers: Brokers
) -> None:
    """As all workers of a deployment are stopped at once; what isn't committed is joined again."""
    brokers.refuses = 1
    with pytest.raises(SessionError, match="another generation"):
        session.run(brokers.stop)
    assert len(brokers.flushes) == 1


def test_a_flush_that_is_put_off_is_tried_again_soon_however_many_cells_wait(
    session: Session, brokers: Brokers
) -> None:
    session.state.changed_cells = 2_000
    brokers.refuses, brokers.until = 2, NOW + 25
    session.run(brokers.stop)
    assert [at - NOW for at in brokers.flushes] == [10, 11, 12, 22, 25]
