"""The detector takes every record of the log in order, whatever Faust leaves out or hands out."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException
from faust.types import TP

from support.counting import NOW
from support.detector_bench import Bench, Log, read_records
from support.world import World
from tidegauge.config.sections import TopicSettings
from tidegauge.kafka.backfill import ReadRecords
from tidegauge.roles.detect import broker_watch
from tidegauge.telemetry.health import Progress


@pytest.fixture(scope="module")
def log() -> Log:
    """Forty flushes of two workers, with a rebalance now and then; many windows close."""
    world = World()
    for step in range(40):
        world.now = NOW + 20 * step
        for partition in range(3):
            world.event(partition, time=world.now)
        if step % 15 == 14:
            world.move(step % 3)
        world.flush()
    return [(at, msgspec.json.encode(record)) for at, record in world.log]


def run(there: Log, scenario: Callable[[Bench], Coroutine[Any, Any, None]], **of: Any) -> Bench:
    async def whole() -> Bench:
        bench = Bench(there, **of)
        await scenario(bench)
        bench.close()
        return bench

    return asyncio.run(whole())


@pytest.fixture(scope="module")
def expected(log: Log) -> list[bytes]:
    bench = run(log, lambda bench: bench.deliver(log))
    published = bench.published()
    assert len(published) > 5 and not bench.count("tidegauge_lost_records_total")
    return published


def test_what_is_left_out_before_the_first_record_is_read(log: Log, expected: list[bytes]) -> None:
    bench = run(log, lambda bench: bench.deliver(log[25:]))
    assert bench.read == [(0, log[25][0])]
    assert bench.published() == expected


def test_what_is_left_out_after_a_rebalance_is_read(log: Log, expected: list[bytes]) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:20])
        # The partition stays, and its state with it; Faust drops what it had buffered.
        bench.detector._on_ready(bench.state)
        await bench.deliver(log[31:])

    bench = run(log, scenario)
    assert bench.read[-1] == (log[19][0] + 1, log[31][0])
    assert bench.published() == expected


def test_stale_records_that_are_handed_out_again_change_nothing(
    log: Log, expected: list[bytes]
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:30])
        bench.detector._on_ready(bench.state)
        await bench.deliver(log[22:26])
        await bench.deliver(log[10:])

    assert run(log, scenario).published() == expected


@pytest.mark.parametrize("left_out", [1, 7, 40])
def test_a_gap_without_a_rebalance_is_seen_and_read(
    log: Log, expected: list[bytes], left_out: int
) -> None:
    bench = run(log, lambda bench: bench.deliver(log[:left_out] + log[left_out + 4 :]))
    [(begin, _)] = bench.read
    assert begin == log[left_out - 1][0] + 1
    assert bench.published() == expected


def test_a_partition_that_goes_while_it_is_read_is_not_taken(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        bench.on_read = bench.detector.store.changelogs.clear
        await bench.deliver(log[25:26])
        assert not bench.detector.store.partitions

    run(log, scenario)


def test_a_partition_that_comes_back_while_it_is_read_is_taken_anew(
    log: Log, expected: list[bytes]
) -> None:
    async def scenario(bench: Bench) -> None:
        def away_and_back() -> None:
            bench.on_read = lambda: None
            bench.take_over()

        bench.on_read = away_and_back
        await bench.deliver(log[25:])

    assert run(log, scenario).published() == expected


def test_records_passed_over_for_good_are_counted_again_once(
    log: Log, expected: list[bytes]
) -> None:
    async def scenario(bench: Bench) -> None:
        whole, bench.there = bench.there, log[:5] + log[12:]
        bench.on_read = lambda: setattr(bench, "there", whole)
        await bench.deliver(log[20:])

    bench = run(log, scenario)
    assert bench.count("tidegauge_recounts_total") == 1
    assert bench.count("tidegauge_lost_records_total") == 0
    assert bench.published() == expected


def test_a_partition_that_goes_while_a_gap_is_looked_into_is_left_alone(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        def gone(topic: str, partition: int) -> int:
            bench.detector.store.changelogs.clear()
            return 0

        bench.detector.offsets.begin = gone  # type: ignore[method-assign]
        await bench.deliver(log[20:21])
        assert not bench.detector.store.partitions

    bench = run(log[:5] + log[12:], scenario)
    assert bench.count("tidegauge_recounts_total") == 0


def test_records_that_retention_has_deleted_are_told_and_not_waited_for(log: Log) -> None:
    gone = log[12][0]
    there = log[12:]

    async def scenario(bench: Bench) -> None:
        await bench.deliver(log[:5])
        await bench.deliver(log[14:])

    bench = run(there, scenario, begin=gone)
    assert bench.count("tidegauge_recounts_total") == 0
    assert bench.count("tidegauge_lost_records_total") > 0
    assert bench.state.progress.next_offset == log[-1][0] + 1


def test_who_is_cancelled_while_it_reads_leaves_nothing_open(log: Log) -> None:
    reading, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def read(*asked: object) -> Generator[ReadRecords, None, None]:
        try:
            reading.set()
            assert go_on.wait(10)
            yield read_records(log[:1])
        finally:
            closed.set()

    async def scenario(bench: Bench) -> None:
        bench.detector.intake.reader._read = read  # type: ignore[method-assign]
        taking = asyncio.ensure_future(bench.deliver(log[5:6]))
        assert await asyncio.to_thread(reading.wait, 10)
        taking.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert closed.is_set()

    run(log, scenario)


def test_a_detector_that_reads_back_its_state_is_not_ready(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        health = bench.detector.health
        assert health.ready()[0]
        bench.state.ready = False
        bench.detector.report_owned()
        is_ready, body = health.ready()
        assert not is_ready and "reads back the state of partitions [0]" in str(body)
        bench.detector.store.changelogs.clear()
        bench.detector.report_owned()
        assert health.ready()[0]

    run(log, scenario)


def test_a_state_that_cannot_be_read_back_is_said_with_the_reason(log: Log) -> None:
    async def scenario(bench: Bench) -> None:
        bench.state.ready = False
        bench.detector.store.problem = "the brokers are away"
        bench.detector.report_owned()
        is_ready, body = bench.detector.health.ready()
        assert not is_ready and "which doesn't go on: the brokers are away" in str(body)

    run(log, scenario)


def test_reading_back_that_stands_still_is_a_stall_unless_the_brokers_are_away(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_watch, "LAG_SECONDS", 0.001)
    stalled: list[str | None] = []

    async def scenario(bench: Bench) -> None:
        detector = bench.detector
        assert detector.store._on_read == detector.progress.moved
        progress = detector.broker_watch.progress = Progress("detect", lambda: bench.now)

        def partitions(topic: str) -> int:
            if topic == TopicSettings().histograms:
                return 3
            stalled.append(progress.stalled(60))
            match len(stalled):
                case 3:
                    progress.moved()
                case 5:
                    raise KafkaException(KafkaError(KafkaError._TRANSPORT))
                case 7:
                    detector._stopping.set()
            bench.now += 61
            return 3

        detector.offsets.partitions = partitions  # type: ignore[method-assign]
        detector.offsets.ends = lambda topic, ps: dict.fromkeys(ps, 0)  # type: ignore[method-assign]
        bench.state.ready = False
        await detector.watch_brokers()

    run(log, scenario)
    assert [one is not None for one in stalled] == [False, False, True, True, True, False, False]
    assert "the state of partitions [0] is read back" in str(stalled[2])


@pytest.mark.parametrize(("end", "is_shorter"), [(3, True), (1_000_000, False)])
def test_input_that_ends_before_what_was_read_of_it_is_said(
    log: Log, end: int, is_shorter: bool
) -> None:
    async def scenario(bench: Bench) -> None:
        detector, topic = bench.detector, TopicSettings().histograms
        detector.app.assignor.assigned_actives = lambda: {TP(topic, 0)}
        detector.offsets.partitions = lambda topic: 3  # type: ignore[method-assign]
        detector.offsets.ends = lambda topic, ps: dict.fromkeys(ps, end)  # type: ignore[method-assign]
        detector.report_owned()
        bench.state.skip(40)
        await detector.broker_watch.check()
        is_ready, body = detector.health.ready()
        assert is_ready is not is_shorter
        assert ("partition 0 ends at 3 and was read to 41" in str(body)) is is_shorter

    run(log, scenario)


@pytest.mark.parametrize("problem", ["not read back", "not ours", "brokers away"])
def test_a_record_that_was_not_taken_is_acknowledged_with_what_was(log: Log, problem: str) -> None:
    """It is read once more before the next one; unacknowledged, it would hold up the commit."""

    class Event(NamedTuple):
        message: Any
        value: bytes

    class Stream:
        def noack(self) -> "Stream":
            return self

        async def events(self) -> AsyncGenerator[Event, None]:
            for at, value in log[25:27]:
                yield Event(SimpleNamespace(partition=0, offset=at), value)

    async def scenario(bench: Bench) -> None:
        match problem:
            case "not read back":
                bench.state.ready = False
            case "not ours":
                bench.detector.store.changelogs.clear()
            case _:

                def fail() -> None:
                    raise KafkaException(KafkaError(KafkaError._TRANSPORT))

                bench.on_read = fail
        await bench.detector._join(cast(Any, Stream()))
        if problem != "not ours":
            assert [event.message.offset for event in bench.state.joined] == [
                log[25][0],
                log[26][0],
            ]
            assert bench.state.progress.next_offset == 0

    run(log, scenario)
