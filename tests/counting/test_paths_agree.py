"""Native, reference and Arrow: whichever way an event takes, it is counted the same."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from support import oracle
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
from tidegauge.contract.histogram import Cell
from tidegauge.windows.merging import merge

BASELINE = a_baseline()
PROMOTED = promote(BASELINE)
DIMENSIONS = ["region", "age group"]
ABSENT = object()

# Sums of these can't overflow, whatever the order; what happens beyond is tested by itself.
_floats = st.floats(-1e100, 1e100) | st.sampled_from([-1.0, -0.0, 0.0, 0.5, 0.75, 100.0, 5e-324])
_ints = st.integers(-(10**30), 10**30) | st.sampled_from([3, -7, 12, 2**53 + 1, 2**64, -(2**63)])
_texts = st.sampled_from(
    ["FR", "DE", "IT", "Paris", "Rome", "3", "3.0", "true", "yes", "", "ok", "error", "Zürich"]
) | st.text(max_size=5)
_anything = st.one_of(
    st.none(),
    _floats,
    _ints,
    st.booleans(),
    st.sampled_from(["NaN", "Infinity", "-Infinity"]),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    _texts,
    st.lists(st.integers(), max_size=2),
    st.just({"deep": [1]}),
)
#: No float is as large.
_huge = st.integers(10**309, 10**309 + 5)


def _without_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not ABSENT}


_FEATURES = ("amount", "size", "country", "city", "rooms", "member")
_OUTPUTS = ("prediction", "latency_ms", "status", "label")

_usual = st.fixed_dictionaries(
    {
        "amount": _floats | st.none(),
        "size": _floats,
        "country": _texts | st.none(),
        "city": _texts,
        "rooms": _ints | st.none(),
        "member": st.booleans(),
    }
)


_regions = st.sampled_from(["EU", "US", "Zürich", "", "x" * 200, "ü" * 201]) | st.none()


def _segments_with(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.fixed_dictionaries(
        {}, optional={"region": _regions | values, "age group": _regions, "nobody's": values}
    )
    return names | st.sampled_from([None, "EU", 7, ["region"]])


def _events_with(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda features, outputs, seconds, variant, segments, first: {
            **({"segments": segments} if first else {}),
            **event(time=NOW - seconds),
            **outputs,
            "features": features,
            "variant": variant,
            **({} if first else {"segments": segments}),
        },
        _usual | st.fixed_dictionaries({}, optional=dict.fromkeys(_FEATURES, values)),
        st.fixed_dictionaries({}, optional=dict.fromkeys(_OUTPUTS, values)),
        st.integers(0, 150),
        st.sampled_from(["", "canary"]),
        _segments_with(values),
        st.booleans(),
    )


_plain_events = _events_with(_anything)
_events = _events_with(_anything | _huge)


def _slices_of(one: Mapping[str, Any]) -> list[tuple[tuple[str, str], ...]]:
    named = one.get("segments")
    found = {name: named.get(name) for name in DIMENSIONS} if isinstance(named, dict) else {}
    sound = [(n, v) for n, v in found.items() if isinstance(v, str) and 0 < len(v) <= 200]
    return [(), *((pair,) for pair in sound)]


def _by_oracle(events: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], Any]:
    """Count by the oracle, which shares no code with the product."""
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in events:
        start = math.floor(one["time"] / 60) * 60
        parsed = json.loads(json.dumps(one))
        for segment in _slices_of(one):
            name = (one.get("variant") or "", segment, start)
            grouped.setdefault(name, []).append(parsed)
    document = json.loads(BASELINE.to_json())
    return {name: oracle.count_signals(rows, document) for name, rows in grouped.items()}


def _assert_as_the_oracle(cells: Mapping[Any, Cell], events: Sequence[Mapping[str, Any]]) -> None:
    expected = _by_oracle(events)
    assert {name[3:] for name in cells} == expected.keys()
    for name, cell in cells.items():
        signals = expected[name[3:]]
        assert cell.signals.keys() == signals.keys()
        for name, histogram in signals.items():
            found = cell.signals[name]
            assert found.counts == histogram.counts, name
            for count_name in ("absent", "null", "nan", "invalid", "minimum", "maximum"):
                assert getattr(found, count_name) == getattr(histogram, count_name), name
            scale = max(1.0, histogram.sum_of_magnitudes)
            assert found.sum == pytest.approx(histogram.sum, rel=1e-9, abs=1e-9 * scale)
            assert found.sumsq == pytest.approx(histogram.sumsq, rel=1e-9)


def _counted(values: Sequence[bytes | None]) -> dict[CellName, Cell]:
    return counted(values, PROMOTED, segments=DIMENSIONS)


@settings(max_examples=80, deadline=None)
@given(st.lists(_plain_events, min_size=1, max_size=12))
def test_json_events_of_any_shape_are_counted_as_the_oracle_counts_them(
    events: list[dict[str, Any]],
) -> None:
    _assert_as_the_oracle(_counted([as_json(one) for one in events]), events)


@settings(max_examples=80, deadline=None)
@given(st.lists(_events, min_size=1, max_size=12))
def test_the_reference_counts_as_the_native_decoder(events: list[dict[str, Any]]) -> None:
    # A null variant is left to the reference, and means the same as none.
    plain = [{k: v for k, v in one.items() if k != "variant"} for one in events]
    tolerant = [as_json({**one, "variant": None}) for one in plain]
    assert_same_cells(_counted(tolerant), _counted([as_json(e) for e in plain]))


def test_the_reference_reads_what_the_native_decoder_hands_on(decoder: str) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [as_json(event(features={"amount": x})) for x in (1.5, 2, "NaN", True)])
    native = 2 if decoder == "native" else 0
    assert counter.counted == {"native": native, "tolerant": 4 - native, "arrow": 0}


@settings(max_examples=50, deadline=None)
@given(st.lists(_events, min_size=1, max_size=20), st.data())
def test_a_batch_split_in_any_way_gives_the_cells_of_the_whole(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    values = [as_json(one) for one in events]
    cut = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=3)))
    batches = [values[a:b] for a, b in zip([0, *cut], [*cut, len(values)], strict=True)]
    whole = _counted(values)

    counter, tenure = a_counter(segments=DIMENSIONS), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, *batches)
    assert_same_cells(cells_of(tenure), whole)

    _assert_merged_equals(batches, whole)


def _assert_merged_equals(batches: Sequence[Sequence[bytes]], whole: Mapping[Any, Cell]) -> None:
    """Each batch counted by a worker of its own, and added up."""
    parts = [_counted(batch) for batch in batches if batch]
    merged: dict[Any, Cell] = {}
    for name in whole:
        cells = [part[name] for part in parts if name in part]
        merged[name] = msgspec.structs.replace(
            cells[0],
            events=sum(cell.events for cell in cells),
            signals={s: merge(cell.signals[s] for cell in cells) for s in cells[0].signals},
        )
    assert_same_cells(merged, whole)


@st.composite
def _column(draw: st.DrawFn, n: int) -> tuple[pa.Array | None, list[Any]]:
    """Draw a column as Arrow has it, and the same values as JSON events carry them."""

    def some(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values | st.none(), min_size=n, max_size=n))

    kind = draw(st.sampled_from(["float", "int", "uint", "bool", "text", "codes", "null", "none"]))
    if kind == "none":
        return None, [ABSENT] * n
    if kind == "null":
        return pa.nulls(n), [None] * n
    if kind == "float":
        numbers = some(_floats | st.sampled_from([math.nan, math.inf]))
        return pa.array(numbers, pa.float64()), numbers
    if kind == "int":
        integers = some(st.integers(-(2**63), 2**63 - 1) | st.sampled_from([3, -7, 12]))
        return pa.array(integers, pa.int64()), integers
    if kind == "uint":
        integers = some(st.integers(0, 2**64 - 1))
        return pa.array(integers, pa.uint64()), integers
    if kind == "bool":
        flags = some(st.booleans())
        return pa.array(flags, pa.bool_()), flags
    texts = some(_texts | st.sampled_from(["NaN"]))
    array = pa.array(texts, draw(st.sampled_from([pa.string(), pa.large_string()])))
    return (array.dictionary_encode() if kind == "codes" else array), texts


@st.composite
def _batch(draw: st.DrawFn) -> tuple[dict[str, pa.Array], list[dict[str, Any]]]:
    n = draw(st.integers(1, 8))
    drawn = {name: draw(_column(n)) for name in (*_FEATURES, *_OUTPUTS)}
    times = draw(st.lists(st.integers(0, 150), min_size=n, max_size=n))
    seconds = [NOW - t for t in times]
    ticks = [round(s * 1000) for s in seconds]
    columns = {
        "time": draw(
            st.sampled_from(
                [
                    pa.array(seconds),
                    pa.array(ticks, pa.timestamp("ms", "Europe/Paris")),
                    pa.array([t * 10**6 for t in ticks], pa.timestamp("ns", "UTC")),
                ]
            )
        )
    }
    arrays = {name: drawn[name][0] for name in _FEATURES if drawn[name][0] is not None}
    if arrays:
        columns["features"] = pa.StructArray.from_arrays(list(arrays.values()), names=list(arrays))
    columns |= {name: drawn[name][0] for name in _OUTPUTS if drawn[name][0] is not None}
    segments = {name: draw(_column(n)) for name in (*DIMENSIONS, "nobody's")}
    arrays = {name: column for name, (column, _) in segments.items() if column is not None}
    if arrays:
        columns["segments"] = pa.StructArray.from_arrays(list(arrays.values()), names=list(arrays))
    events = [
        _without_absent(
            {
                **event(time=seconds[i]),
                **{name: drawn[name][1][i] for name in _OUTPUTS},
                "features": _without_absent({name: drawn[name][1][i] for name in _FEATURES}),
                "segments": _without_absent({name: its[i] for name, (_, its) in segments.items()}),
            }
        )
        for i in range(n)
    ]
    return columns, events


@settings(max_examples=120, deadline=None)
@given(_batch())
def test_arrow_columns_arrow_rows_and_json_are_counted_the_same(
    batch: tuple[dict[str, pa.Array], list[dict[str, Any]]],
) -> None:
    columns, events = batch
    expected = _counted([as_json(one) for one in events])
    assert_same_cells(_counted([as_arrow(columns)]), expected)
    # Models named by row: every row is read by the reference.
    n = len(events)
    by_row = columns | {"model": pa.array(["m"] * n), "version": pa.array(["1"] * n)}
    assert_same_cells(_counted([as_arrow(by_row, {})]), expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(_events, min_size=1, max_size=12))
def test_every_signal_counts_every_event_exactly_once(events: list[dict[str, Any]]) -> None:
    for cell in _counted([as_json(one) for one in events]).values():
        for name, h in cell.signals.items():
            assert h.n + h.absent + h.null + h.nan + h.invalid == cell.events, name


def test_event_times_may_be_numbers_and_rfc_3339_with_any_offset_in_one_batch() -> None:
    values = [
        as_json(event(time=time))
        for time in (
            1_750_000_001,
            1_750_000_002.5,
            "2025-06-15T15:06:43Z",
            "2025-06-15T17:06:44.25+02:00",
            "2025-06-15T07:36:45-07:30",
        )
    ]
    [cell] = counted(values, PROMOTED).values()
    assert (cell.window_start, cell.events) == (1_749_999_960, 5)


def test_dictionaries_that_differ_from_batch_to_batch_are_counted_together() -> None:
    drawn = [["FR", "DE", None], ["DE", "new", "IT", "FR"], ["new", None]]
    found = []
    for encoded in (True, False):
        counter, tenure = a_counter(), a_tenure()
        counter.use(PROMOTED, tenure)
        batches = []
        for texts in drawn:
            column = pa.array(texts, pa.string())
            column = column.dictionary_encode() if encoded else column
            features = pa.StructArray.from_arrays([column], names=["country"])
            batches.append(as_arrow({"time": pa.array([NOW] * len(texts)), "features": features}))
        count(counter, tenure, batches)
        assert counter.counted["arrow"] == 9
        [cell] = cells_of(tenure).values()
        found.append(cell.signals["country"])
    assert found[0] == found[1]
    assert (found[0].counts, found[0].null) == ([2, 2, 1, 2], 2)


def test_of_a_name_that_is_there_twice_the_last_value_counts() -> None:
    once = b'"amount": -5.0'
    twice = as_json(event(features={"amount": -5.0})).replace(
        once, once + b', "country": "FR", "amount": 7, "country": null'
    )
    assert twice.count(b"amount") == 2
    assert_same_cells(
        counted([twice], PROMOTED),
        counted([as_json(event(features={"amount": 7, "country": None}))], PROMOTED),
    )
