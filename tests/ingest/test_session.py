"""One session of the combiner: what a round of messages does to positions. No broker is asked."""

import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from support.counting import (
    NOW,
    FakeMessage,
    a_counter,
    a_tenure,
    as_json,
    cells_of,
    count,
    event,
)
from tidegauge import sessions
from tidegauge.contract import encode
from tidegauge.ingest import session as session_module
from tidegauge.ingest.combiner import Combiner
from tidegauge.ingest.dead_letters import without_payload
from tidegauge.ingest.letters import Letters
from tidegauge.ingest.session import BROKER_SECONDS, DEAD_LETTERS, Session
from tidegauge.ingest.transaction import LettersError, RebalancingError
from tidegauge.sessions import SessionError
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, IngestMetrics

END = KafkaError(KafkaError._PARTITION_EOF)


class NoOffsetMessage(FakeMessage):
    """An error of the consumer's: without an offset."""

    def offset(self) -> Any:
        return None


class Clocks:
    """The wall's and the monotonic one, set by hand."""

    def __init__(self) -> None:
        self.wall = NOW
        self.monotonic = 1_000.0


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
    metrics = IngestMetrics(registry)
    made = Session(
        settings,
        promoted=dict,
        baselines_age=lambda: 2.5,
        metrics=metrics,
        health=health,
        progress=health.progress("ingest", done="counted"),
        letters=Letters(
            topic="dead", metrics=metrics, health=health, clock=lambda: clocks.monotonic
        ),
        clock=lambda: clocks.wall,
        monotonic=lambda: clocks.monotonic,
    )
    made._tenure = a_tenure(0, 1)
    made._tenure.began = clocks.monotonic
    for position in made._tenure.positions.values():
        position.arrived = clocks.monotonic
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
    session: Session, clocks: Clocks
) -> None:
    session._take([FakeMessage(b"bad", 0, at) for at in range(DEAD_LETTERS - 1)])
    assert not session._flush_is_due()
    session._take([FakeMessage(b"bad", 0, DEAD_LETTERS)])
    assert session._flush_is_due()
    session._counter.dead_letters.clear()
    assert not session._flush_is_due()
    clocks.monotonic += Settings().ingest.flush_seconds
    assert session._flush_is_due()


def test_nothing_is_committed_after_partitions_were_lost(session: Session) -> None:
    session._take([_event(0, 5)])
    session._on_lost(session._consumer, [TopicPartition("predictions", 0)])
    with pytest.raises(SessionError, match="lost"):
        session._on_assign(session._consumer, [TopicPartition("predictions", 2)])


def test_a_callback_that_fails_ends_the_session_and_raises_nothing_into_the_client(
    session: Session,
) -> None:
    timed_out = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no committed offsets"))

    def fail(consumer: object, partitions: object) -> None:
        raise timed_out

    callback = session._guarded(fail)
    callback(session._consumer, [])
    assert "no committed offsets" in str(session._over)
    with pytest.raises(SessionError, match="no committed offsets"):
        session._flush()


def test_a_session_that_leaves_asks_the_brokers_nothing_more(session: Session) -> None:
    called: list[object] = []
    callback = session._guarded(lambda consumer, partitions: called.append(partitions))
    callback(session._consumer, [])
    session._closing = True
    callback(session._consumer, [])
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

    combiner = Combiner(
        Settings(),
        promoted=dict,
        baselines_age=lambda: 0.0,
        metrics=IngestMetrics(CollectorRegistry()),
        health=health,
        stop=stop,
    )
    combiner._begin = fail  # type: ignore[method-assign]
    monkeypatch.setattr(sessions, "wait_random", lambda *_: lambda state: 0.0)
    health.beat("ingest")
    health.progress("ingest", done="counted").lag(5, "partitions [0] have a lag of 5 events")
    combiner.run()
    assert clock[0] > 500
    assert health.live()[0]
    assert not health.ready()[0]


class Committed:
    """Stands for the brokers: keeps what a flush commits, or fails as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: list[Exception] = []
        self.records: list[dict[str, Any]] = []
        self.letters: list[list[dict[str, Any]]] = []
        monkeypatch.setattr(session_module, "commit", self)

    def __call__(self, producer: object, **what: Any) -> None:
        records = [json.loads(record) for _, record in what["histograms"]]
        if self.fails:
            raise self.fails.pop(0)
        self.records.extend(records)
        self.letters.append([json.loads(letter) for letter in what["letters"]])


@pytest.fixture
def committed(session: Session, monkeypatch: pytest.MonkeyPatch) -> Committed:
    session._destinations = session._sources = 1
    monkeypatch.setattr(session, "_consumer", QuietConsumer(session._consumer))
    return Committed(monkeypatch)


class QuietConsumer:
    """Answers for a group that is not there."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def consumer_group_metadata(self) -> None:
        return None

    def close(self) -> None:
        self._real.close()


def test_a_wall_clock_that_jumps_back_an_hour_holds_nothing_open(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    session._take([_event(0, 5), FakeMessage(b"end", 0, 6, problem=END)])
    session._take([FakeMessage(b"end", 1, 0, problem=END)])
    clocks.wall -= 3600
    clocks.monotonic += Settings().ingest.idle_seconds
    session._flush()
    assert committed.records[-1]["time"] == NOW - 3600
    clocks_said = committed.records[-1]["clocks"]
    assert {p: clock["idle"] for p, clock in clocks_said.items()} == {"0": True, "1": True}


def test_a_wall_clock_that_jumps_back_lets_tenures_end_as_they_would(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    began = session._tenure.name
    clocks.wall -= 3600
    clocks.monotonic += session_module.TENURE_SECONDS
    session._flush()
    assert session._tenure.name == began
    clocks.monotonic += 1
    session._flush()
    assert session._tenure.name != began


@pytest.mark.parametrize(("age", "said"), [(7.25, 7.25), (math.inf, None)])
def test_a_record_says_how_old_the_baselines_are(
    session: Session, committed: Committed, age: float, said: float | None
) -> None:
    session._baselines_age = lambda: age
    session._flush()
    assert [record["baselines_age_seconds"] for record in committed.records] == [said]


def test_events_that_are_being_counted_are_a_lag_until_they_are_committed(
    session: Session, clocks: Clocks, health: Health, committed: Committed
) -> None:
    session._take([_event(0, 0), _event(0, 1), _event(1, 0)])
    clocks.monotonic += health.stall_seconds - 1
    assert health.live()[0]
    clocks.monotonic += 1
    good, said = health.live()
    assert not good
    assert said["stalled"] == {
        "ingest": "partitions [0, 1] have a lag of 3 events and nothing was counted for 60 s"
    }
    session._flush()
    assert health.live()[0]
    clocks.monotonic += 10 * health.stall_seconds
    assert health.live()[0], "nothing is left to be counted"


def test_flushes_that_move_nothing_are_no_progress(
    session: Session, clocks: Clocks, health: Health, committed: Committed
) -> None:
    session._tenure.positions[0].end = 7  # as the brokers said, and no record comes
    session._lag.say(session._tenure.positions)
    for _ in range(6):
        clocks.monotonic += health.stall_seconds / 5
        session._flush()
    stalled = health.live()[1]["stalled"]
    assert stalled == {
        "ingest": "partitions [0] have a lag of 7 events and nothing was counted for 72 s"
    }


def test_a_worker_without_partitions_has_no_lag(
    session: Session, clocks: Clocks, health: Health
) -> None:
    session._take([_event(0, 0)])
    session._tenure.positions.clear()
    session._flush()
    clocks.monotonic += 1_000
    assert health.live()[0]


def test_a_refused_letter_ends_the_session_and_the_next_one_sends_less(
    session: Session, health: Health, registry: CollectorRegistry, committed: Committed
) -> None:
    def dropped() -> float | None:
        name = "tidegauge_ingest_dead_letters_dropped_total"
        return registry.get_sample_value(name, {"reason": "invalid_json"})

    def flush_bad_record(offset: int) -> None:
        session._take([FakeMessage(b"bad", 0, offset)])
        session._flush()

    flush_bad_record(0)
    assert committed.letters[-1][0]["payload"] == "bad"
    assert health.ready()[1]["status"] == "ok"
    committed.fails = [LettersError("too large", refused=True)]
    with pytest.raises(SessionError, match="too large"):
        flush_bad_record(1)
    assert health.ready()[1]["status"] == "degraded"
    session._flush()  # as the next session would, which has counted the same record again
    [letter] = committed.letters[-1]
    assert (letter["offset"], letter["payload"], letter["payload_truncated"]) == (1, None, True)
    assert dropped() == 0
    committed.fails = [LettersError("too large", refused=True)]
    with pytest.raises(SessionError):
        flush_bad_record(2)
    session._flush()
    assert committed.letters[-1] == [] and dropped() == 1
    ready, said = health.ready()
    assert ready and "1 were not sent" in str(said["conditions"])


def test_a_letter_without_payload_fits_where_a_whole_one_does_not() -> None:
    counter, tenure = a_counter(), a_tenure()
    count(counter, tenure, [b"{" + b"x" * 3_000, b"\xff" * 3_000, None])
    bare = [len(encode(without_payload(letter))) for letter in counter.dead_letters]
    assert max(bare) < 700 < min(len(encode(one)) for one in counter.dead_letters[:2])


def test_a_flush_that_meets_a_rebalance_is_tried_again_with_everything_counted_since(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")] * 2
    for offset in (0, 1, 2):
        session._take([_event(0, offset)])
        session._flush_or_wait()
        clocks.monotonic += 1
    [record] = committed.records
    assert [cell["events"] for cell in record["cells"]] == [3]
    assert (record["ranges"]["0"]["since"], record["ranges"]["0"]["to"]) == (0, 3)
    assert record["seq"] == 1


def test_a_rebalance_that_does_not_end_ends_the_session(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")] * 3
    session._take([_event(0, 0)])
    session._flush_or_wait()
    clocks.monotonic += BROKER_SECONDS
    session._flush_or_wait()
    clocks.monotonic += 1
    with pytest.raises(SessionError, match="rebalanced: generation"):
        session._flush_or_wait()


def test_dead_letters_are_not_gathered_without_end_while_flushes_are_put_off(
    session: Session, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")]
    session._take([FakeMessage(b"bad", 0, at) for at in range(DEAD_LETTERS)])
    with pytest.raises(SessionError, match="rebalanced"):
        session._flush_or_wait()


def test_partitions_that_go_while_nothing_can_be_committed_end_the_session(
    session: Session, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")]
    session._take([_event(0, 0)])
    session._guarded(session._on_revoke)(session._consumer, [TopicPartition("predictions", 0)])
    with pytest.raises(SessionError, match="rebalanced"):
        session._flush_or_wait()
    assert committed.records == []
