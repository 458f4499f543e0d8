"""The join laws, and what follows from them for records that come twice, late or not at all."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import NOW, a_baseline, counted, promote
from support.world import SOURCE, World, a_state, join_all, restored, saved, totals
from tidegauge.counting import flushes
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import (
    LastRecord,
    PartitionProgress,
    SliceState,
    Source,
    SourceClock,
    TenureCounts,
    join_cells,
    join_progress,
    join_slices,
)

BASELINE = a_baseline()
PROMOTED = promote(BASELINE)

_partitions = st.integers(0, 2)


@st.composite
def _cells(draw: st.DrawFn) -> dict[str, TenureCounts]:
    # A tenure says one thing under one sequence number: what it says follows from the two.
    return {
        tenure: TenureCounts(
            seq=seq,
            source="s",
            starts={0: 7},
            events=seq * 3,
            baselines_age_seconds=1.0,
            signals=msgspec.Raw(b"{}"),
        )
        for tenure, seq in draw(
            st.dictionaries(st.sampled_from("tuvw"), st.integers(1, 4), max_size=4)
        ).items()
    }


_clocks = st.builds(
    SourceClock,
    time=st.integers(0, 3).map(float),
    latest=st.none() | st.integers(0, 3).map(float),
    idle=st.booleans(),
)
_sources = st.builds(
    Source,
    partitions=st.integers(1, 3),
    covered=st.dictionaries(_partitions, st.integers(0, 4)),
    clocks=st.dictionaries(_partitions, _clocks),
)
_progress = st.builds(
    PartitionProgress,
    next_offset=st.integers(0, 4),
    now=st.integers(0, 4).map(float),
    watermark=st.integers(0, 4).map(float),
    sources=st.dictionaries(st.sampled_from("xy"), _sources, max_size=2),
    heard=st.dictionaries(
        st.sampled_from("xy"),
        st.dictionaries(
            _partitions,
            st.builds(LastRecord, tenure=st.sampled_from("tu"), seq=st.integers(1, 3)),
            max_size=2,
        ),
        max_size=2,
    ),
)
_slices = st.builds(SliceState, step=st.integers(0, 3), last_end=st.integers(0, 3))

LAWS: list[tuple[Callable[[Any, Any], Any], st.SearchStrategy[Any]]] = [
    (join_cells, _cells()),
    (join_progress, _progress),
    (join_slices, _slices),
]


@given(st.data())
def test_every_join_is_commutative_associative_and_idempotent(data: st.DataObject) -> None:
    for join, values in LAWS:
        a, b, c = (data.draw(values) for _ in range(3))
        before = msgspec.json.encode([a, b, c])
        assert join(a, b) == join(b, a)
        assert join(join(a, b), c) == join(a, join(b, c))
        assert join(a, a) == a
        assert join(join(a, b), b) == join(a, b)
        assert msgspec.json.encode([a, b, c]) == before, "a join must not change what it is given"


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw some life: events, flushes, renewals and rebalances in any order; flushed at the end."""
    world = World(PROMOTED)
    for step, partition in draw(
        st.lists(st.tuples(st.sampled_from("eeeeefrm"), _partitions), min_size=1, max_size=25)
    ):
        if step == "e":
            world.event(
                partition,
                time=NOW - draw(st.sampled_from([1, 30, 70])),
                features={"amount": draw(st.sampled_from([-5.0, 0.25, 7.0])), "country": "FR"},
            )
        elif step == "f":
            world.flush(world.owner[partition])
        elif step == "r":
            world.renew(world.owner[partition])
        else:
            world.move(partition)
    world.flush()
    return world


def _assert_complete(state: PartitionState, world: World) -> None:
    expected = counted(world.values, PROMOTED)
    found = totals(state)
    assert len(found) == len(expected)
    for key, signals in found.items():
        cell = expected[key.slice.model, key.slice.version, key.baseline, "", (), key.window_start]
        assert signals == cell.signals
    ends = {p: at.to for tenure in world.tenures.values() for p, at in tenure.positions.items()}
    assert state.progress.sources[SOURCE].covered == ends


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_records_in_order_leave_no_gap_and_add_up_to_every_event(world: World) -> None:
    _assert_complete(join_all(a_state(), world.log), world)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.data())
def test_replays_and_duplicates_leave_no_gap_and_change_nothing(
    world: World, data: st.DataObject
) -> None:
    state = a_state()
    for i in range(len(world.log)):
        back = data.draw(st.integers(0, i))
        counted_again = [state.join(record, offset) for offset, record in world.log[back:i]]
        assert not any(counted_again)
        join_all(state, world.log[back : i + 1])
    _assert_complete(state, world)


@settings(max_examples=80, deadline=None)
@given(worlds(), st.data())
def test_a_skipped_record_that_moved_on_is_reported_when_its_worker_speaks_again(
    world: World, data: st.DataObject
) -> None:
    missing = data.draw(st.integers(0, len(world.log) - 1))
    _, lost = world.log[missing]
    moved = {p for p, at in lost.ranges.items() if at.to > at.since}
    # Everybody speaks once more.
    world.flush()
    state = a_state()
    gaps = []
    for i, (offset, record) in enumerate(world.log):
        if i == missing:
            continue
        if found := state.gaps(record):
            gaps += found
            continue
        state.join(record, offset)
    # One that moved nothing on is missed by its number, if its tenure speaks again.
    assert gaps or not moved
    if moved:
        first = gaps[0]
        assert first.source == SOURCE and first.partition in moved
        assert (first.start, first.to) == (
            lost.ranges[first.partition].since,
            lost.ranges[first.partition].to,
        )


def test_a_skipped_part_of_a_split_flush_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushes, "RECORD_BYTES", 500)
    world = World()
    world.flush("a")
    for i in range(4):
        world.event(0, model=f"model-{i}")
    world.flush("a")
    parts = world.log[1:]
    assert len(parts) > 2
    for missing in range(len(parts)):
        state = join_all(a_state(), world.log[: 1 + missing])
        world.flush("a")
        _offset, following = world.log[2 + missing]
        # So for who takes the partition over as well: it is in the progress that is saved.
        for reader in (state, restored(saved(state))):
            [gap] = reader.gaps(following)
            assert gap.source == SOURCE
        join_all(state, parts[missing:])
        assert sum(c.events for cell in state.cells.values() for c in cell.values()) == 4


def test_a_missing_beginning_is_a_gap_even_for_a_reader_without_any_history() -> None:
    world = World()
    world.event(0)
    world.flush()
    world.event(0)
    world.flush("a")
    _offset, last = world.log[-1]
    [gap] = a_state().gaps(last)
    assert (gap.source, gap.partition, gap.start, gap.to) == (SOURCE, 0, 0, 1)


def test_a_skipped_tenure_is_a_gap_although_the_next_one_begins_afresh() -> None:
    world = World()
    world.flush()
    seen = len(world.log)
    world.event(2)
    world.move(2)  # b's tenure ends with a flush; a begins one at offset 1
    moved = len(world.log)
    world.event(2)
    world.flush("a")
    state = join_all(a_state(), world.log[:seen])
    _offset, record = world.log[moved]
    [gap] = state.gaps(record)
    assert (gap.partition, gap.start, gap.to) == (2, 0, 1)


def test_reading_on_after_the_gap_was_filled_is_complete() -> None:
    world = World()
    for _ in range(3):
        world.event(0)
        world.flush()
    state = join_all(a_state(), world.log[:2])
    _offset, record = world.log[4]
    assert state.gaps(record)
    rewound = [at for at in world.log if at[0] >= state.progress.next_offset]
    join_all(state, rewound)
    assert sum(c.events for cell in state.cells.values() for c in cell.values()) == 3


def test_the_events_newly_counted_are_told_once() -> None:
    world = World()
    world.event(0)
    world.event(0)
    world.flush("a")
    world.event(0)
    world.flush("a")
    state = a_state()
    told = [sum(state.join(record, offset).values()) for offset, record in world.log * 2]
    assert told == [2, 1, 0, 0]
