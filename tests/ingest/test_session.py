"""One session of the combiner: what a round of messages does to positions. No broker is asked."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from prometheus_client import CollectorRegistry

from support.counting import NOW, FakeMessage, a_tenure, as_json, cells_of, event
from tidegauge.ingest import combiner
from tidegauge.ingest.combiner import DEAD_LETTERS, Combiner, Session, SessionError
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, IngestMetrics

END = KafkaError(KafkaError._PARTITION_EOF)


class NoOffsetMessage(FakeMessage):
    """An error of the consumer's: without an offset."""

    def offset(self) -> Any:
        return None


@pytest.fixture
def session() -> Iterator[Session]:
    settings = Settings(kafka={"bootstrap_servers": "127.0.0.1:9"})
    made = Session(
        settings,
        promoted=dict,
        metrics=IngestMetrics(CollectorRegistry()),
        health=Health(clock=lambda: 0.0),
        clock=lambda: NOW,
    )
    made._tenure = a_tenure(0, 1)
    yield made
    made.close()


def _events(session: Session) -> int:
    session._counter.settle(session._tenure)
    return sum(cell.events for cell in cells_of(session._tenure).values())


def _event(partition: int, offset: int) -> FakeMessage:
    return FakeMessage(as_json(event()), partition, offset)


def test_positions_follow_the_last_record_of_each_partition(session: Session) -> None:
    session._take([_event(0, 5), _event(1, 2), _event(0, 9), FakeMessage(b"bad", 0, 10)])
    assert {p: at.to for p, at in session._tenure.positions.items()} == {0: 11, 1: 3}
    assert not session._tenure.positions[0].caught_up


def test_the_end_of_a_partition_is_its_position_until_a_record_comes(session: Session) -> None:
    session._take([_event(0, 5), FakeMessage(b"end", 0, 8, problem=END)])
    position = session._tenure.positions[0]
    assert (position.to, position.caught_up) == (8, True)
    session._take([FakeMessage(b"end", 0, 8, problem=END), _event(0, 8)])
    assert (position.to, position.caught_up) == (9, False)


def test_records_of_a_partition_that_was_taken_away_are_left_to_its_new_owner(
    session: Session,
) -> None:
    session._take([_event(0, 5), _event(7, 3), FakeMessage(b"end", 7, 4, problem=END)])
    assert _events(session) == 1
    assert session._tenure.positions.keys() == {0, 1}


@pytest.mark.parametrize("partition", [0, None])
def test_an_error_that_passes_moves_no_position(session: Session, partition: int) -> None:
    unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    session._take([_event(0, 5), NoOffsetMessage(b"no topic", partition, problem=unknown)])
    assert session._tenure.positions[0].to == 6
    assert _events(session) == 1


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError._FATAL, "fenced", fatal=True),
        KafkaError(KafkaError._AUTO_OFFSET_RESET, "offset out of range"),
    ],
)
@pytest.mark.parametrize("partition", [0, None])
def test_an_error_that_stays_ends_the_session(
    session: Session, error: KafkaError, partition: int
) -> None:
    with pytest.raises(SessionError):
        session._take([NoOffsetMessage(b"", partition, problem=error)])


def test_a_flush_is_due_after_its_time_or_when_many_dead_letters_wait(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = session._flushed_at
    monkeypatch.setattr(combiner.time, "monotonic", lambda: now)
    session._take([FakeMessage(b"bad", 0, at) for at in range(DEAD_LETTERS - 1)])
    assert not session._flush_is_due()
    session._take([FakeMessage(b"bad", 0, DEAD_LETTERS)])
    assert session._flush_is_due()
    session._counter.dead_letters.clear()
    assert not session._flush_is_due()
    now += Settings().ingest.flush_seconds
    assert session._flush_is_due()


def test_nothing_is_committed_after_partitions_were_lost(session: Session) -> None:
    session._take([_event(0, 5)])
    session._on_lost(session._consumer, [TopicPartition("predictions", 0)])
    with pytest.raises(SessionError, match="lost"):
        session._on_assign(session._consumer, [TopicPartition("predictions", 2)])


def test_a_worker_that_keeps_trying_is_alive() -> None:
    clock = [0.0]
    health = Health(clock=lambda: clock[0])
    stop = threading.Event()

    def fail() -> None:
        clock[0] += 90
        if clock[0] > 500:
            stop.set()
        raise SessionError("no broker")

    combiner = Combiner(
        Settings(),
        promoted=dict,
        metrics=IngestMetrics(CollectorRegistry()),
        health=health,
        stop=stop,
    )
    combiner._run_session = fail  # type: ignore[method-assign]
    combiner._sleep = lambda seconds: None  # type: ignore[method-assign]
    health.beat("ingest")
    combiner.run()
    assert clock[0] > 500
    assert health.live()[0]
    assert not health.ready()[0]
