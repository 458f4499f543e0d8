"""A gap is counted again for once; what comes after all is not lost, and what doesn't is."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.counting import NOW
from support.detector_bench import Bench, Log
from support.world import World

Forge = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def log() -> Log:
    """Sixty flushes of one tenure, five seconds apart."""
    world = World()
    for step in range(60):
        world.now = NOW + 5 * step
        for partition in range(3):
            world.event(partition, time=world.now)
        world.flush()
    return [(at, msgspec.json.encode(record)) for at, record in world.log]


async def take(bench: Bench, log: Log) -> None:
    bench.there = [*bench.there, *log]
    await bench.deliver(log)


def run(parts: list[Log]) -> Bench:
    async def whole() -> Bench:
        bench = Bench([])
        for part in parts:
            await take(bench, part)
        bench.close()
        return bench

    return asyncio.run(whole())


def counted(bench: Bench) -> list[tuple[Any, ...]]:
    """Return what is reported; which offsets a window was counted by then is what records say."""
    found = [json.loads(one) for one in bench.published()]
    fields = ("window_start", "revision", "events", "errors", "state", "rule")
    return [tuple(one.get(name) for name in fields) for one in found]


@pytest.fixture(scope="module")
def expected(log: Log) -> list[tuple[Any, ...]]:
    return counted(run([log]))


def forged(log: Log, after: int, change: Forge, tenure: str = "somebody") -> tuple[int, bytes]:
    """Return a record at a hole of the log that says what one before said, but for a change."""
    at, value = log[after]
    record = json.loads(value) | {"tenure": tenure, "cells": [], "clocks": {}}
    for one in record["ranges"].values():
        one["since"] = one["to"]
    change(record)
    return at + 1, json.dumps(record).encode()


def in_ranges(**changes: int) -> Forge:
    def change(record: dict[str, Any]) -> None:
        for at in record["ranges"].values():
            for name, by in changes.items():
                at[name] = at.get(name, 0) + by

    return change


def with_seq(seq: int) -> Forge:
    return lambda record: record.update(seq=seq)


FORGED: dict[str, Forge] = {
    "a series that is none": in_ranges(series=1),
    "a series far ahead": in_ranges(series=10_000, since=3, to=9),
    "a number far ahead": with_seq(5_000),
    "offsets ahead": in_ranges(since=5, to=7),
    "offsets ahead without a gap": in_ranges(to=100),
    "an end far ahead": in_ranges(end=10_000),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_loses_nothing_and_is_counted_again_for_once_at_most(
    name: str, log: Log, expected: list[tuple[Any, ...]]
) -> None:
    bench = run([log[:20], [forged(log, 19, FORGED[name])], log[20:]])
    assert counted(bench) == expected
    assert bench.count("tidegauge_recounts_total") <= 1
    assert not bench.count("tidegauge_lost_records_total")
    assert not bench.count("tidegauge_counted_twice_events_total")


def test_after_a_forged_record_a_gap_is_counted_again_for(
    log: Log, expected: list[tuple[Any, ...]]
) -> None:
    async def whole() -> Bench:
        bench = Bench([])
        await take(bench, log[:20])
        await take(bench, [forged(log, 19, FORGED["offsets ahead"])])
        assert bench.count("tidegauge_recounts_total") == 1
        await take(bench, log[20:30])
        # Passed over for good: by the time that it is noticed they are read again.
        before = bench.there
        bench.on_read = lambda: setattr(bench, "there", [*before, *log[30:]])
        await bench.deliver(log[35:])
        bench.close()
        return bench

    bench = asyncio.run(whole())
    assert bench.count("tidegauge_recounts_total") == 2
    assert counted(bench) == expected
    assert not bench.count("tidegauge_lost_records_total")


def test_records_that_are_nowhere_are_lost_once_nothing_has_filled_their_gap(log: Log) -> None:
    bench = run([log[:20], log[25:27]])
    assert bench.count("tidegauge_recounts_total") == 1
    assert not bench.count("tidegauge_lost_records_total")
    bench = run([log[:20], log[25:]])
    assert bench.count("tidegauge_recounts_total") == 1
    assert bench.count("tidegauge_lost_records_total") > 0


def test_gaps_without_number_are_counted_again_for_a_few_times_only(
    log: Log, expected: list[tuple[Any, ...]]
) -> None:
    parts = []
    for number in range(20, 40):
        change = in_ranges(since=2 + number, to=3 + number)
        parts += [log[number - 1 : number], [forged(log, number - 1, change, f"t{number}")]]
    bench = run([log[:19], *parts, log[39:]])
    assert bench.count("tidegauge_recounts_total") == 3
    assert counted(bench) == expected
    assert not bench.count("tidegauge_lost_records_total")


def test_what_retention_deleted_after_it_was_read_is_not_lost_by_a_recount(log: Log) -> None:
    async def whole() -> Bench:
        bench = Bench([], begin=log[5][0])
        await take(bench, log[5:20])
        lost = bench.count("tidegauge_lost_records_total")
        bench.there = bench.there[5:]
        bench.detector.offsets.begin = lambda topic, p: log[10][0]  # type: ignore[method-assign]
        await take(bench, [forged(log, 19, FORGED["offsets ahead"])])
        await take(bench, log[20:])
        assert bench.count("tidegauge_recounts_total") == 1
        assert bench.count("tidegauge_lost_records_total") == lost
        bench.close()
        return bench

    asyncio.run(whole())
