"""A topic of histograms that is made anew, or loses its end, is read from its beginning."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from faust.types import TP

from support.counting import NOW
from support.detector_bench import Bench, Log
from support.world import World
from tidegauge.roles.detect.broker_watch import joined_of


@pytest.fixture(scope="module")
def log() -> Log:
    """Forty flushes of one tenure of three partitions; many windows close."""
    world = World()
    for step in range(40):
        world.now = NOW + 20 * step
        for partition in range(3):
            world.event(partition, time=world.now)
        world.flush()
    return [(at, msgspec.json.encode(record)) for at, record in world.log]


def made_anew(log: Log) -> Log:
    return [(offset, value) for offset, (_, value) in enumerate(log)]


def run(there: Log, scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> Bench:
    async def whole() -> Bench:
        bench = Bench(there)

        async def rewind(partition: int, offset: int) -> None:
            bench.rewound.append((partition, offset))

        bench.detector.broker_watch.rewind = rewind
        await scenario(bench)
        bench.close()
        return bench

    return asyncio.run(whole())


async def look(bench: Bench, end: int) -> str:
    """Look once; return what is said of it."""
    bench.end = end
    watch, states = bench.detector.broker_watch, bench.detector.store.partitions
    await watch.compare(joined_of(states), {0: end}, states)
    return str(bench.detector.health.ready())


@pytest.fixture(scope="module")
def expected(log: Log) -> list[bytes]:
    published = run(log, lambda bench: bench.deliver(log)).published()
    assert len(published) > 5
    return published


def test_what_was_counted_stays_and_the_new_topic_is_read_from_its_beginning(
    log: Log, expected: list[bytes]
) -> None:
    anew = made_anew(log[20:])

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        assert "was made anew" not in await look(bench, 10**6)
        bench.there, bench.topic_id = anew, "another"
        said = await look(bench, 3)
        assert "'status': 'degraded'" in said and "was made anew" in said
        assert bench.rewound == [(0, 0)]
        await bench.deliver(anew)
        await look(bench, 10**6)
        assert bench.rewound == [(0, 0)]

    bench = run(log, scenario)
    assert bench.state.progress.next_offset == len(anew)
    assert bench.state.progress.topic_id == "another"
    assert bench.published() == expected
    assert not bench.count("tidegauge_recounts_total")
    assert not bench.count("tidegauge_lost_records_total")


def test_what_is_saved_after_that_is_read_back_as_the_new_topics(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        await look(bench, 10**6)
        changelog = bench.detector.store.changelogs[0]
        before = changelog.checkpoint()
        bench.topic_id = "another"
        await look(bench, 3)
        after = changelog.checkpoint()
        assert before.log != after.log and after.at == 0
        bench.take_over()
        restored = bench.detector.store.changelogs[0]
        for checkpoint in (before, after):
            for key, value in [*checkpoint.values, *checkpoint.progress]:
                restored.restore(key, value, checkpoint.at, checkpoint.log)
        restored.restored()
        assert restored.state.progress == changelog.state.progress
        assert restored.state.cells == changelog.state.cells

    run(log, scenario)


def test_what_nobody_had_read_of_the_topic_that_is_gone_is_lost_and_nothing_else(log: Log) -> None:
    anew = made_anew(log[25:])

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        await look(bench, 10**6)
        bench.there, bench.topic_id = anew, "another"
        await look(bench, 10**6)
        await bench.deliver(anew)

    bench = run(log, scenario)
    assert bench.count("tidegauge_lost_records_total") > 0
    assert not bench.count("tidegauge_recounts_total")
    assert bench.state.progress.next_offset == len(anew)


def test_a_gap_that_another_topic_explains_is_not_counted_again(
    log: Log, expected: list[bytes]
) -> None:
    anew = made_anew(log[10:])

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:10])
        await look(bench, 10**6)
        bench.there, bench.topic_id = anew, "another"
        await bench.deliver(anew[15:])

    bench = run(log, scenario)
    assert bench.published() == expected
    assert not bench.count("tidegauge_recounts_total")


def test_a_record_of_the_topic_that_is_gone_is_not_taken(log: Log, expected: list[bytes]) -> None:
    anew = made_anew(log[20:])

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        await look(bench, 10**6)
        bench.there, bench.topic_id = anew, "another"
        await look(bench, len(anew))
        assert await bench.detector.intake.receive(0, len(anew) + 7, log[19][1]) is None
        await look(bench, len(anew))
        assert bench.rewound == [(0, 0), (0, 0)]
        # Handed out still, at an offset that the new topic has: what that has there is taken.
        await bench.detector.intake.receive(0, 2, log[19][1])
        await bench.deliver(anew[3:])

    bench = run(log, scenario)
    assert bench.published() == expected
    assert not bench.count("tidegauge_recounts_total")


def test_a_topic_that_lost_its_end_is_counted_again_once_it_has_looked_so_twice(log: Log) -> None:
    left = log[:15]

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        await look(bench, 10**6)
        bench.there = left
        said = await look(bench, left[-1][0] + 1)
        assert "'status': 'failed'" in said and "partition 0 ends at" in said
        assert not bench.count("tidegauge_recounts_total")
        said = await look(bench, left[-1][0] + 1)
        assert "'status': 'degraded'" in said and "lost its end" in said
        news = (log[14][0] + 1, log[20][1])
        bench.there, bench.end = [*left, news], news[0] + 1
        await bench.deliver([news])

    bench = run(log, scenario)
    # And once more for the gap that the lost end has left.
    assert bench.count("tidegauge_recounts_total") == 2
    assert bench.state.progress.next_offset == log[14][0] + 2


@pytest.mark.parametrize("behind", ["ends", "topic_id"])
def test_records_that_come_while_the_brokers_are_asked_are_no_lost_end(
    log: Log, expected: list[bytes], behind: str
) -> None:
    """The end is that of before them, and so it is at every look of a busy worker."""

    async def scenario(bench: Bench) -> None:
        detector, loop = bench.detector, asyncio.get_running_loop()
        detector.app.assignor.assigned_actives = lambda: {TP("tidegauge.histograms", 0)}
        detector.offsets.partitions = lambda topic: 3  # type: ignore[method-assign]
        ask, coming = getattr(detector.offsets, behind), iter(log[10:])

        def answer(*asked: Any) -> Any:
            told = ask(*asked)
            here = bench.deliver([next(coming)])
            asyncio.run_coroutine_threadsafe(here, loop).result(10)
            return told

        setattr(detector.offsets, behind, answer)
        detector.report_owned()
        await bench.deliver(log[:10])
        for _ in log[10:]:
            bench.end = bench.state.progress.next_offset
            await detector.broker_watch.check()
            assert "lost its end" not in str(detector.health.ready())

    bench = run(log, scenario)
    assert bench.published() == expected
    assert not bench.count("tidegauge_recounts_total")


def test_an_end_that_was_told_too_low_is_forgotten_once_more_is_read(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        await look(bench, 10**6)
        for at, value in log:
            await bench.deliver([(at, value)])
            await look(bench, at - 3)
        assert not bench.count("tidegauge_recounts_total")
        await look(bench, log[-1][0] - 3)
        assert bench.count("tidegauge_recounts_total") == 1

    run(log, scenario)


def test_an_id_that_was_asked_for_before_another_topic_was_noted_changes_nothing(log: Log) -> None:
    """The gap in the records told sooner that the topic is another one."""
    anew = made_anew(log[10:])

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:10])
        await look(bench, 10**6)
        loop = asyncio.get_running_loop()

        def answer(_: str) -> str:
            told, bench.topic_id, bench.there = bench.topic_id, "another", anew
            if told != "another":
                here = bench.detector.intake.receive(0, *anew[20])
                asyncio.run_coroutine_threadsafe(here, loop).result(10)
            return told

        bench.detector.offsets.topic_id = answer  # type: ignore[method-assign]
        for _ in range(3):
            await look(bench, 10**6)
        assert bench.state.progress.topic_id == "another"

    bench = run(log, scenario)
    assert not bench.registry.get_sample_value(
        "tidegauge_histogram_breaks_total", {"happened": "recreated"}
    )


def test_a_topic_without_an_id_that_ends_before_what_was_read_of_it_is_read_anew(
    log: Log, expected: list[bytes]
) -> None:
    anew = made_anew(log[20:])

    async def scenario(bench: Bench) -> None:
        bench.topic_id = ""
        await bench.deliver(log[:20])
        bench.there = anew
        for _ in range(2):
            await look(bench, 3)
        await bench.deliver(anew)

    bench = run(log, scenario)
    assert bench.published() == expected
    assert not bench.count("tidegauge_recounts_total")


def test_a_broker_that_is_behind_and_tells_the_id_of_before_changes_nothing(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        await look(bench, 10**6)
        for topic_id in ("another", "present", "another"):
            bench.topic_id = topic_id
            await look(bench, 3)
        assert bench.state.progress.topic_id == "another"
        name = "tidegauge_histogram_breaks_total"
        assert bench.registry.get_sample_value(name, {"happened": "recreated"}) == 1

    run(log, scenario)


def test_a_topic_that_is_gone_is_said(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        bench.detector.offsets.partitions = lambda topic: 0  # type: ignore[method-assign]
        await bench.detector.broker_watch.check()
        is_ready, body = bench.detector.health.ready()
        assert not is_ready and "tidegauge topics create" in str(body)

    run(log, scenario)


def test_a_partition_of_which_the_stream_hands_out_nothing_is_begun_again_with(log: Log) -> None:
    """As after a rebalance, if what is committed is of the topic before."""

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        watch, states = bench.detector.broker_watch, bench.detector.store.partitions
        await look(bench, 10**6)
        reached, joined = bench.state.progress.next_offset, joined_of(states)
        for looks, rewound in ((1, 0), (2, 1), (3, 1), (13, 1), (14, 2)):
            while watch._waited.get(0, 0) < looks:
                await watch.compare(joined, {0: 10**6}, states, waiting={0})
            assert bench.rewound == [(0, reached)] * rewound
        await watch.compare(joined, {0: 10**6}, states)
        await watch.compare(joined, {0: 10**6}, states, waiting={0})
        assert len(bench.rewound) == 2

    run(log, scenario)
