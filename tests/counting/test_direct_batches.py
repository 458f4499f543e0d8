"""Batches of numbers, counted where they lie, are counted as when they are gathered."""

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import (
    LIMITS,
    NOW,
    CellName,
    FakeMessage,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    assert_same_cells,
    cells_of,
    numeric,
    promote,
)
from tidegauge.contract.histogram import Cell
from tidegauge.counting.decode import native
from tidegauge.counting.decode.arrow_stream import Streams
from tidegauge.counting.plan import make_plan
from tidegauge.counting.refusals import IgnoredFeatures

EDGES = [-100.0, -1.0, 0.0, 0.5, 3.0, 100.0, 2.0**53]
NAMES = ("a", "b", "prediction", "latency_ms")
PROMOTED = promote(
    a_baseline(a=numeric(EDGES), b=numeric([0.25]), prediction=numeric([0.25, 0.75]))
)
Columns = Mapping[str, pa.Array]


def _stream(columns: Columns, metadata: Mapping[str, str] | None = None) -> bytes:
    """Make a stream of a batch; columns that are no outputs are features."""
    features = {name: column for name, column in columns.items() if name in ("a", "b", "other")}
    others = {name: column for name, column in columns.items() if name not in features}
    if features:
        others["features"] = pa.StructArray.from_arrays(
            list(features.values()), names=list(features)
        )
    return as_arrow(others, metadata)


def _counted(
    *streams: bytes, settle: bool = True, **settings_: Any
) -> tuple[dict[CellName, Cell], int]:
    """Count streams; return the cells, and how many events are counted at once."""
    counter, tenure = a_counter(**settings_), a_tenure()
    counter.use(PROMOTED, tenure)
    counter.count([FakeMessage(stream, 0, i) for i, stream in enumerate(streams)], tenure)
    at_once = counter.counted["arrow"]
    counter.settle(tenure)
    assert counter.dead_letters == []
    return cells_of(tenure), at_once


def _gathered(*streams: bytes) -> dict[CellName, Cell]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tidegauge.counting.decode.native.InPlacePath.find", lambda *_: None)
        cells, at_once = _counted(*streams)
    assert at_once == 0
    return cells


@st.composite
def _numbers(draw: st.DrawFn, rows: int) -> pa.Array:
    """Draw a column of any type of number, with nulls or without, maybe a slice of another."""
    kind = draw(
        st.sampled_from(
            [pa.float64(), pa.float32(), pa.null()]
            + [getattr(pa, f"{u}int{bits}")() for u in ("", "u") for bits in (8, 16, 32, 64)]
        )
    )
    if pa.types.is_null(kind):
        return pa.nulls(rows)
    if pa.types.is_floating(kind):
        width = 32 if kind == pa.float32() else 64
        within = st.floats(-(2.0**60), 2.0**60, width=width)
        values = within | st.sampled_from([-0.0, 0.5, 3.0, math.nan, math.inf, -math.inf])
    else:
        bits = kind.bit_width
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if str(kind).startswith("u"):
            low, high = 0, 2**bits - 1
        values = st.integers(low, high) | st.sampled_from([0, 3, 100, high])
    if draw(st.booleans()):
        values = values | st.none()
    cut = draw(st.integers(0, 9))
    drawn = draw(st.lists(values, min_size=rows + cut, max_size=rows + cut))
    return pa.array(drawn, kind).slice(cut)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_columns_of_any_numbers_are_counted_as_when_they_are_gathered(
    data: st.DataObject,
) -> None:
    streams = []
    for _ in range(data.draw(st.integers(1, 3))):
        rows = data.draw(st.integers(1, 20))
        names = data.draw(st.sets(st.sampled_from([*NAMES, "other"])))
        columns = {name: data.draw(_numbers(rows)) for name in sorted(names)}
        ages = data.draw(st.lists(st.integers(1, 150), min_size=rows, max_size=rows))
        columns["time"] = pa.array([NOW - age for age in ages], pa.float64())
        streams.append(_stream(columns))
    assert_same_cells(_counted(*streams)[0], _gathered(*streams))


PLAIN: Columns = {
    "time": pa.array([NOW - 3, NOW - 2.5, NOW - 1]),
    "a": pa.array([1.0, None, math.nan]),
    "prediction": pa.array([3, 1, None], pa.int16()),
}
STRINGS = pa.array(["ok", "error", "ok"])


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(PLAIN, id="floats and integers"),
        pytest.param({"time": PLAIN["time"]}, id="times alone"),
        pytest.param(PLAIN | {"label": STRINGS, "id": STRINGS}, id="text that isn't counted"),
        pytest.param(PLAIN | {"b": pa.nulls(3)}, id="nulls alone"),
    ],
)
def test_a_batch_of_numbers_in_one_window_is_counted_at_once(
    columns: Columns, decoder: str
) -> None:
    stream = _stream(columns)
    cells, at_once = _counted(stream, stream)
    assert at_once == (6 if decoder == "native" else 0)
    [cell] = cells.values()
    assert cell.events == 6
    assert_same_cells(cells, _gathered(stream, stream))


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(PLAIN | {"status": STRINGS}, id="categories"),
        pytest.param(PLAIN | {"a": pa.array(["1", "x", None])}, id="text for a number"),
        pytest.param(PLAIN | {"a": pa.array([1, 2, 3], pa.float16())}, id="half floats"),
        pytest.param(PLAIN | {"time": pa.array([NOW, NOW - 1, NOW - 2])}, id="two windows"),
        pytest.param(PLAIN | {"time": pa.array([int(NOW)] * 3, pa.timestamp("s", "UTC"))},
                     id="timestamps"),
    ],
)  # fmt: skip
def test_what_needs_a_closer_look_is_gathered(columns: Columns) -> None:
    stream = _stream(columns)
    cells, at_once = _counted(stream)
    assert at_once == 0
    assert_same_cells(cells, _gathered(stream))


def test_where_segments_are_monitored_a_batch_that_names_some_is_gathered(decoder: str) -> None:
    named = PLAIN | {"segments": pa.StructArray.from_arrays([STRINGS], names=["region"])}
    cells, at_once = _counted(_stream(named), segments=["region"])
    assert (at_once, len(cells)) == (0, 3)
    cells, at_once = _counted(_stream(PLAIN), segments=["region"])
    assert (at_once, len(cells)) == (3 if decoder == "native" else 0, 1)


def test_rows_without_features_are_counted_one_by_one() -> None:
    features = pa.StructArray.from_arrays(
        [pa.array([1.0, 2.0, 3.0])], names=["a"], mask=pa.array([False, True, False])
    )
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    stream = as_arrow({"time": PLAIN["time"], "features": features})
    counter.count([FakeMessage(stream)], tenure)
    counter.settle(tenure)
    assert counter.counted["tolerant"] == 3
    [cell] = cells_of(tenure).values()
    assert (sum(cell.signals["a"].counts), cell.signals["a"].absent) == (2, 1)


@pytest.mark.parametrize("time", [NOW + 10**6, 5.0, math.nan, math.inf])
def test_an_impossible_time_is_refused_and_the_other_rows_are_counted(time: float) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    stream = _stream(PLAIN | {"time": pa.array([NOW - 1, time, NOW - 2])})
    counter.count([FakeMessage(stream)], tenure)
    counter.settle(tenure)
    assert [letter.row for letter in counter.dead_letters] == [1]
    [cell] = cells_of(tenure).values()
    assert cell.events == 2
    assert tenure.positions[0].event_clock.latest == NOW - 1


def test_a_new_baseline_counts_by_its_own_edges_from_there_on() -> None:
    stream = _stream(PLAIN)
    counter, tenure = a_counter(), a_tenure()
    for edges in ([0.5], [5.0], [0.5]):
        counter.use(promote(a_baseline(a=numeric(edges))), tenure)
        counter.count([FakeMessage(stream)], tenure)
        counter.settle(tenure)
    by_events = {cell.events: cell.signals["a"].counts for cell in cells_of(tenure).values()}
    assert by_events == {6: [0, 2], 3: [1, 0]}


def test_what_is_remembered_of_schemas_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "HEAD_BYTES", 4_000)
    plan = make_plan("m", "1", "", None)
    path, streams = (
        native.InPlacePath(IgnoredFeatures(lambda _: None), segmented=False),
        Streams(LIMITS),
    )
    for number in range(100):
        path.find(streams.read(_stream(PLAIN | {f"column {number}": STRINGS})), plan)
    assert 0 < sum(map(len, path._counters)) <= 4_000


def test_a_column_of_thousands_of_rows_that_begins_anywhere_in_a_message_is_read_right() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    columns = {
        "time": pa.array(np.full(5000, NOW - 1)),
        "a": pa.array(values),
        "b": pa.array(values.astype(np.float32), mask=values > 1),
    }
    padding = {"pad": "x" * 3}
    for length in range(4):
        metadata = {"model": "m", "version": "1", **padding, "more": "y" * length}
        stream = _stream(columns, metadata)
        assert struct.unpack("<i", stream[:4]) == (-1,)
        assert_same_cells(_counted(stream)[0], _gathered(stream))
