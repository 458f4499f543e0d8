"""Faust's store for DETECT: partitions come and go, and are read back by joining, to the end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from faust.types import TP

from support.counting import NOW
from support.hostile import nested
from support.world import World, Written, a_state, join_all, totals, writes
from tidegauge.kafka.backfill import LogShorterError, PartitionReader, ReadRecords
from tidegauge.roles.detect import faust_store as store_module
from tidegauge.roles.detect.faust_store import JoinStore
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.partition import PartitionState

CHANGELOG = "app-windows-changelog"

#: What a reader that hangs waits for.
FOREVER = 3_600.0


class Record(NamedTuple):
    """A record of the changelog, as confluent-kafka gives it."""

    at_partition: int
    at_offset: int
    written: Written

    def partition(self) -> int:
        return self.at_partition

    def offset(self) -> int:
        return self.at_offset

    def key(self) -> bytes:
        return self.written[0]

    def value(self) -> bytes | None:
        return self.written[1]

    def headers(self) -> list[tuple[str, bytes]]:
        return [("at", str(self.written[2]).encode()), ("log", self.written[3].encode())]


class FakeReader:
    """Gives what ``there`` has by partition, a record at a time; ``before`` is done before each."""

    def __init__(self) -> None:
        self.there: dict[int, list[Written]] = {}
        self.readings: list[dict[int, int]] = []
        self.before: Callable[[int, int], Coroutine[Any, Any, None]] | None = None
        self.closed = 0

    async def read(self, begins: Mapping[int, int]) -> AsyncGenerator[ReadRecords, None]:
        self.readings.append(dict(begins))
        try:
            for partition, begin in begins.items():
                there = self.there.get(partition, [])
                if begin > len(there):
                    raise LogShorterError(partition)
                for offset in range(begin, len(there)):
                    if self.before is not None:
                        await self.before(partition, offset)
                    record = cast(Message, Record(partition, offset, there[offset]))
                    yield ReadRecords([record], set())
                yield ReadRecords([], {partition})
        finally:
            self.closed += 1


class Bench:
    """A store with a fake reader, and what it calls."""

    def __init__(self) -> None:
        self.reader = FakeReader()
        self.ready: list[int] = []
        self.taken_up: list[int] = []
        self.read = 0
        self.skipped: list[tuple[int, int]] = []
        self.store = JoinStore(
            "memory://",
            SimpleNamespace(),
            SimpleNamespace(changelog_topic_name=CHANGELOG, name="windows"),
            reader=cast(PartitionReader, self.reader),
            make=_make,
            on_ready=lambda state: self.ready.append(state.partition),
            on_read=self._on_read,
            skipped=lambda partition, offset, why: self.skipped.append((partition, offset)),
        )

    def _on_read(self) -> None:
        self.read += 1

    async def rebalance(self, *partitions: int) -> None:
        tps = {TP(CHANGELOG, p) for p in partitions} | {TP("other", 9)}
        await self.store.on_rebalance(tps, set(), set())

    async def read_back(self) -> None:
        await self.store.read_back(self.taken_up.append)

    def totals(self, partition: int) -> Any:
        return totals(self.store.partitions[partition])


def _make(partition: int) -> PartitionState:
    state = a_state()
    state.partition = partition
    return state


def run(scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> Bench:
    async def whole() -> Bench:
        bench = Bench()
        await scenario(bench)
        return bench

    return asyncio.run(asyncio.wait_for(whole(), 20))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_RETRY_SECONDS", (0.001, 0.002))


@pytest.fixture(scope="module")
def changelog() -> tuple[PartitionState, list[Written]]:
    """Make a state, and the changelog of three checkpoints that led to it."""
    world = World()
    writer = Changelog(a_state())
    writer.restored()
    written: list[Written] = []
    for _ in range(3):
        world.event(0, time=NOW)
        seen = len(world.log)
        world.flush()
        join_all(writer.state, world.log[seen:])
        written += writes(writer.checkpoint())
    return writer.state, written


Made = tuple[PartitionState, Sequence[Written]]


def test_partitions_come_and_go_and_are_not_ready_before_they_are_read_back() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.rebalance(0, 1)
        assert bench.store.partitions.keys() == {0, 1}
        assert bench.store.unread == [0, 1]
        await bench.read_back()
        assert bench.ready == bench.taken_up == [0, 1]
        assert bench.store.unread == []
        kept = bench.store.partitions[1]
        await bench.rebalance(1, 2)
        assert bench.store.partitions.keys() == {1, 2}
        assert bench.store.partitions[1] is kept and not kept.ready
        await bench.read_back()
        assert bench.ready == [0, 1, 1, 2]

    run(scenario)


def test_a_partition_that_was_away_begins_with_nothing() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.rebalance(0)
        before = bench.store.partitions[0]
        await bench.rebalance()
        await bench.rebalance(0)
        assert bench.store.partitions[0] is not before

    run(scenario)


def test_a_changelog_is_joined_whatever_stale_values_a_paused_worker_wrote(changelog: Made) -> None:
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        bench.reader.there = {0: [*written, *written[1:3]]}
        await bench.rebalance(0)
        await bench.read_back()
        assert bench.totals(0) == totals(state)

    run(scenario)


def test_a_partition_that_stays_reads_on_from_where_it_was(changelog: Made) -> None:
    state, written = changelog
    half = len(written) // 2

    async def scenario(bench: Bench) -> None:
        bench.reader.there = {0: list(written[:half])}
        await bench.rebalance(0)
        await bench.read_back()
        bench.reader.there = {0: list(written)}  # another one wrote while it was paused
        await bench.rebalance(0)
        await bench.read_back()
        assert bench.reader.readings == [{0: 0}, {0: half}]
        assert bench.totals(0) == totals(state)
        assert bench.store.changelogs[0].reached == len(written)

    run(scenario)


@pytest.mark.parametrize("stays", [True, False])
def test_a_rebalance_in_the_middle_of_a_reading_mixes_nothing(changelog: Made, stays: bool) -> None:
    """The reading of before joins nothing more and makes nothing ready, and the next is whole."""
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        middle, go_on = asyncio.Event(), asyncio.Event()

        async def wait_in_the_middle(partition: int, offset: int) -> None:
            if offset == 3 and not middle.is_set():
                middle.set()
                await go_on.wait()

        bench.reader.there = {0: list(written), 1: list(written)}
        bench.reader.before = wait_in_the_middle
        await bench.rebalance(0, 1)
        first = asyncio.ensure_future(bench.read_back())
        await middle.wait()
        half_read = bench.store.partitions[0]
        await bench.rebalance(*([0] if stays else []), 1, 2)
        go_on.set()
        await first
        assert bench.ready == [] and bench.taken_up == []
        assert bench.store.unread == [*([0] if stays else []), 1, 2]
        await bench.read_back()
        assert bench.reader.closed == 2
        assert bench.reader.readings[1].get(0) == (3 if stays else None)
        for partition in bench.store.partitions.keys() - {2}:
            assert bench.totals(partition) == totals(state)
        assert (half_read in bench.store.partitions.values()) == stays
        assert half_read.ready == stays

    run(scenario)


def test_a_stop_in_the_middle_of_a_reading_is_prompt(changelog: Made) -> None:
    async def scenario(bench: Bench) -> None:
        middle = asyncio.Event()

        async def hang(partition: int, offset: int) -> None:
            middle.set()
            await asyncio.sleep(FOREVER)

        bench.reader.there = {0: list(changelog[1])}
        bench.reader.before = hang
        await bench.rebalance(0)
        reading = asyncio.ensure_future(bench.read_back())
        await middle.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert bench.ready == []

    run(scenario)


def test_brokers_that_go_away_are_asked_again_and_readiness_says_why(changelog: Made) -> None:
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        failures = iter([1, 3, 3])
        fails_at = next(failures)
        said = []

        async def fail(partition: int, offset: int) -> None:
            nonlocal fails_at
            said.append(bench.store.problem)
            if offset == fails_at:
                fails_at = next(failures, -1)
                raise KafkaException(KafkaError(KafkaError._TRANSPORT, "they are away"))

        bench.reader.there = {0: list(written)}
        bench.reader.before = fail
        await bench.rebalance(0)
        event = object()
        bench.store.partitions[0].joined.append(event)
        await bench.read_back()
        # What was read before may be another topic's by now: half of it is worth nothing.
        assert bench.reader.readings == [{0: 0}] * 4
        assert any("they are away" in one for one in said)
        assert bench.store.problem == ""
        assert bench.totals(0) == totals(state)
        assert bench.store.partitions[0].joined == [event]

    run(scenario)


def test_a_partition_that_is_ready_stays_so_while_others_are_read_again(changelog: Made) -> None:
    async def scenario(bench: Bench) -> None:
        failures = [1]

        async def fail(partition: int, offset: int) -> None:
            if partition == 1 and failures:
                failures.pop()
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

        bench.reader.there = {0: list(changelog[1]), 1: list(changelog[1])}
        bench.reader.before = fail
        await bench.rebalance(0, 1)
        await bench.read_back()
        assert bench.taken_up == [0, 1]
        assert bench.reader.readings == [{0: 0, 1: 0}, {1: 0}]

    run(scenario)


def test_what_was_whole_stays_when_the_changelog_is_made_anew(changelog: Made) -> None:
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        bench.reader.there = {0: list(written)}
        await bench.rebalance(0)
        await bench.read_back()
        bench.reader.there = {0: []}
        await bench.rebalance(0)
        await bench.read_back()
        assert bench.totals(0) == totals(state)
        # The next write has an offset before this one, and is followed by all there is.
        assert bench.store.changelogs[0].reached == len(written)

    run(scenario)


def test_what_was_half_read_of_a_changelog_that_was_made_anew_is_dropped(changelog: Made) -> None:
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        middle = asyncio.Event()

        async def hang(partition: int, offset: int) -> None:
            if offset == len(written) - 1 and not middle.is_set():
                middle.set()
                await asyncio.sleep(FOREVER)

        bench.reader.there = {0: list(written)}
        bench.reader.before = hang
        await bench.rebalance(0)
        first = asyncio.ensure_future(bench.read_back())
        await middle.wait()
        half_read = bench.store.partitions[0]
        await bench.rebalance(0)
        await first
        bench.reader.there = {0: list(written[:2])}
        await bench.read_back()
        assert bench.store.partitions[0] is not half_read
        assert bench.reader.readings == [{0: 0}, {0: len(written) - 1}, {0: 0}]
        assert bench.totals(0) != totals(state)

    run(scenario)


def test_what_comes_after_the_end_is_not_joined_to_a_state_that_is_at_work(
    changelog: Made,
) -> None:
    async def scenario(bench: Bench) -> None:
        async def late(begins: Mapping[int, int]) -> AsyncGenerator[ReadRecords, None]:
            yield ReadRecords([], {0})
            record = cast(Message, Record(0, 0, (b"not JSON", b"", 0, "")))
            yield ReadRecords([record], {1})

        bench.reader.read = late  # type: ignore[method-assign]
        await bench.rebalance(0, 1)
        await bench.read_back()
        assert bench.ready == [0, 1]

    run(scenario)


TAGS = [("at", b"0"), ("log", b"")]


class Foreign(NamedTuple):
    """A record that somebody else wrote."""

    at_key: bytes | None
    at_headers: Any

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def key(self) -> bytes | None:
        return self.at_key

    def value(self) -> bytes | None:
        return b"{}"

    def headers(self) -> Any:
        return self.at_headers


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (b"not JSON", TAGS),
        (None, TAGS),
        (nested(6_000), TAGS),
        (b'["cell"]', TAGS),
        (b'["part",["log"],1000000000]', TAGS),
        (b'["log"]', None),
        (b'["log"]', []),
        (b'["log"]', [("at", b"0")]),
        (b'["log"]', [("at", b"soon"), ("log", b"x")]),
        (b'["log"]', [("at", b"0"), ("log", b"\xff")]),
        (b'["log"]', [("at", None), ("log", b"x")]),
    ],
)
def test_a_foreign_record_is_skipped_and_named(
    changelog: Made, key: bytes | None, headers: Any
) -> None:
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        async def with_it(begins: Mapping[int, int]) -> AsyncGenerator[ReadRecords, None]:
            half = len(written) // 2
            records = [cast(Message, Record(0, i, one)) for i, one in enumerate(written)]
            foreign = cast(Message, Foreign(key, headers))
            yield ReadRecords([*records[:half], foreign, *records[half:]], {0})

        bench.reader.read = with_it  # type: ignore[method-assign]
        await bench.rebalance(0)
        await bench.read_back()
        assert bench.skipped == [(0, 7)]
        assert bench.totals(0) == totals(state)

    run(scenario)


def test_joining_lets_others_have_their_turn(
    changelog: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_TURN_SECONDS", 0.0)
    state, written = changelog

    async def scenario(bench: Bench) -> None:
        async def at_once(begins: Mapping[int, int]) -> AsyncGenerator[ReadRecords, None]:
            records = [cast(Message, Record(0, i, one)) for i, one in enumerate(written)]
            yield ReadRecords(records, {0})

        bench.reader.read = at_once  # type: ignore[method-assign]
        await bench.rebalance(0)
        reading = asyncio.ensure_future(bench.read_back())
        turns = 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > len(written)
        assert bench.totals(0) == totals(state)

    run(scenario)
