"""What labels may find: the same by the native decoder, by the reference and of Arrow batches."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings, strategies as st

from support.awaited import (
    A_NUMBER,
    ANIMALS,
    YES_NO,
    ZERO_ONE,
    awaiting,
    entries_in,
    predicted_in,
    records_of,
    routed,
)
from support.counting import (
    NOW,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    count,
    event,
    numeric,
    promote,
)
from tidegauge.config.outcome_sections import ModelOutcomeSettings
from tidegauge.counting.counter import Counter
from tidegauge.counting.decode import native
from tidegauge.counting.plan import make_plan
from tidegauge.counting.prediction_router import PredictionRouter
from tidegauge.counting.tenure import Tenure
from tidegauge.outcomes.packed import NONE

#: Without a signal of labels, so that a label of any type is one that the native decoder takes.
PROMOTED = promote(a_baseline(amount=numeric([0.0])))
TARGETS = [YES_NO, ZERO_ONE, ANIMALS, A_NUMBER]

_ids = st.sampled_from(["a", "b", "Zürich 🙂", "", "x" * 1_000, None, 7, True, 0.5, [1], {"a": []}])
_classes = (
    st.sampled_from(["yes", " no ", "1", "0", "1.0", "TRUE", "cat", "3", "\x1fdog\x85", "?" * 300])
    | st.sampled_from([True, False, 0, 1, 3, 3.0, 0.5, 1e300, 2**63, -(2**70), None, [], {"a": 1}])
    | st.text(max_size=4)
)
_scores = st.floats(0, 1) | st.sampled_from([0, 1, True, -1, 2.5, "NaN", "x", None, 1e308, []])


@st.composite
def _events(draw: st.DrawFn) -> dict[str, Any]:
    fields = {"id": _ids, "label": _classes, "prediction": _scores}
    given_ = draw(st.fixed_dictionaries({}, optional=fields))
    regions = st.sampled_from(["EU", "US", "", 7, None, "x" * 201])
    segments = draw(st.fixed_dictionaries({}, optional={"region": regions, "nobody's": regions}))
    found = event(time=NOW - draw(st.integers(0, 4_000)), segments=segments, **given_)
    names = draw(st.permutations(list(found)))
    return {name: found[name] for name in names}


@pytest.fixture(params=TARGETS, ids=lambda target: target.problem)
def target(request: pytest.FixtureRequest) -> Any:
    return request.param


def _routed(values: list[bytes]) -> Any:
    return routed(values, PROMOTED, segments=["region"])


@settings(max_examples=40, deadline=None)
@given(st.lists(_events(), min_size=1, max_size=8), st.sampled_from(TARGETS))
def test_the_native_decoder_routes_what_the_reference_does(
    events: list[dict[str, Any]], target: Any
) -> None:
    values = [as_json(one) for one in events]
    with awaiting(target):
        found = _routed(values)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "MODULE", None)
            assert _routed(values) == found


_floats = st.sampled_from([0.0, 0.5, 1.0, 7.0, math.nan])


@st.composite
def _column(draw: st.DrawFn, n: int, values: st.SearchStrategy[Any], kind: Any) -> pa.Array:
    found = pa.array(draw(st.lists(values | st.none(), min_size=n, max_size=n)), kind)
    encode = kind is not None and not pa.types.is_floating(kind) and draw(st.booleans())
    return found.dictionary_encode() if encode else found


@st.composite
def _batch(draw: st.DrawFn) -> dict[str, pa.Array]:
    n = draw(st.integers(1, 6))
    texts = st.sampled_from(["yes", "no", "1", "cat", "3", "", " a ", "Zürich"])
    typed = [
        (texts, pa.string()), (texts, pa.large_string()), (st.integers(0, 3), pa.int64()),
        (st.booleans(), pa.bool_()), (st.sampled_from([0.0, 1.0, 0.5]), pa.float64()),
        (st.none(), pa.null()),
    ]  # fmt: skip
    columns = {
        "time": pa.array([NOW - draw(st.integers(0, 4_000)) for _ in range(n)]),
        "prediction": draw(_column(n, _floats, pa.float64())),
    }
    for name in ("id", "label"):
        if draw(st.booleans()):
            columns[name] = draw(_column(n, *draw(st.sampled_from(typed))))
    if draw(st.booleans()):
        region = draw(_column(n, st.sampled_from(["EU", "US", ""]), pa.string()))
        columns["segments"] = pa.StructArray.from_arrays([region], names=["region"])
    return columns


@settings(max_examples=60, deadline=None)
@given(_batch(), st.sampled_from(TARGETS))
def test_arrow_batches_are_routed_as_their_rows_are(
    columns: dict[str, pa.Array], target: Any
) -> None:
    n = len(columns["time"])
    by_row = columns | {"model": pa.array(["m"] * n), "version": pa.array(["1"] * n)}
    rows = pa.table(by_row).to_pylist()
    events = [
        as_json({**row, "prediction": _as_sent(row["prediction"]), "features": {}}) for row in rows
    ]
    with awaiting(target):
        found = _routed([as_arrow(columns)])
        assert _routed([as_arrow(by_row, {})]) == found
        json_has_no_absence = "id" in columns or "label" in columns
        assert json_has_no_absence or _routed(events)[0] == found[0]


def _as_sent(value: float | None) -> float | str | None:
    return "NaN" if value is not None and math.isnan(value) else value


@pytest.mark.parametrize("id", ["a", "order-1", "Zürich", "東京 🙂", "\n", "x" * 999])
def test_an_id_has_the_hash_of_its_utf_8_in_every_path(id: str) -> None:
    expected = xxhash.xxh3_64_intdigest(id.encode())
    sent = [
        as_json(event(id=id)),
        as_json(event(id=id, prediction="of another type")),
        as_arrow({"time": pa.array([NOW]), "id": pa.array([id])}),
        as_arrow({"time": pa.array([NOW]), "id": pa.array([id]).dictionary_encode()}),
    ]
    with awaiting(YES_NO):
        entries, _, counted, _ = routed(sent, PROMOTED)
    assert [row[0] for row in entries[expected % 3]] == [expected] * 4
    assert counted["routed"] == 4


def test_a_slice_of_an_arrow_column_has_the_hashes_of_its_own_rows() -> None:
    ids = pa.array(["no", "a", None, "b", "no"])[1:4]
    with awaiting(YES_NO):
        entries, *_ = routed([as_arrow({"time": pa.array([NOW] * 3), "id": ids})], PROMOTED)
    expected = {xxhash.xxh3_64_intdigest(id) for id in (b"a", b"b")}
    assert {row[0] for rows in entries.values() for row in rows} == expected


def test_a_model_without_a_target_costs_no_hash_and_routes_nothing() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xxhash, "xxh3_64_intdigest", lambda _: 1 / 0)
        counter, tenure = a_counter(), a_tenure()
        counter.use(PROMOTED, tenure)
        count(counter, tenure, [as_json(event(id="a")), as_json(event(id="b", prediction="?"))])
    assert not tenure.pending
    if native.MODULE is not None:
        plans = [make_plan("m", "1", *its) for its in PROMOTED.values()]
        path = native.NativePath(plans, [])
        path.decode([as_json(event(id="a"))], 1_000, NOW)
        assert [rows.awaited for rows in path.take()] == [None]


def _of(*, one: dict[str, Any], number: int) -> bytes:
    return as_json(event(**one, prediction=number / 10))


@pytest.mark.parametrize("first", ["plain", "odd"])
@pytest.mark.parametrize("together", [True, False], ids=["one flush", "two batches"])
def test_of_two_predictions_with_one_id_the_first_read_comes_first(
    first: str, together: bool
) -> None:
    """Whichever decoder reads them, since that depends on what else is in an event."""
    odd = {"id": "a", "latency_ms": "fast"}
    sent = [_of(one={"id": "a"}, number=1), _of(one=odd, number=2)]
    sent = sent if first == "plain" else sent[::-1]
    with awaiting(YES_NO):
        counter, tenure = a_counter(), a_tenure()
        counter.use(PROMOTED, tenure)
        count(counter, tenure, *([sent] if together else [[one] for one in sent]))
    [rows] = entries_in(records_of(tenure)).values()
    expected = [0.1, 0.2] if first == "plain" else [0.2, 0.1]
    assert [float.fromhex(row[1]) for row in rows] == expected


def test_all_predictions_are_counted_by_score_and_class_and_those_with_an_id_are_entries() -> None:
    sent = [
        event(id="a", prediction=0.5),
        event(id="b", prediction=0.49, label="yes"),
        event(prediction=1.0, label="no"),
        event(id=7, prediction=3.0),
        event(id="c", label="maybe"),
        event(id="d", prediction="NaN"),
    ]
    with awaiting(YES_NO):
        entries, predicted, counted, faults = routed(list(map(as_json, sent)), PROMOTED)
    by_bin = {name[-1]: events for name, events in predicted.items()}
    # Score bin * 3 + class; the class of a prediction without a label is that of its score.
    assert by_bin == {64 * 3 + 1: 1, 62 * 3 + 1: 1, 127 * 3: 1, 128 * 3 + 1: 1, 128 * 3 + 2: 2}
    found = {row[0]: row[1:4] for rows in entries.values() for row in rows}
    of = {id: found[xxhash.xxh3_64_intdigest(id)] for id in (b"a", b"b", b"c", b"d")}
    seconds = int(NOW - 10)
    assert of[b"a"] == ((0.5).hex(), seconds, NONE)
    assert of[b"b"] == ((0.49).hex(), seconds, 1)
    assert of[b"c"] == of[b"d"] == (math.nan.hex(), seconds, NONE)
    assert counted == {"routed": 4, "no_id": 1, "invalid_id": 1, "not_sampled": 0, "no_topic": 0}
    assert faults == {
        "no_score": 1, "invalid_score": 1, "score_out_of_range": 1, "unknown_class": 1,
        "disagreeing": 2, "too_many_groups": 0,
    }  # fmt: skip


def _counter_with(router: PredictionRouter) -> tuple[Counter, Tenure]:
    counter, tenure = a_counter(predictions=router), a_tenure()
    counter.use(PROMOTED, tenure)
    return counter, tenure


def test_a_sample_is_of_the_same_ids_in_every_process() -> None:
    sent = [as_json(event(id=f"id {i}", prediction=0.5)) for i in range(2_000)]
    found = []
    with awaiting(YES_NO):
        for rate in (0.0, 0.25, 0.5, 1.0):
            router = PredictionRouter((), lambda model, rate=rate: ModelOutcomeSettings(rate=rate))
            counter, tenure = _counter_with(router)
            count(counter, tenure, sent)
            records = records_of(tenure)
            assert sum(predicted_in(records).values()) == 2_000
            found.append({row[0] for rows in entries_in(records).values() for row in rows})
            assert router.routed["not_sampled"] == 2_000 - len(found[-1])
    assert found[0] < found[1] < found[2] < found[3]
    assert len(found[3]) == 2_000
    assert abs(len(found[1]) - 500) < 100


def test_predictions_of_several_hours_are_counted_in_the_cohort_of_each() -> None:
    hour = int(NOW) // 3600 * 3600
    times = [hour - 1, hour - 3600, hour, hour + 5, hour - 3601]
    with awaiting(YES_NO):
        _, predicted, _, _ = routed([as_json(event(time=it)) for it in times], PROMOTED)
    assert {name[2]: n for name, n in predicted.items()} == {
        hour: 2, hour - 3600: 2, hour - 7200: 1
    }  # fmt: skip


def test_groups_may_be_of_dimensions_that_have_no_slices_of_their_own() -> None:
    router = PredictionRouter(["age"])
    with awaiting(YES_NO):
        counter, tenure = _counter_with(router)
        ages = ["young", "old", "", None, 7, "old"]
        count(counter, tenure, [as_json(event(id="a", segments={"age": it})) for it in ages])
        odd = event(id="a", segments={"age": "old"}, latency_ms="fast")
        count(counter, tenure, [as_json(odd)])
    groups = [
        (record["strata"][its["stratum"]].get("groups", {}), sum(its["counts"]["counts"]))
        for _, record in records_of(tenure)
        for its in record.get("predicted", ())
    ]
    assert sorted(groups, key=str) == [({"age": "old"}, 3), ({"age": "young"}, 1), ({}, 3)]
    assert len(tenure.cells) == 1


def test_of_more_combinations_than_there_is_room_for_the_rest_is_counted_without_groups() -> None:
    with awaiting(YES_NO):
        counter, tenure = _counter_with(PredictionRouter(["user"]))
        sent = [as_json(event(id="a", segments={"user": f"user {i}"})) for i in range(250)]
        count(counter, tenure, sent)
    counts = predicted_in(records_of(tenure))
    assert len(counts) == 201
    assert sorted(counts.values()) == [1] * 200 + [50]
    assert counter.predictions.faults["too_many_groups"] == 50


def _number_of(records: Any) -> int:
    return sum(map(len, entries_in(records).values()))


def _twice(tenure: Tenure) -> Any:
    first = records_of(tenure)
    assert records_of(tenure) == first
    return first


def test_what_a_flush_did_not_commit_is_sent_by_the_next_one_and_never_twice() -> None:
    sent = [as_json(event(id=f"id {i}", prediction=i / 20)) for i in range(20)]
    with awaiting(YES_NO):
        counter, tenure = a_counter(), a_tenure()
        counter.use(PROMOTED, tenure)
        count(counter, tenure, sent[:5])
        assert _number_of(_twice(tenure)) == 5
        count(counter, tenure, sent[5:])
        assert _number_of(_twice(tenure)) == 20
        tenure.flushed()
        assert records_of(tenure) == []
        count(counter, tenure, sent[:3])
        assert sum(predicted_in(_twice(tenure)).values()) == 3
        # The session ends: what wasn't committed is read again.
        assert records_of(tenure.rewound(NOW)) == []


def test_a_record_of_many_entries_is_split() -> None:
    with awaiting(YES_NO):
        counter, tenure = a_counter(), a_tenure()
        counter.use(PROMOTED, tenure)
        times = pa.array(np.full(30_000, NOW))
        ids = pa.array([f"id {i}" for i in range(30_000)])
        count(counter, tenure, [as_arrow({"time": times, "id": ids})])
    sizes = [len(record) for _, record in tenure.pending.records(2, NOW)]
    assert len(sizes) == 5
    assert max(sizes) < 500_000
