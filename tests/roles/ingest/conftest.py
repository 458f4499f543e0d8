"""Whatever is said of counting is said of both decoders; and a session that asks no broker."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from support.counting import a_tenure
from support.decoders import decoder  # noqa: F401
from support.ingest_sessions import Clocks, Committed, QuietConsumer
from tidegauge.config.settings import Settings
from tidegauge.roles.ingest.session import Session
from tidegauge.roles.ingest.state import IngestState
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import IngestMetrics


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def health(clocks: Clocks) -> Health:
    return Health(clock=lambda: clocks.monotonic)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def session(clocks: Clocks, health: Health, registry: CollectorRegistry) -> Iterator[Session]:
    settings = Settings(kafka={"bootstrap_servers": "127.0.0.1:9"})
    state = IngestState(
        settings,
        promoted=dict,
        baselines_age=lambda: 2.5,
        metrics=IngestMetrics(registry),
        health=health,
        clock=lambda: clocks.wall,
        monotonic=lambda: clocks.monotonic,
    )
    made = Session(state)
    made.reader.tenure = a_tenure(0, 1)
    made.reader.tenure.began = clocks.monotonic
    for position in made.reader.tenure.positions.values():
        position.arrived = clocks.monotonic
    yield made
    made.close()


@pytest.fixture
def committed(session: Session, monkeypatch: pytest.MonkeyPatch) -> Committed:
    session.source.partitions = 1
    topics = session.state.settings.topics
    session.writer.partitions.update({topics.histograms: 1, topics.outcomes: 2})
    monkeypatch.setattr(session.reader, "consumer", QuietConsumer(session.reader.consumer))
    return Committed(monkeypatch)
