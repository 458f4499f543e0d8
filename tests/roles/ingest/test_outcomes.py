"""Predictions and labels are committed with the offsets that they follow from, or not at all."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.awaited import YES_NO, awaiting
from support.counting import FakeMessage, a_baseline, a_tenure, as_json, event, promote
from support.ingest_sessions import Clocks, Committed, QuietConsumer
from tidegauge.config.settings import Settings
from tidegauge.kafka import KafkaError, KafkaException, SessionError
from tidegauge.roles.ingest.labels import LabelState, route_labels
from tidegauge.roles.ingest.session import Combiner, Session
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.label_metrics import LabelMetrics

PROMOTED = promote(a_baseline())


def _kinds(committed: Committed) -> list[tuple[str, str, bool]]:
    return [
        (topic, record["kind"], bool(record.get("entries") or record.get("labels")))
        for topic, _, record in committed.others
    ]


def _count(session: Session, *values: bytes) -> None:
    reader = session.reader
    with awaiting(YES_NO):
        reader.counter.use(PROMOTED, reader.tenure)
    first = reader.tenure.positions[0].to
    reader.take([FakeMessage(it, 0, first + i) for i, it in enumerate(values)])  # type: ignore[misc]


def test_predictions_go_with_the_counts_and_once_though_a_flush_fails(
    session: Session, committed: Committed
) -> None:
    _count(session, as_json(event(id="a", prediction=0.5)))
    committed.fails.append(KafkaException(KafkaError(KafkaError._TRANSPORT)))
    with pytest.raises(Exception, match="flush failed"):
        session.flush()
    assert committed.others == []
    session.flush()
    topic = session.state.settings.topics.outcomes
    assert _kinds(committed) == [(topic, "predictions", True), (topic, "predictions", False)]
    assert len(committed.records) == 1
    session.flush()
    assert len(committed.others) == 2


def test_predictions_that_were_not_committed_are_dropped_with_the_counts(
    session: Session, committed: Committed
) -> None:
    _count(session, as_json(event(id="a", prediction=0.5)))
    session.reader.counter.settle(session.reader.tenure)
    session.reader.tenure = session.reader.tenure.rewound(0.0)
    session.flush()
    assert committed.others == []


def test_without_a_target_the_topic_of_outcomes_is_not_even_asked_for(
    session: Session, committed: Committed
) -> None:
    session.writer.partitions.pop(session.state.settings.topics.outcomes)
    session.reader.take([FakeMessage(as_json(event(id="a")), 0, 0)])  # type: ignore[list-item]
    session.flush()
    assert (len(committed.records), committed.others) == (1, [])


def test_predictions_are_counted_while_there_is_no_topic_of_outcomes(
    session: Session,
    committed: Committed,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an upgrade from a release that had none."""
    session.writer.partitions.pop(session.state.settings.topics.outcomes)

    def missing(topic: str) -> int:
        raise SessionError(f"topic {topic} is not there")

    waits: list[float] = []
    monkeypatch.setattr("tidegauge.roles.ingest.reader_writer.time.sleep", waits.append)
    monkeypatch.setattr(session.source, "partitions_of", missing)
    for id in ("of before", "of before, too"):
        _count(session, as_json(event(id=id, prediction=0.5)))
        session.flush()
    assert waits == [1.0], "only the first flush waits for it"
    committed.records.clear()
    _count(session, as_json(event(id="a", prediction=0.5)))
    session.flush()
    assert (len(committed.records), committed.others) == (1, [])
    metric, value = "tidegauge_ingest_awaited_predictions_total", registry.get_sample_value
    assert [value(metric, {"result": it}) for it in ("routed", "no_topic")] == [0, 3]
    session.writer.partitions[session.state.settings.topics.outcomes] = 2
    _count(session, as_json(event(id="b", prediction=0.5)))
    session.flush()
    assert [kind for _, kind, entries in _kinds(committed) if entries] == ["predictions"]
    assert [value(metric, {"result": it}) for it in ("routed", "no_topic")] == [1, 3]


def test_a_broker_that_knows_no_topic_for_a_moment_costs_no_prediction(
    session: Session, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that has just come up."""
    topic = session.state.settings.topics.outcomes
    session.writer.partitions.pop(topic)
    asked: list[str] = []

    def partitions_of(topic: str) -> int:
        asked.append(topic)
        if len(asked) == 1:
            raise SessionError(f"topic {topic} is not there")
        return 2

    monkeypatch.setattr("tidegauge.roles.ingest.reader_writer.time.sleep", lambda _: None)
    monkeypatch.setattr(session.source, "partitions_of", partitions_of)
    _count(session, as_json(event(id="a", prediction=0.5)))
    session.flush()
    assert (topic, "predictions", True) in _kinds(committed)


@pytest.fixture
def labels(clocks: Clocks, health: Health, registry: CollectorRegistry) -> LabelState:
    return LabelState(
        Settings(kafka={"bootstrap_servers": "127.0.0.1:9"}),
        promoted=lambda: PROMOTED,
        baselines_age=lambda: 0.0,
        metrics=LabelMetrics(registry),
        health=health,
        clock=lambda: clocks.wall,
        monotonic=lambda: clocks.monotonic,
        stop=threading.Event(),
    )


@pytest.fixture
def routing(labels: LabelState, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    made = Session(labels)
    made.reader.tenure = a_tenure(0)
    made.source.partitions = 1
    made.writer.partitions[labels.destination] = 2
    monkeypatch.setattr(made.reader, "consumer", QuietConsumer(made.reader.consumer))
    yield made
    made.close()


def _label(**fields: Any) -> bytes:
    return json.dumps({"id": "a", "actual": 1, **fields}).encode()


def test_labels_and_their_dead_letters_are_committed_by_the_sessions_that_count(
    routing: Session, monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    committed = Committed(monkeypatch)
    _count(routing, _label(), b"{", _label(id="b", model="another"))
    committed.fails.append(KafkaException(KafkaError(KafkaError._TRANSPORT)))
    with pytest.raises(Exception, match="flush failed"):
        routing.flush()
    routing.flush()
    assert committed.records == []
    assert _kinds(committed) == [("tidegauge.outcomes", "labels", True)]
    letters = [(it["reason"], it.get("label_problem"), it["offset"]) for it in committed.letters[0]]
    assert letters == [("invalid_json", None, 1), ("invalid_record", "no_target", 2)]
    value = registry.get_sample_value
    assert value("tidegauge_label_router_labels_total", {"named": "id"}) == 1
    dead = "tidegauge_label_router_dead_letters_total"
    assert value(dead, {"reason": "no_target"}) == value(dead, {"reason": "invalid_json"}) == 1
    assert routing.reader.tenure.positions[0].since == 3


def test_nothing_that_happens_to_labels_ends_the_process_or_makes_it_not_ready(
    labels: LabelState, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(combiner: Combiner) -> None:
        seen.append(health.conditions().get("labels"))
        if len(seen) == 1:
            raise ValueError("nobody has foreseen this")
        labels.stop.set()

    monkeypatch.setattr(Combiner, "run", run)
    monkeypatch.setattr("tidegauge.roles.ingest.labels._AGAIN_SECONDS", 0)
    route_labels(labels)
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1][0] == "degraded"
    assert "nobody has foreseen this" in seen[1][1]
    labels.report("failed", "no topic")
    labels.progress.lag(7, "they wait")
    assert health.ready()[0]
    assert health.live()[0]


def test_labels_give_way_while_events_wait_to_be_counted(labels: LabelState) -> None:
    waited = []
    labels.stop.wait = waited.append  # type: ignore[method-assign, assignment]
    for events, expected in ((0, []), (10**6, [1.5])):
        labels.events_waiting = lambda events=events: events  # type: ignore[misc]
        labels.rest(0.5)
        assert waited == expected
