"""One session of the combiner: what a round of messages does to positions. No broker is asked."""

import threading
import weakref
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from support.counting import FakeMessage, cells_of
from support.ingest_sessions import END, event_at
from tidegauge.config.settings import Settings
from tidegauge.kafka import group_session as sessions
from tidegauge.kafka.group_session import SessionError
from tidegauge.roles.ingest.session import Combiner, Session
from tidegauge.roles.ingest.state import IngestState
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import IngestMetrics


class NoOffsetMessage(FakeMessage):
    """An error of the consumer's: without an offset."""

    def offset(self) -> Any:
        return None


def _events(session: Session) -> int:
    session.reader.counter.settle(session.reader.tenure)
    return sum(cell.events for cell in cells_of(session.reader.tenure).values())


def test_positions_follow_the_last_record_of_each_partition(session: Session) -> None:
    session.reader.take(
        [event_at(0, 5), event_at(1, 2), event_at(0, 9), FakeMessage(b"bad", 0, 10)]
    )
    assert {p: at.to for p, at in session.reader.tenure.positions.items()} == {0: 11, 1: 3}
    assert not session.reader.tenure.positions[0].caught_up


def test_the_end_of_a_partition_is_its_position_until_a_record_comes(session: Session) -> None:
    session.reader.take([event_at(0, 5), FakeMessage(b"end", 0, 8, problem=END)])
    position = session.reader.tenure.positions[0]
    assert (position.to, position.caught_up) == (8, True)
    session.reader.take([FakeMessage(b"end", 0, 8, problem=END), event_at(0, 8)])
    assert (position.to, position.caught_up) == (9, False)


def test_records_of_a_partition_that_was_taken_away_are_left_to_its_new_owner(
    session: Session,
) -> None:
    session.reader.take([event_at(0, 5), event_at(7, 3), FakeMessage(b"end", 7, 4, problem=END)])
    assert _events(session) == 1
    assert session.reader.tenure.positions.keys() == {0, 1}


def test_messages_are_kept_no_longer_than_they_are_counted(session: Session) -> None:
    messages = [event_at(0, 5), event_at(1, 2), event_at(0, 6)]
    kept = [weakref.ref(message) for message in messages]
    session.reader.take(messages)
    assert _events(session) == 3
    del messages
    assert [reference() for reference in kept] == [None, None, None]


@pytest.mark.parametrize("partition", [0, None])
def test_an_error_that_passes_moves_no_position(session: Session, partition: int) -> None:
    unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    session.reader.take([event_at(0, 5), NoOffsetMessage(b"no topic", partition, problem=unknown)])
    assert session.reader.tenure.positions[0].to == 6
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
        session.reader.take([NoOffsetMessage(b"", partition, problem=error)])


def test_nothing_is_committed_after_partitions_were_lost(session: Session) -> None:
    session.reader.take([event_at(0, 5)])
    session.membership.lost(session.reader.consumer, [TopicPartition("predictions", 0)])
    with pytest.raises(SessionError, match="lost"):
        session._on_assign(session.reader.consumer, [TopicPartition("predictions", 2)])


def test_a_callback_that_fails_ends_the_session_and_raises_nothing_into_the_client(
    session: Session,
) -> None:
    timed_out = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no committed offsets"))

    def fail(consumer: object, partitions: object) -> None:
        raise timed_out

    callback = session.membership.guarded(fail)
    callback(session.reader.consumer, [])
    assert "no committed offsets" in str(session.membership.over)
    with pytest.raises(SessionError, match="no committed offsets"):
        session.flush()


def test_a_session_that_leaves_asks_the_brokers_nothing_more(session: Session) -> None:
    called: list[object] = []
    callback = session.membership.guarded(lambda consumer, partitions: called.append(partitions))
    callback(session.reader.consumer, [])
    session.membership.leave()
    callback(session.reader.consumer, [])
    assert called == [[]]


def test_a_worker_that_keeps_trying_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    health = Health(clock=lambda: clock[0])
    stop = threading.Event()

    def fail() -> None:
        clock[0] += 90
        if clock[0] > 500:
            stop.set()
        raise SessionError("no broker")

    state = IngestState(
        Settings(),
        promoted=dict,
        baselines_age=lambda: 0.0,
        metrics=IngestMetrics(CollectorRegistry()),
        health=health,
    )
    combiner = Combiner(state, stop)
    combiner._begin = fail  # type: ignore[method-assign]
    monkeypatch.setattr(sessions, "wait_random", lambda *_: lambda state: 0.0)
    health.beat("ingest")
    health.progress("ingest", done="counted").lag(5, "partitions [0] have a lag of 5 events")
    combiner.run()
    assert clock[0] > 500
    assert health.live()[0]
    assert not health.ready()[0]
