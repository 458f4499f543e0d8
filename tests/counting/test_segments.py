"""Segments: which slices an event is counted in, and what becomes of values that have none."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from support.counting import (
    NOW,
    CellName,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    assert_same_cells,
    cells_of,
    count,
    counted,
    event,
    promote,
)
from tidegauge.config.sections import IngestSettings
from tidegauge.contract.histogram import Cell, HistogramRecord, cell_partition

BASELINE = a_baseline()
PROMOTED = promote(BASELINE)
TWO = ["region", "age"]


def events_of(cells: Mapping[CellName, Cell]) -> dict[tuple[tuple[str, str], ...], int]:
    return {name[4]: cell.events for name, cell in cells.items()}


def in_segments(segments: Any, **fields: Any) -> bytes:
    return as_json(event(segments=segments, **fields))


def test_an_event_is_counted_overall_and_in_each_of_its_segments_but_in_no_product_of_them() -> (
    None
):
    values = [
        in_segments({"region": "EU", "age": "30-40", "device": "phone"}),
        in_segments({"region": "EU"}),
        in_segments({"age": "30-40", "region": "US"}),
        as_json(event()),
    ]
    assert events_of(counted(values, PROMOTED, segments=TWO)) == {
        (): 4,
        (("region", "EU"),): 2,
        (("region", "US"),): 1,
        (("age", "30-40"),): 2,
    }


def test_segments_leave_an_event_on_the_path_that_it_is_fastest_on(decoder: str) -> None:
    usual: list[Any] = [{"region": "EU"}, {}, {"region": None, "device": "phone"}, None]
    for dimensions in (TWO, []):
        counter, tenure = a_counter(segments=dimensions), a_tenure()
        counter.use(PROMOTED, tenure)
        count(counter, tenure, [in_segments(segments) for segments in usual])
        path = decoder.replace("python", "tolerant")
        assert {name: n for name, n in counter.counted.items() if n} == {path: len(usual)}


def test_where_no_dimension_is_monitored_segments_change_nothing() -> None:
    for segments in ({"region": "EU"}, {"region": {"deep": [1]}}, [1], "EU", None):
        with_them = counted([in_segments(segments)], PROMOTED)
        assert_same_cells(with_them, counted([as_json(event())], PROMOTED))


def test_each_segment_of_each_window_version_and_variant_has_a_cell_of_its_own() -> None:
    values = [
        in_segments({"region": region}, time=NOW - seconds, variant=variant, version=version)
        for region in ("EU", "US")
        for seconds in (5, 65)
        for variant in ("", "canary")
        for version in ("1", "not monitored")
        for _ in range(3)
    ]
    cells = counted(values, PROMOTED, segments=["region"])
    assert len(cells) == 3 * 8
    for (_, version, baseline, _, segment, _), cell in cells.items():
        assert cell.events == (3 if segment else 6)
        assert baseline == (BASELINE.id if version == "1" else "")


def test_segments_are_read_wherever_they_stand_in_the_event() -> None:
    plain = event(features={"amount": 2.0}, prediction=0.5)
    named = {"region": "EU"}
    first = as_json({"segments": named, **plain})
    last = as_json({**plain, "segments": named})
    spaced = last.replace(b'"segments": {"region": "EU"}', b'"segments" : { "region" :\n"EU" }')
    escaped = last.replace(b'"EU"', b'"\\u0045U"')
    assert len({first, last, spaced, escaped}) == 4
    expected = counted([last], PROMOTED, segments=TWO)
    assert events_of(expected) == {(): 1, (("region", "EU"),): 1}
    for value in (first, spaced, escaped):
        assert_same_cells(counted([value], PROMOTED, segments=TWO), expected)


def test_of_segments_that_are_there_twice_the_last_count() -> None:
    plain = json.dumps(event())[:-1]
    twice = f'{plain}, "segments": {{"region": "EU", "age": "7", "region": "US"}}}}'
    again = f'{plain}, "segments": {{"age": "7"}}, "segments": {{"region": "US"}}}}'
    none = f'{plain}, "segments": {{"age": "7"}}, "segments": null}}'
    region, age = (("region", "US"),), (("age", "7"),)
    for text, expected in ((twice, [(), region, age]), (again, [(), region]), (none, [()])):
        found = counted([text.encode()], PROMOTED, segments=TWO)
        assert events_of(found) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize(
    ("value", "dropped"),
    [
        ("", 0), (None, 0), ("x" * 200, 0), ("ü" * 200, 0),
        ("x" * 201, 1), (3, 1), (True, 1), (1.5, 1), (["EU"], 1), ({"EU": 1}, 1),
    ],
    ids=lambda value: repr(value)[:8],
)  # fmt: skip
def test_a_value_that_cannot_name_a_slice_is_counted_overall_and_as_dropped(
    value: object, dropped: int
) -> None:
    counter, tenure = a_counter(segments=TWO), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [in_segments({"region": value, "age": "30-40"})])
    assert counter.dead_letters == []
    assert counter.placer.dropped == {"region": dropped, "age": 0}
    named = {(("region", value),): 1} if value and not dropped else {}
    assert events_of(cells_of(tenure)) == {(): 1, (("age", "30-40"),): 1, **named}


def test_half_a_surrogate_pair_in_a_segment_is_dropped_and_stops_nobody() -> None:
    counter, tenure = a_counter(segments=TWO), a_tenure()
    count(counter, tenure, [in_segments({"region": "\ud83d", "age": "7", "\ud83d": "x"})])
    assert counter.dead_letters == []
    assert counter.placer.dropped == {"region": 1, "age": 0}
    assert events_of(cells_of(tenure)) == {(): 1, (("age", "7"),): 1}


def test_values_beyond_the_most_have_no_slice_but_are_counted_overall() -> None:
    counter, tenure = a_counter(segments=TWO, segment_values=3), a_tenure()
    counter.use(PROMOTED, tenure)
    values = [
        in_segments({"region": f"R{i}", "age": "30-40"}, version=version)
        for version in ("1", "2")
        for i in (0, 1, 2, 3, 4, 0, 3)
    ]
    count(counter, tenure, values[:7], values[7:])
    found = Counter((name[1], name[4]) for name in cells_of(tenure))
    for version in ("1", "2"):
        expected = {((("region", f"R{i}"),)) for i in range(3)} | {(), (("age", "30-40"),)}
        assert {segment for at, segment in found if at == version} == expected
    assert counter.placer.dropped == {"region": 2 * 3, "age": 0}
    overall = [cell.events for name, cell in cells_of(tenure).items() if not name[4]]
    assert overall == [7, 7]
    # What has a slice keeps it in the windows to come, until the tenure ends.
    later = [in_segments({"region": r}, time=NOW + 60) for r in ("R9", "R2")]
    count(counter, tenure, later)
    assert {name[4] for name in cells_of(tenure) if name[5] > NOW} == {(), (("region", "R2"),)}
    count(counter, renewed := tenure.successor(NOW), later)
    assert {name[4] for name in cells_of(renewed)} >= {(("region", "R9"),)}


def test_rows_of_a_batch_whose_times_are_wrong_are_in_no_segment() -> None:
    regions = pa.StructArray.from_arrays([pa.array(["EU", "US", "EU"])], names=["region"])
    batch = as_arrow({"time": pa.array([NOW, 1.0, NOW]), "segments": regions})
    counter, tenure = a_counter(segments=TWO), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [batch])
    assert [(letter.row, letter.reason) for letter in counter.dead_letters] == [
        (1, "time_too_early")
    ]
    assert events_of(cells_of(tenure)) == {(): 2, (("region", "EU"),): 2}


def test_a_batch_in_which_rows_have_no_segments_is_counted_by_column_all_the_same() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2]), pa.array(["EU", None, "EU"]))
    columns = pa.StructArray.from_arrays(
        [texts], names=["region"], mask=pa.array([False, False, False, True])
    )
    counter, tenure = a_counter(segments=TWO), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [as_arrow({"time": pa.array([NOW] * 4), "segments": columns})])
    assert counter.counted["arrow"] == 4
    assert events_of(cells_of(tenure)) == {(): 4, (("region", "EU"),): 1}


_values = st.sampled_from(["EU", "US", "", "x" * 201, "Zürich"]) | st.none()


@st.composite
def _columns(draw: st.DrawFn) -> tuple[int, dict[str, pa.Array]]:
    rows = draw(st.integers(1, 8))
    columns = {}
    for dimension in (*TWO, "device"):
        kind = draw(st.sampled_from([pa.string(), pa.large_string(), pa.null(), None]))
        if kind is None:
            continue
        drawn = draw(st.lists(_values, min_size=rows, max_size=rows))
        column = pa.nulls(rows) if pa.types.is_null(kind) else pa.array(drawn, kind)
        encoded = not pa.types.is_null(kind) and draw(st.booleans())
        columns[dimension] = column.dictionary_encode() if encoded else column
    return rows, columns


@settings(max_examples=100, deadline=None)
@given(_columns())
def test_segments_by_column_are_counted_and_dropped_as_those_of_single_events(
    drawn: tuple[int, dict[str, pa.Array]],
) -> None:
    rows, columns = drawn
    batch = {"time": pa.array([NOW - 10] * rows)}
    if columns:
        batch["segments"] = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
    texts = {dimension: column.to_pylist() for dimension, column in columns.items()}
    single = [in_segments({d: its[i] for d, its in texts.items()}) for i in range(rows)]
    found = []
    for values in ([as_arrow(batch)], single):
        counter, tenure = a_counter(segments=TWO), a_tenure()
        counter.use(PROMOTED, tenure)
        count(counter, tenure, values)
        assert counter.dead_letters == []
        assert (counter.counted["arrow"] == rows) == (values is not single)
        found.append((events_of(cells_of(tenure)), counter.placer.dropped))
    assert found[0] == found[1]


def test_all_segments_go_where_all_the_traffic_goes_and_every_slice_is_among_the_models() -> None:
    counter, tenure = a_counter(segments=TWO), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [in_segments({"region": f"R{i}", "age": "7"}) for i in range(20)])
    said = tenure.records(
        now=NOW, monotonic=NOW, idle_seconds=10, source="p", sources=1, destinations=4
    )
    used = set()
    for partition, record in said:
        for cell in msgspec.json.decode(record, type=HistogramRecord).cells:
            assert cell_partition("m", "1", "", 4) == partition
            assert cell.slices == 1 + 20 + 1
            used.add(partition)
    assert len(used) == 1


@pytest.mark.parametrize(
    "segments",
    [
        ["region", "region"],
        [""],
        ['a"b'],
        ["a\\b"],
        ["a\n"],
        ["x" * 201],
        [f"d{i}" for i in range(11)],
    ],
)
def test_dimensions_that_cannot_be_monitored_are_refused(segments: list[str]) -> None:
    with pytest.raises(ValidationError, match="segments"):
        IngestSettings(segments=segments)


def test_values_of_what_has_no_baseline_are_bounded_all_together() -> None:
    counter, tenure = a_counter(segments=["region"], max_slices=3), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    for number in range(6):
        at = {"region": f"r{number}"}
        values = [as_json(event(model=model, segments=at)) for model in ("m", "x", "y")]
        count(counter, tenure, values)
    found = Counter(name[0] for name in cells_of(tenure) if name[4])
    assert found == {"m": 6, "x": 2, "y": 1}
    assert counter.placer.dropped["region"] == 9
    assert sum(cell.events for name, cell in cells_of(tenure).items() if not name[4]) == 18
