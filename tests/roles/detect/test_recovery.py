"""What stands in the place of Faust's recovery: the stream goes on, and state is read back."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from tidegauge.config.settings import Settings
from tidegauge.roles.detect.faust_store import ReadBackRecovery, ReadBackTables, make_app

LOG, CHANGELOG = "histograms", "windows-changelog"


class Bench:
    """A recovery with a consumer, a table and a group that note what is done to them."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.seeking: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.reading: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.taken_up = asyncio.Event()
        note = self.done.append
        self.assigned = {TP(topic, p) for topic in (LOG, CHANGELOG) for p in (0, 1)}
        consumer = SimpleNamespace(
            perform_seek=self._seek,
            resume_flow=lambda: note("flow"),
            resume_partitions=note,
            assignment=lambda: self.assigned,
        )
        app: Any = SimpleNamespace(
            conf=SimpleNamespace(stream_recovery_delay=0.0),
            consumer=consumer,
            consumer_generation_id=0,
            on_rebalance_complete=SimpleNamespace(send=_nothing),
            flow_control=SimpleNamespace(resume=lambda: note("streams")),
            on_rebalance_end=lambda: note("end"),
            _fetcher=SimpleNamespace(maybe_start=_nothing),
            assignor=SimpleNamespace(assigned_standbys=set, assigned_actives=lambda: self.assigned),
            tracer=None,
            _rebalancing_span=None,
        )
        self.app = app
        store = SimpleNamespace(read_back=self._read, stop_reading=lambda: note("stop reading"))
        tables: Any = _Tables(windows=_Table(store))
        self.recovery = ReadBackRecovery(app, tables)

    async def _seek(self) -> None:
        self.done.append("seek")
        if self.seeking is not None:
            await self.seeking()

    async def _read(self, take_up: Callable[[int], None]) -> None:
        self.done.append("read")
        if self.reading is not None:
            await self.reading()
        take_up(1)
        self.taken_up.set()

    async def rebalance(self, generation: int) -> None:
        self.app.consumer_generation_id = generation
        await self.recovery.on_rebalance(self.assigned, set(), set(), generation)


class _Table:
    def __init__(self, store: Any) -> None:
        self.data = store

    def persisted_offset(self, tp: TP) -> None:
        return None


class _Tables(dict[str, Any]):
    changelog_topics = frozenset({CHANGELOG})

    def __init__(self, **tables: Any) -> None:
        super().__init__(tables)
        self._changelogs = {CHANGELOG: next(iter(tables.values()))}

    def on_actives_ready(self) -> None:
        pass

    on_standbys_ready = on_actives_ready


async def _nothing() -> None:
    pass


def run(scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> Bench:
    async def whole() -> Bench:
        bench = Bench()
        await bench.recovery.start()
        try:
            await scenario(bench)
        finally:
            await bench.recovery.stop()
        return bench

    return asyncio.run(asyncio.wait_for(whole(), 20))


RESUMED = ["seek", "streams", "flow", "end"]


def test_the_stream_flows_at_once_and_the_input_of_a_partition_when_it_is_read_back() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.rebalance(1)
        await bench.taken_up.wait()
        assert bench.recovery.completed.is_set()
        assert bench.done == [*RESUMED, "read", {TP(LOG, 1)}]
        assert not bench.recovery.in_recovery

    run(scenario)


def test_a_second_rebalance_in_the_middle_of_a_reading_begins_another() -> None:
    """With Faust's recovery, this is what hangs."""

    async def scenario(bench: Bench) -> None:
        reads, first = asyncio.Event(), [True]

        async def hang_once() -> None:
            if first:
                first.clear()
                reads.set()
                await asyncio.Event().wait()

        bench.reading = hang_once
        await bench.rebalance(1)
        await reads.wait()
        bench.recovery.on_partitions_revoked(bench.assigned)
        await bench.rebalance(2)
        await bench.taken_up.wait()
        assert bench.done == [
            *RESUMED, "read", "stop reading", *RESUMED, "read", {TP(LOG, 1)},
        ]  # fmt: skip

    run(scenario)


def test_what_is_revoked_while_offsets_are_sought_is_not_taken_up() -> None:
    async def scenario(bench: Bench) -> None:
        seeks, go_on = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            seeks.set()
            await go_on.wait()

        bench.seeking = wait
        await bench.rebalance(1)
        await seeks.wait()
        bench.recovery.on_partitions_revoked(bench.assigned)
        go_on.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.done == ["seek", "stop reading"]
        bench.seeking = None
        await bench.rebalance(2)
        await bench.taken_up.wait()
        assert bench.done[2:] == [*RESUMED, "read", {TP(LOG, 1)}]

    run(scenario)


def test_an_assignment_that_is_gone_by_the_time_it_is_sought_is_followed_by_the_next() -> None:
    async def scenario(bench: Bench) -> None:
        async def fail() -> None:
            bench.seeking = None
            raise IllegalStateError("no current assignment")

        bench.seeking = fail
        await bench.rebalance(1)
        while bench.seeking is not None:
            await asyncio.sleep(0)
        await bench.rebalance(2)
        await bench.taken_up.wait()
        assert bench.done == ["seek", *RESUMED, "read", {TP(LOG, 1)}]

    run(scenario)


def test_a_rebalance_of_a_generation_that_has_passed_is_left_to_the_next() -> None:
    async def scenario(bench: Bench) -> None:
        bench.app.consumer_generation_id = 2
        await bench.recovery.on_rebalance(bench.assigned, set(), set(), 1)
        await bench.rebalance(2)
        await bench.taken_up.wait()
        assert bench.done == [*RESUMED, "read", {TP(LOG, 1)}]

    run(scenario)


def test_a_stop_in_the_middle_of_a_reading_is_prompt() -> None:
    async def scenario(bench: Bench) -> None:
        reads = asyncio.Event()

        async def hang() -> None:
            reads.set()
            await asyncio.Event().wait()

        bench.reading = hang
        await bench.rebalance(1)
        await reads.wait()

    assert run(scenario).done == [*RESUMED, "read"]


def test_what_cannot_be_read_back_ends_the_recovery_with_the_reason() -> None:
    async def scenario(bench: Bench) -> None:
        async def fail() -> None:
            raise ValueError("malformed")

        bench.reading = fail
        await bench.rebalance(1)
        await bench.recovery._crashed.wait()
        assert isinstance(bench.recovery.crash_reason, ValueError)

    run(scenario)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_application_has_this_recovery() -> None:
    async def made() -> None:
        app: Any = make_app(Settings(), 4)
        assert isinstance(app.tables, ReadBackTables)
        assert isinstance(app.tables.recovery, ReadBackRecovery)
        assert app.tables.recovery is app.tables.recovery

    asyncio.run(made())
