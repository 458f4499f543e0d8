"""Rows put aside until they are counted: of however many groups, and however many at a time."""

from typing import Any

import pytest

from support.counting import (
    NOW,
    a_baseline,
    a_counter,
    a_tenure,
    as_json,
    assert_same_cells,
    cells_of,
    count,
    event,
    messages,
    numeric,
    promote,
)
from tidegauge.counting import counter as counting
from tidegauge.counting.decode import native

#: Versions whose rows are of different widths, so that one's can't pass for another's.
PROMOTED = promote(
    a_baseline("1"),
    a_baseline("2", a=numeric([0.0]), b=numeric([0.0, 1.0])),
    a_baseline("3", a=numeric([2.0])),
)
SEGMENTS: list[dict[str, str]] = [{}, {"region": "EU"}, {"region": "US"}, {"region": ""}]


def _mixed_event(i: int) -> dict[str, Any]:
    return event(
        time=NOW - 61 * (i % 7),
        version=str(1 + i % 3),
        variant=("", "champion", "canary")[i // 3 % 3],
        prediction=i / 100,
        features={"amount": i - 30, "a": i % 5, "b": 1 / (1 + i), "country": "FR"},
        segments=SEGMENTS[i % 4],
    )


EVENTS = [as_json(_mixed_event(i)) for i in range(100)]


def _counted(*batches: list[bytes]) -> dict[Any, Any]:
    counter, tenure = a_counter(segments=["region"]), a_tenure()
    counter.use(PROMOTED, tenure)
    for batch in batches:
        count(counter, tenure, batch)
    assert counter.dead_letters == []
    return cells_of(tenure)


@pytest.mark.parametrize("column_bytes", [1, 300, 512 * 1024])
def test_groups_that_take_turns_are_counted_as_events_one_by_one(
    column_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "COLUMN_BYTES", column_bytes)
    one_by_one = _counted(*([one] for one in EVENTS))
    # 3 versions, 3 variants, 7 windows, all of them and in 2 regions: not all of them meet.
    assert len(one_by_one) > 100
    assert_same_cells(_counted(EVENTS), one_by_one)
    assert_same_cells(_counted(EVENTS[:50], EVENTS[50:]), one_by_one)


@pytest.mark.parametrize("decoder", ["native"], indirect=True)
def test_rows_are_counted_when_they_take_the_memory_that_they_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "PENDING_BYTES", 5_000)
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    counter.count(messages(EVENTS[:10]), tenure)
    assert tenure.cells == {}
    counter.count(messages(EVENTS[10:]), tenure)
    assert sum(cell.events for cell in tenure.cells.values()) == len(EVENTS)


def _kept(events: list[bytes], *dimensions: str) -> native.NativePath:
    plans = [counting.make_plan("m", v, id_, b) for (_, v), (id_, b) in PROMOTED.items()]
    path = native.NativePath(plans, dimensions)
    path.decode(events, limit=10_000, latest=NOW)
    return path


@pytest.mark.parametrize("decoder", ["native"], indirect=True)
def test_rows_that_were_taken_take_no_memory() -> None:
    path = _kept(EVENTS)
    # A row of the narrowest version: time, a, prediction, latency and status.
    assert path.kept_bytes >= len(EVENTS) * 5 * 8
    assert sum(len(rows.times) for rows in path.take()) == len(EVENTS)
    assert path.kept_bytes == 0
    assert list(path.take()) == []


@pytest.mark.parametrize("decoder", ["native"], indirect=True)
def test_values_of_segments_take_memory_too_until_the_rows_are_taken() -> None:
    events = [as_json(event(segments={"region": f"{i:0200}"})) for i in range(50)]
    path = _kept(events, "region")
    assert path.kept_bytes >= _kept(events).kept_bytes + 50 * 200
    assert [len(rows.segments[0].values) for rows in path.take()] == [50]
    assert path.kept_bytes == 0


@pytest.mark.parametrize("decoder", ["native"], indirect=True)
def test_groups_and_rows_that_are_not_there_are_refused() -> None:
    made = native.MODULE.Decoder([("m", "1", [("a", True)], [], "")], [])
    made.decode([as_json(event(features={"a": 1.0}))], 10_000, 0.0, NOW, 0)
    assert made.groups() == ([(0, "", 1)], [], [])
    assert len(made.columns(0, 0, 10)) == 2 * 8
    for group, first, end in ((1, 0, 1), (0, 1, 2), (0, 5, 2)):
        with pytest.raises(IndexError, match=f"group {group} has no rows {first} to {end}"):
            made.columns(group, first, end)
