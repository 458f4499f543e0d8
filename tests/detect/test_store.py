"""Faust's store for DETECT: partitions come and go, and recovery never overwrites or gives up."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from support.counting import NOW
from support.world import World, Written, a_state, join_all, totals, writes
from tidegauge.detect.changelog import Changelog
from tidegauge.detect.partition import PartitionState
from tidegauge.detect.store import JoinStore

CHANGELOG = "app-windows-changelog"


@dataclass
class FakeApp:
    """What the store does to the application if it can't go on."""

    crashed_by: BaseException | None = None

    def _crash(self, error: BaseException) -> None:
        self.crashed_by = error


def _store() -> tuple[JoinStore, FakeApp, list[int]]:
    app, ready = FakeApp(), []

    def make(partition: int) -> PartitionState:
        state = a_state()
        state.partition = partition
        return state

    async def build() -> JoinStore:
        return JoinStore(
            "memory://",
            app,
            SimpleNamespace(changelog_topic_name=CHANGELOG, name="windows"),
            make=make,
            on_ready=lambda state: ready.append(state.partition),
            on_restored=lambda: None,
        )

    return asyncio.run(build()), app, ready


def _events(written: list[Written], partition: int = 0) -> list[Any]:
    return [
        SimpleNamespace(
            message=SimpleNamespace(
                key=key,
                value=value,
                partition=partition,
                offset=offset,
                headers=[("at", str(at).encode()), ("log", log.encode())],
            )
        )
        for offset, (key, value, at, log) in enumerate(written)
    ]


def _rebalance(store: JoinStore, *partitions: int) -> None:
    tps = {TP(CHANGELOG, p) for p in partitions} | {TP("other", 9)}
    asyncio.run(store.on_rebalance(tps, set(), set()))


def _recovered(store: JoinStore, *partitions: int) -> None:
    asyncio.run(store.on_recovery_completed({TP(CHANGELOG, p) for p in partitions}, set()))


def test_partitions_come_and_go_and_are_not_ready_before_recovery() -> None:
    store, _, ready = _store()
    _rebalance(store, 0, 1)
    assert store.partitions.keys() == {0, 1}
    assert not any(state.ready for state in store.partitions.values())
    _recovered(store, 0, 1)
    assert sorted(ready) == [0, 1]
    kept = store.partitions[1]
    _rebalance(store, 1, 2)
    assert store.partitions.keys() == {1, 2}
    assert store.partitions[1] is kept and not kept.ready


def test_a_partition_that_was_away_begins_with_nothing() -> None:
    store, _, _ = _store()
    _rebalance(store, 0)
    before = store.partitions[0]
    _rebalance(store)
    _rebalance(store, 0)
    assert store.partitions[0] is not before


def test_a_changelog_is_joined_whatever_stale_values_a_paused_worker_wrote() -> None:
    world = World()
    writer = Changelog(a_state())
    writer.restored()
    changelog: list[Written] = []
    for _ in range(3):
        world.event(0, time=NOW)
        seen = len(world.log)
        world.flush()
        join_all(writer.state, world.log[seen:])
        changelog += writes(writer.checkpoint())
    store, _, _ = _store()
    _rebalance(store, 0)
    stale = changelog[1:3]
    store.apply_changelog_batch(_events([*changelog, *stale]), lambda k: k, lambda v: v)
    _recovered(store, 0)
    assert totals(store.partitions[0]) == totals(writer.state)


def test_records_of_a_partition_that_is_gone_are_left_alone() -> None:
    store, app, _ = _store()
    _rebalance(store, 0)
    store.apply_changelog_batch(
        _events([(b"not even JSON", b"", 0, "")], 5), lambda k: k, lambda v: v
    )
    assert app.crashed_by is None


def test_a_changelog_that_cannot_be_read_ends_the_process_instead_of_losing_state() -> None:
    store, app, _ = _store()
    _rebalance(store, 0)
    with pytest.raises(Exception, match="malformed"):
        store.apply_changelog_batch(
            _events([(b"not JSON", b"{}", 0, "")]), lambda k: k, lambda v: v
        )
    assert app.crashed_by is not None
