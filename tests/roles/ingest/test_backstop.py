"""A record that counting fails on, whatever it raises, is found, set aside and gone on after."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from support.counting import NOW, FakeMessage, as_json, event
from support.ingest_sessions import Clocks, Committed
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.router import CellRouter
from tidegauge.counting.tenure import Position, Tenure
from tidegauge.kafka.group_session import SessionError
from tidegauge.roles.ingest import reader_writer, session as session_module
from tidegauge.roles.ingest.session import Session
from tidegauge.telemetry.health import Health

#: What none of the decoders minds, and counting is made to fail on.
POISON = {"version": "poison"}


class LoggedConsumer:
    """Hands out the records of a topic from where it is; ``at_end`` is called when none is left."""

    def __init__(self, records: dict[int, list[bytes]], at_end: Callable[[], None]) -> None:
        self.records = records
        self.at = dict.fromkeys(records, 0)
        self.at_end = at_end

    def consume(self, most: int, timeout: float) -> list[FakeMessage]:
        found = list(self._take(most))
        if not found:
            self.at_end()
        return found

    def _take(self, most: int) -> Iterator[FakeMessage]:
        for partition, records in self.records.items():
            begin = self.at[partition]
            for offset in range(begin, min(len(records), begin + most)):
                self.at[partition] = offset + 1
                most -= 1
                yield FakeMessage(records[offset], partition, offset)

    def seek(self, to: TopicPartition) -> None:
        self.at[to.partition] = to.offset

    def subscribe(self, *_: Any, **__: Any) -> None:
        pass

    def consumer_group_metadata(self) -> None:
        return None

    def close(self) -> None:
        pass


class FakeSource:
    """A topic that nobody touches."""

    partitions = 2
    topic_id = "t"

    def begin(self) -> None:
        pass

    def check(self, *, moved: bool) -> None:
        pass

    def partitions_of(self, topic: str) -> int:
        return 2


class World:
    """A session, begun again whenever it ends, and what its records do."""

    def __init__(
        self, session: Session, committed: Committed, clocks: Clocks, monkeypatch: Any
    ) -> None:
        self.session = session
        self.clocks = clocks
        self.committed = committed
        self.stop = threading.Event()
        self.sessions = 0
        source = FakeSource()
        monkeypatch.setattr(session, "source", source)
        monkeypatch.setattr(session.writer, "source", source)
        monkeypatch.setattr(session.writer, "producer", self)
        monkeypatch.setattr(session.lag, "ask_quiet", lambda owned: None)

    def init_transactions(self, timeout: float) -> None:
        self.sessions += 1

    def purge(self) -> None:
        pass

    def run(self, records: dict[int, list[bytes]]) -> None:
        session = self.session

        def at_end() -> None:
            self.clocks.monotonic += 1
            committed = {p: at.since for p, at in session.reader.tenure.positions.items()}
            if committed == {p: len(of) for p, of in records.items()}:
                self.stop.set()

        consumer = LoggedConsumer(records, at_end)
        session.reader.consumer = session.membership.consumer = consumer
        while not self.stop.is_set():
            positions = session.reader.tenure.positions
            since = {p: at.since for p, at in positions.items()} if self.sessions else {}
            session.reader.tenure = Tenure(
                began=session.state.monotonic(),
                positions={
                    p: Position(origin=0, start=at, since=at, to=at, arrived=0.0)
                    for p, at in ((p, since.get(p, 0)) for p in records)
                },
            )
            session.reader.counter = session.state.new_counter()
            consumer.at = {p: since.get(p, 0) for p in records}
            try:
                session.run(self.stop)
            except SessionError:
                assert self.sessions < 50

    def counted(self) -> int:
        """Events that were committed: of each tenure what it said last of a cell."""
        last: dict[tuple[str, ...], int] = {}
        for record in self.committed.records:
            for cell in record["cells"]:
                name = (record["tenure"], cell["model"], cell["version"], str(cell["segment"]))
                last[name] = cell["events"]
        return sum(last.values())

    def letters(self) -> list[dict[str, Any]]:
        return [letter for flush in self.committed.letters for letter in flush]


@pytest.fixture
def world(
    session: Session, committed: Committed, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> World:
    return World(session, committed, clocks, monkeypatch)


def _records(n: int, poisoned: set[int]) -> list[bytes]:
    good = as_json(event())
    return [as_json(event(**POISON)) if at in poisoned else good for at in range(n)]


def _fail_placing(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """Let counting raise for the poison, whichever way it is counted."""
    for name in ("add", "add_event"):
        placed = getattr(CellRouter, name)

        def place(self: CellRouter, first: Any, *rest: Any, placed: Any = placed) -> None:
            plan = getattr(first, "plan", first)
            if plan.version == "poison":
                raise error("nobody foresaw this")
            placed(self, first, *rest)

        monkeypatch.setattr(CellRouter, name, place)


def _fail_records(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """Let the cells of the poison be such that no record can be made of them."""
    make = CountingCell.to_record

    def to_record(self: CountingCell) -> Any:
        if self.plan.version == "poison":
            raise error("nobody foresaw this")
        return make(self)

    monkeypatch.setattr(CountingCell, "to_record", to_record)


@pytest.mark.parametrize("fail", [_fail_placing, _fail_records])
@pytest.mark.parametrize("poisoned", [{0}, {499}, {7, 8, 250}, set()])
def test_the_records_that_fail_become_letters_and_all_others_are_counted(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    fail: Any,
    poisoned: set[int],
    registry: CollectorRegistry,
    health: Health,
) -> None:
    fail(monkeypatch, KeyError)
    world.run({0: _records(500, poisoned), 1: _records(100, set())})
    assert world.counted() == 600 - len(poisoned)
    letters = world.letters()
    assert {(it["partition"], it["offset"]) for it in letters} == {(0, at) for at in poisoned}
    assert len(letters) == len(poisoned)
    for letter in letters:
        assert letter["reason"] == "invalid_record"
        assert "KeyError" in letter["detail"] and "Traceback" not in letter["detail"][:100]
        assert "nobody foresaw this" in letter["detail"]
    sample = registry.get_sample_value(
        "tidegauge_quarantined_records_total", {"topic": "predictions"}
    )
    assert sample == len(poisoned)
    _, said = health.ready()
    assert ("quarantine" in said["conditions"]) is bool(poisoned)  # type: ignore[operator]
    # Found within the session: to join the group again takes seconds each time.
    assert world.sessions <= 1 + 2 * len(poisoned)


def test_a_failure_that_does_not_come_again_sets_nothing_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = [MemoryError(), MemoryError()]
    add = CellRouter.add

    def place(self: CellRouter, *what: Any) -> None:
        if fails:
            raise fails.pop()
        add(self, *what)

    monkeypatch.setattr(CellRouter, "add", place)
    records = [as_json(event(features={"amount": float(at)})) for at in range(300)]
    world.session.reader.counter.use({}, world.session.reader.tenure)
    world.run({0: records})
    assert (world.counted(), world.letters()) == (300, [])


def test_an_exception_that_no_record_can_be_the_reason_of_is_raised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Tenure, "records", fail)
    with pytest.raises(ZeroDivisionError):
        world.run({0: []})


def test_an_outage_while_a_record_is_looked_for_sets_nothing_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_placing(monkeypatch, KeyError)
    outage = [KafkaException("no broker")] * 3
    real = reader_writer.commit

    def commit(*what: Any, **more: Any) -> None:
        if outage:
            raise outage.pop()
        real(*what, **more)

    monkeypatch.setattr(reader_writer, "commit", commit)
    world.run({0: _records(64, {40})})
    assert world.counted() == 63
    assert [letter["offset"] for letter in world.letters()] == [40]


def test_a_client_that_does_not_go_back_ends_the_session_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_placing(monkeypatch, KeyError)
    monkeypatch.setattr(LoggedConsumer, "seek", lambda *_: None)
    monkeypatch.setattr(session_module, "BATCH", 16)
    world.run({0: _records(64, {40})})
    assert world.counted() == 63
    assert [letter["offset"] for letter in world.letters()] == [40]


def test_offsets_of_a_topic_that_was_made_anew_are_not_set_aside(world: World) -> None:
    backstop = world.session.state.backstop
    position = {0: Position(origin=0, start=0, since=0, to=0, arrived=NOW)}
    record = [FakeMessage(b"x", 0, 0)]
    for _ in range(2):
        backstop.take(record, 1)
        backstop.failed(KeyError("status"), position)
    assert [m.offset() for m, _ in backstop.take(record, 1)[1]] == [0]
    position[0].to = 1
    backstop.committed(position)
    assert backstop.take(record, 1) == (record, [])


def test_a_partition_that_nothing_comes_of_makes_no_two_failures_one(world: World) -> None:
    backstop = world.session.state.backstop
    positions = {p: Position(origin=0, start=0, since=0, to=0, arrived=NOW) for p in (0, 1)}
    for offset in (0, 500):
        positions[1].since = positions[1].to = offset
        record = [FakeMessage(b"x", 1, offset)]
        backstop.take(record, 1)
        backstop.failed(MemoryError(), positions)
        assert backstop.take(record, 1) == (record, [])
        positions[1].to = offset + 1
        backstop.committed(positions)
