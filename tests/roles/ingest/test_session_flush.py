"""One session of the combiner: when it flushes, what a flush says, and what one does that fails."""

import math

import pytest
from confluent_kafka import TopicPartition
from prometheus_client import CollectorRegistry

from support.counting import NOW, FakeMessage, a_counter, a_tenure, as_json, count, event
from support.ingest_sessions import END, Clocks, Committed, event_at
from tidegauge.config.settings import Settings
from tidegauge.contract import encode
from tidegauge.contract.dead_letter import without_payload
from tidegauge.counting.refusals import DEAD_LETTERS
from tidegauge.kafka import clients
from tidegauge.kafka.group_session import SessionError
from tidegauge.kafka.transaction import DeadLettersError, RebalancingError, StuckError
from tidegauge.roles.ingest import session as session_module
from tidegauge.roles.ingest.session import BROKER_SECONDS, Session
from tidegauge.telemetry.health import Health


def test_a_flush_is_due_after_its_time_or_when_many_dead_letters_wait(
    session: Session, clocks: Clocks
) -> None:
    session.reader.take([FakeMessage(b"bad", 0, at) for at in range(DEAD_LETTERS - 1)])
    assert not session.flush_is_due()
    session.reader.take([FakeMessage(b"bad", 0, DEAD_LETTERS)])
    assert session.flush_is_due()
    session.reader.counter.dead_letters.clear()
    assert not session.flush_is_due()
    clocks.monotonic += Settings().ingest.flush_seconds
    assert session.flush_is_due()


def test_a_wall_clock_that_jumps_back_an_hour_holds_nothing_open(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    session.reader.take([event_at(0, 5), FakeMessage(b"end", 0, 6, problem=END)])
    session.reader.take([FakeMessage(b"end", 1, 0, problem=END)])
    clocks.wall -= 3600
    clocks.monotonic += Settings().ingest.idle_seconds
    session.flush()
    assert committed.records[-1]["time"] == NOW - 3600
    clocks_said = committed.records[-1]["clocks"]
    assert {p: clock["idle"] for p, clock in clocks_said.items()} == {"0": True, "1": True}


def test_a_wall_clock_that_jumps_back_lets_tenures_end_as_they_would(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    began = session.reader.tenure.name
    clocks.wall -= 3600
    clocks.monotonic += session_module.TENURE_SECONDS
    session.flush()
    assert session.reader.tenure.name == began
    clocks.monotonic += 1
    session.flush()
    assert session.reader.tenure.name != began


@pytest.mark.parametrize(("age", "said"), [(7.25, 7.25), (math.inf, None)])
def test_a_record_says_how_old_the_baselines_are(
    session: Session, committed: Committed, age: float, said: float | None
) -> None:
    session.state.baselines_age = lambda: age
    session.flush()
    assert [record["baselines_age_seconds"] for record in committed.records] == [said]


def test_event_times_ahead_of_the_clock_are_shown_by_partition_while_they_come(
    session: Session,
    clocks: Clocks,
    health: Health,
    registry: CollectorRegistry,
    committed: Committed,
) -> None:
    def skew(partition: int) -> float | None:
        name = "tidegauge_ingest_clock_skew_seconds"
        return registry.get_sample_value(name, {"partition": str(partition)})

    ahead = FakeMessage(as_json(event(time=NOW + 120)), 1, 0)
    session.reader.take([event_at(0, 0), ahead, event_at(1, 1)])
    session.flush()
    assert (skew(0), skew(1)) == (0, 120)
    assert committed.records[-1]["clocks"]["1"]["latest"] == NOW
    said = health.ready()[1]["conditions"]["clocks"]
    assert said == {
        "state": "degraded",
        "detail": "event times are up to 120 s ahead of this worker's clock in partitions [1] of "
        "predictions",
    }
    session.reader.tenure.positions.pop(1)  # revoked
    session.flush()
    assert (skew(0), skew(1)) == (0, None)
    assert health.ready()[1]["conditions"]["clocks"]["state"] == "ok"


def test_events_that_are_being_counted_are_a_lag_until_they_are_committed(
    session: Session, clocks: Clocks, health: Health, committed: Committed
) -> None:
    session.reader.take([event_at(0, 0), event_at(0, 1), event_at(1, 0)])
    clocks.monotonic += health.stall_seconds - 1
    assert health.live()[0]
    clocks.monotonic += 1
    good, said = health.live()
    assert not good
    assert said["stalled"] == {
        "ingest": "partitions [0, 1] have a lag of 3 events and nothing was counted for 60 s"
    }
    session.flush()
    assert health.live()[0]
    clocks.monotonic += 10 * health.stall_seconds
    assert health.live()[0], "nothing is left to be counted"


def test_flushes_that_move_nothing_are_no_progress(
    session: Session, clocks: Clocks, health: Health, committed: Committed
) -> None:
    session.reader.tenure.positions[0].end = 7  # as the brokers said, and no record comes
    session.lag.report(session.reader.tenure.positions)
    for _ in range(6):
        clocks.monotonic += health.stall_seconds / 5
        session.flush()
    stalled = health.live()[1]["stalled"]
    assert stalled == {
        "ingest": "partitions [0] have a lag of 7 events and nothing was counted for 72 s"
    }


def test_a_worker_without_partitions_has_no_lag(
    session: Session, clocks: Clocks, health: Health
) -> None:
    session.reader.take([event_at(0, 0)])
    session.reader.tenure.positions.clear()
    session.flush()
    clocks.monotonic += 1_000
    assert health.live()[0]


def test_a_refused_letter_ends_the_session_and_the_next_one_sends_less(
    session: Session, health: Health, registry: CollectorRegistry, committed: Committed
) -> None:
    def dropped() -> float | None:
        name = "tidegauge_ingest_dead_letters_dropped_total"
        return registry.get_sample_value(name, {"reason": "invalid_json"})

    def flush_bad_record(offset: int) -> None:
        session.reader.take([FakeMessage(b"bad", 0, offset)])
        session.flush()

    flush_bad_record(0)
    assert committed.letters[-1][0]["payload"] == "bad"
    assert health.ready()[1]["status"] == "ok"
    committed.fails = [DeadLettersError("too large", refused=True)]
    with pytest.raises(SessionError, match="too large"):
        flush_bad_record(1)
    assert health.ready()[1]["status"] == "degraded"
    session.flush()  # as the next session would, which has counted the same record again
    [letter] = committed.letters[-1]
    assert (letter["offset"], letter["payload"], letter["payload_truncated"]) == (1, None, True)
    assert dropped() == 0
    committed.fails = [DeadLettersError("too large", refused=True)]
    with pytest.raises(SessionError):
        flush_bad_record(2)
    session.flush()
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
        session.reader.take([event_at(0, offset)])
        session.flush_or_wait()
        clocks.monotonic += 1
    [record] = committed.records
    assert [cell["events"] for cell in record["cells"]] == [3]
    assert (record["ranges"]["0"]["since"], record["ranges"]["0"]["to"]) == (0, 3)
    assert record["seq"] == 1


def test_a_producer_that_is_stuck_is_replaced_and_nothing_that_was_counted_is_dropped(
    session: Session, clocks: Clocks, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group's coordinator is lost: a new session would take longer than it does to find one."""
    begun: list[object] = []

    class Other:
        def __init__(self, config: dict[str, object], **_: object) -> None:
            assert config["transactional.id"] == Settings().transactional_id

        def init_transactions(self, seconds: float) -> None:
            begun.append(self)

        def purge(self) -> None:
            pass

    monkeypatch.setattr(clients, "Producer", Other)
    session.reader.take([event_at(0, 5)])
    committed.fails = [StuckError("no offsets")]
    session.flush_or_wait()
    assert committed.records == []
    assert begun == [session.writer.producer]
    session.reader.take([event_at(0, 6)])
    clocks.monotonic += 1
    session.flush_or_wait()
    [record] = committed.records
    assert [cell["events"] for cell in record["cells"]] == [2]
    assert (record["ranges"]["0"]["since"], record["ranges"]["0"]["to"]) == (0, 7)


def test_a_rebalance_that_does_not_end_ends_the_session(
    session: Session, clocks: Clocks, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")] * 3
    session.reader.take([event_at(0, 0)])
    session.flush_or_wait()
    clocks.monotonic += BROKER_SECONDS
    session.flush_or_wait()
    clocks.monotonic += 1
    with pytest.raises(SessionError, match="rebalanced: generation"):
        session.flush_or_wait()


def test_dead_letters_are_not_gathered_without_end_while_flushes_are_put_off(
    session: Session, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")]
    session.reader.take([FakeMessage(b"bad", 0, at) for at in range(DEAD_LETTERS)])
    with pytest.raises(SessionError, match="rebalanced"):
        session.flush_or_wait()


def test_partitions_that_go_while_nothing_can_be_committed_end_the_session(
    session: Session, committed: Committed
) -> None:
    committed.fails = [RebalancingError("generation")]
    session.reader.take([event_at(0, 0)])
    session.membership.guarded(session._on_revoke)(
        session.reader.consumer, [TopicPartition("predictions", 0)]
    )
    with pytest.raises(SessionError, match="rebalanced"):
        session.flush_or_wait()
    assert committed.records == []
