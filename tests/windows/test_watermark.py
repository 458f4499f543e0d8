"""How far event time has come: the slowest source partition decides, and nothing goes back."""

import pytest

from support.counting import NOW
from support.world import World, a_state, join_all
from tidegauge.windows.sources import merge_source, source_time, watermark
from tidegauge.windows.values import PartitionProgress, Source, SourceClock


def _clock(time: float, latest: float | None, *, idle: bool = False) -> SourceClock:
    return SourceClock(time=time, latest=latest, idle=idle)


def _progress(*clocks: SourceClock | None, before: float = 0.0) -> PartitionProgress:
    known = {p: clock for p, clock in enumerate(clocks) if clock is not None}
    source = Source(partitions=len(clocks), covered={}, clocks=known)
    return PartitionProgress(watermark=before, sources={"s": source})


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (_clock(500, 400), 400),
        (_clock(500, None), None),
        (_clock(500, 400, idle=True), 490),
        (_clock(500, None, idle=True), 490),
        (_clock(500, 495, idle=True), 495),  # never behind what has been seen
        (_clock(500, 620), 500),  # of a worker that does not hold its clock back
        (_clock(500, 620, idle=True), 500),
    ],
)
def test_a_partition_is_as_far_as_its_events_and_an_idle_one_as_the_clock(
    clock: SourceClock, expected: float | None
) -> None:
    assert source_time(clock, 10) == expected


def test_the_slowest_partition_decides() -> None:
    assert watermark(_progress(_clock(500, 400), _clock(500, 300), _clock(500, 450)), 10) == 300


def test_an_idle_partition_holds_nobody_back() -> None:
    assert watermark(_progress(_clock(500, 400), _clock(500, 3, idle=True)), 10) == 400


@pytest.mark.parametrize("unknown", [None, _clock(500, None)])
def test_a_partition_nobody_knows_of_holds_everything_back(unknown: SourceClock | None) -> None:
    assert watermark(_progress(_clock(500, 400), unknown, before=7.0), 10) == 7.0


def test_the_watermark_never_goes_back() -> None:
    assert watermark(_progress(_clock(500, 400), before=450.0), 10) == 450.0


def test_a_partition_that_comes_back_from_idleness_with_old_events_moves_nothing_back() -> None:
    world = World()
    for partition in range(3):
        world.event(partition, time=NOW)
    world.catch_up()
    world.now = NOW + 30
    world.flush()
    state = join_all(a_state(), world.log)
    assert state.progress.watermark == NOW + 20
    seen = len(world.log)
    world.event(0, time=NOW - 300)
    world.flush()
    assert join_all(state, world.log[seen:]).progress.watermark == NOW + 20


def test_a_later_record_counts_though_the_clock_of_its_writer_was_set_back() -> None:
    def heard(clock: SourceClock, to: int) -> Source:
        return Source(partitions=1, covered={0: to}, clocks={0: clock})

    known = merge_source(heard(_clock(7200, 7190), 5), heard(_clock(3600, None, idle=True), 5))
    assert known.clocks[0] == _clock(3600, 7190, idle=True)
    assert known.covered == {0: 5}
