"""A batch that the client can't read is one dead letter, and all else is counted."""

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from support.counting import FakeMessage, cells_of
from support.ingest_sessions import Clocks, Committed, event_at
from support.unreadable_log import PartitionLog, lay_out
from tidegauge.roles.ingest.session import Session
from tidegauge.telemetry.health import Health


class LogConsumer:
    """Reads the log of partition 0."""

    def __init__(self, real: Any, log: PartitionLog) -> None:
        self._real = real
        self._log = log
        self.sought: list[tuple[int, int]] = []

    def get_watermark_offsets(self, at: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, self._log.end

    def seek(self, to: TopicPartition) -> None:
        self.sought.append((to.partition, to.offset))
        if to.partition == self._log.number:
            self._log.position = to.offset

    def incremental_unassign(self, _: list[TopicPartition]) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def log() -> PartitionLog:
    # Twice as far and twice as far again from offset 4 leads into the other unreadable batch.
    return PartitionLog(lay_out([(4, True), (5, False), (1, True), (90, False), (3, True)]))


@pytest.fixture
def consumer(
    session: Session, committed: Committed, log: PartitionLog, monkeypatch: pytest.MonkeyPatch
) -> LogConsumer:
    made = LogConsumer(session.reader.consumer, log)
    monkeypatch.setattr(session.reader, "consumer", made)
    return made


def _counted(session: Session) -> int:
    session.reader.counter.settle(session.reader.tenure)
    return sum(cell.events for cell in cells_of(session.reader.tenure).values())


def _read_to_the_end(session: Session, log: PartitionLog) -> None:
    while not session.reader.tenure.positions[0].caught_up:
        session.reader.take(log.read(10))  # type: ignore[arg-type]


def test_no_record_before_between_or_after_unreadable_batches_is_passed_over(
    session: Session, consumer: LogConsumer, committed: Committed, log: PartitionLog
) -> None:
    _read_to_the_end(session, log)
    assert _counted(session) == len(log.readable) == 8
    session.flush()
    [letters] = committed.letters
    assert [(it["partition"], it["offset"], it["rows"]) for it in letters] == [
        (0, 4, 5),
        (0, 10, 90),
    ]
    assert "offsets 4 to 8" in letters[0]["detail"] and "codec 0x4" in letters[0]["detail"]
    assert {it["reason"] for it in letters} == {"too_large"}
    assert letters[0]["payload"] is None
    assert session.reader.tenure.positions[0].since == log.end


def test_while_an_end_is_searched_for_nothing_of_its_partition_is_counted_or_committed(
    session: Session, consumer: LogConsumer, committed: Committed, log: PartitionLog
) -> None:
    session.reader.take(log.read(10))  # type: ignore[arg-type]
    assert 0 in session.reader.unreadable
    for offset in (0, 1):  # by the second, it is where the log can be read again
        session.reader.take([event_at(1, offset), *log.read(10)])  # type: ignore[list-item]
    session.reader.take([event_at(1, 2), event_at(0, 3), *log.read(10)])  # type: ignore[list-item]
    assert 0 in session.reader.unreadable
    assert _counted(session) == 4 + 3
    session.flush()
    at = session.reader.tenure.positions
    assert (at[0].since, at[0].caught_up, at[1].since) == (4, False, 3)
    assert committed.letters == [[]]


def test_an_open_search_is_lag_and_no_stall(
    session: Session, consumer: LogConsumer, log: PartitionLog, health: Health, clocks: Clocks
) -> None:
    session.reader.take(log.read(10))  # type: ignore[arg-type]
    session.reader.tenure.positions[0].end = log.end
    for _ in range(3):
        session.lag.report(session.reader.tenure.positions)
        clocks.monotonic += 0.9 * health.stall_seconds
        session.reader.take(log.read(10))  # type: ignore[arg-type]
        assert health.live()[0]
    assert 0 in session.reader.unreadable
    session.lag.report(session.reader.tenure.positions)
    clocks.monotonic += 1.1 * health.stall_seconds
    assert session.state.progress.stalled(health.stall_seconds), "it has lag, and no answer came"


def test_a_partition_that_is_revoked_is_searched_no_more(
    session: Session, consumer: LogConsumer, log: PartitionLog
) -> None:
    session.reader.take(log.read(10))  # type: ignore[arg-type]
    session._on_revoke(consumer, [TopicPartition("predictions", 0)])  # type: ignore[arg-type]
    sought = len(consumer.sought)
    session.reader.take(log.read(10))  # type: ignore[arg-type]
    assert 0 not in session.reader.unreadable and len(consumer.sought) == sought


def test_when_counting_begins_again_so_does_the_search(
    session: Session, consumer: LogConsumer, log: PartitionLog, committed: Committed
) -> None:
    session.reader.take(log.read(10))  # type: ignore[arg-type]
    session.flush()
    session.reader.take([event_at(1, 0)])  # type: ignore[list-item]
    session.reader.count_again(ValueError("of a record"), [event_at(1, 0)])  # type: ignore[list-item]
    assert (0, 4) in consumer.sought and 0 not in session.reader.unreadable
    _read_to_the_end(session, log)
    session.flush()
    assert [it["rows"] for it in committed.letters[-1]] == [5, 90]
    assert session.reader.tenure.positions[0].since == log.end


def test_an_error_of_a_partition_that_was_taken_away_is_left_to_its_new_owner(
    session: Session, consumer: LogConsumer
) -> None:
    elsewhere = PartitionLog(lay_out([(1, False)]), 7)
    session.reader.take([FakeMessage(b"", 7, 0), *elsewhere.read(1)])  # type: ignore[list-item]
    assert consumer.sought == []
