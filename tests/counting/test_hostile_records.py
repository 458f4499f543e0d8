"""No record raises or costs without bound: it is counted, or is one dead letter."""

import io
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from support.counting import (
    NOW,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    cells_of,
    event,
    messages,
    promote,
)
from tidegauge.contract import encode
from tidegauge.contract.dead_letter import DeadLetter
from tidegauge.counting.decode import reference
from tidegauge.counting.refusals import DEAD_LETTERS, ROW_LETTERS

HOSTILE = Path(__file__).parent / "hostile"
GOOD = as_json(event(features={"amount": 1.0}))


def _events(*values: bytes | None, **settings: Any) -> tuple[int, list[DeadLetter]]:
    """Count values with two good neighbours; return the events beside those, and the letters."""
    counter, tenure = a_counter(**settings), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    counter.count(messages([GOOD, *values, GOOD]), tenure)
    counter.settle(tenure)
    for letter in counter.dead_letters:
        encode(letter)
    for _, record in tenure.records(
        now=NOW, monotonic=NOW, idle_seconds=10, source="p", sources=1, destinations=2
    ):
        record.decode()
    overall = [cell for name, cell in cells_of(tenure).items() if not name[4]]
    return sum(cell.events for cell in overall) - 2, list(counter.dead_letters)


def _with(text: str, place: str) -> bytes:
    """Return an event with a JSON string of this text somewhere."""
    fields: dict[str, Any] = event(
        features={"amount": 1.0, "country": "FR"}, segments={"region": "EU"}
    )
    if place in fields:
        fields[place] = "@"
    elif place == "unknown":
        fields["note"] = "@"
    elif place == "unknown name":
        fields["@"] = 1
    elif place == "deep":
        fields["note"] = [{"@": ["@"]}]
    elif place == "feature":
        fields["features"]["country"] = "@"
    elif place == "number":
        fields["features"]["amount"] = "@"
    elif place == "feature's name":
        fields["features"]["@"] = 1
    elif place == "segment":
        fields["segments"]["region"] = "@"
    elif place == "dimension":
        fields["segments"]["@"] = "EU"
    else:
        fields[place] = "@"
    return as_json(fields).replace(b"@", text.encode())


_PLACES = (
    "time", "model", "version", "variant", "id", "prediction", "label", "latency_ms", "status",
    "traceparent", "features", "segments", "unknown", "unknown name", "deep", "feature", "number",
    "feature's name", "segment", "dimension",
)  # fmt: skip


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize(
    "text", ["\\ud800", "\\udc00", "\\udfff\\ud800", "x\\ud83dy", "\\ud800\\u0041", "\\ud800\\n"]
)
def test_half_a_surrogate_pair_anywhere_is_one_event_or_one_letter(place: str, text: str) -> None:
    events, letters = _events(_with(text, place), segments=["region"])
    assert events + len(letters) == 1
    if place in ("unknown", "unknown name", "deep", "id", "dimension", "feature's name"):
        assert events == 1
    if place in ("time", "model", "version", "variant"):
        assert [letter.reason for letter in letters] == ["invalid_record"]
        assert "surrogate" in letters[0].detail or "str" in letters[0].detail


@pytest.mark.parametrize("path", sorted(HOSTILE.iterdir()), ids=lambda path: path.name)
def test_a_record_that_once_ended_a_worker_is_counted_or_refused(path: Path) -> None:
    events, letters = _events(path.read_bytes())
    if path.name in ("surrogate-unknown-key.json", "tz.arrows"):
        assert events > 0 and not letters
    else:
        assert (events, len(letters)) == (0, 1)


def test_what_is_nested_too_deeply_is_not_given_to_a_slower_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(reference.json, "loads", fail)
    nested = b"[" * 3_000 + b"]" * 3_000
    events, [letter] = _events(b'{"features":{"amount":' + nested + b"}," + GOOD[1:])
    assert (events, letter.reason, letter.detail) == (0, "invalid_json", "nested too deeply")


def test_a_compressed_batch_is_refused_before_it_is_decompressed() -> None:
    column = pa.array(np.zeros(40_000_000))
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    sink = io.BytesIO()
    table = pa.table({"time": column}).replace_schema_metadata({"model": "m", "version": "1"})
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    del column, table
    bomb = sink.getvalue()
    assert len(bomb) < 200_000
    before = pa.total_allocated_bytes()
    # The rows alone would be too many; here it is what they take that is.
    events, [letter] = _events(bomb, max_batch_rows=10**9)
    assert (events, letter.reason) == (0, "too_large")
    assert "max_batch_decoded_bytes" in letter.detail
    assert pa.total_allocated_bytes() - before < 1_000_000


def _stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    table = table.replace_schema_metadata({"model": "m", "version": "1"})
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _struct(**columns: pa.Array) -> pa.StructArray:
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


_TIMES = pa.array([NOW, NOW])
_ODD_COLUMNS: Mapping[str, pa.Array] = {
    "null": pa.nulls(2),
    "boolean": pa.array([True, None]),
    "half": pa.array([0.5, 2.0], pa.float16()),
    "decimal": pa.array([1, 2], pa.decimal128(38, 2)),
    "decimal256": pa.array([1, 2], pa.decimal256(76, 2)),
    "binary": pa.array([b"\xff", None]),
    "fixed binary": pa.array([b"", b""], pa.binary(0)),
    "dates": pa.array([2**31 - 1, -(2**31)], pa.date32()),
    "times of day": pa.array([1, 2], pa.time64("ns")),
    "durations": pa.array([2**62, 1], pa.duration("s")),
    "far timestamps": pa.array([2**62, -(2**62)], pa.timestamp("s", "UTC")),
    "nowhere": pa.array([1, 2], pa.timestamp("ns", "Mars/Phobos")),
    "lists": pa.array([[1], []]),
    "fixed lists": pa.array([[1], [2]], pa.list_(pa.int8(), 1)),
    "list views": pa.array([[1], [2]], pa.list_view(pa.int8())),
    "maps": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "text views": pa.array(["FR", None], pa.string_view()),
    "binary views": pa.array([b"FR" * 20, None], pa.binary_view()),
    "large text": pa.array(["FR", None], pa.large_string()),
    "dictionary": pa.array(["FR", None]).dictionary_encode(),
    "numbers in a dictionary": pa.array([1.5, None]).dictionary_encode(),
    "dates in a dictionary": pa.array([2**31 - 1, None], pa.date32()).dictionary_encode(),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["FR"])),
    "runs of numbers": pa.RunEndEncodedArray.from_arrays(pa.array([1, 2]), pa.array([1.0, None])),
    "struct": _struct(a=pa.array([1, 2])),
    "union": pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]
    ),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 0], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1])]
    ),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16, None], pa.binary(16))),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":', None])),
    "intervals": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
}


@pytest.mark.parametrize("kind", _ODD_COLUMNS)
@pytest.mark.parametrize("place", ["amount", "country", "prediction", "status", "time", "region"])
def test_a_column_of_any_type_in_any_place_is_counted_or_refused(kind: str, place: str) -> None:
    column = _ODD_COLUMNS[kind]
    columns: dict[str, pa.Array] = {"time": _TIMES}
    if place in ("amount", "country"):
        columns["features"] = _struct(**{place: column})
    elif place == "region":
        columns["segments"] = _struct(region=column)
    else:
        columns[place] = column
    events, letters = _events(as_arrow(columns), segments=["region"])
    refused = sum(2 if it.row is it.rows is None else it.rows or 1 for it in letters)
    assert events + refused == 2
    if place != "time":
        assert letters == []


@pytest.mark.parametrize("name", ["features", "segments", "model", "version", "variant", "note"])
@pytest.mark.parametrize("kind", _ODD_COLUMNS)
def test_a_whole_column_of_any_type_is_counted_or_refused(kind: str, name: str) -> None:
    columns = {"time": _TIMES, name: _ODD_COLUMNS[kind]}
    events, letters = _events(as_arrow(columns), segments=["region"])
    refused = sum(2 if it.row is it.rows is None else it.rows or 1 for it in letters)
    assert events + refused == 2


@pytest.mark.parametrize("kind", ["text views", "runs", "dictionary", "large text"])
def test_text_is_the_same_however_arrow_keeps_it(kind: str) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    features = _struct(country=_ODD_COLUMNS[kind])
    counter.count(messages([as_arrow({"time": _TIMES, "features": features})]), tenure)
    counter.settle(tenure)
    [cell] = cells_of(tenure).values()
    france = cell.signals["country"].counts[0]
    assert france == (2 if kind == "runs" else 1)
    assert cell.signals["country"].null == 2 - france


def test_rows_past_a_number_share_one_letter_for_each_reason() -> None:
    times = np.array([0.0, np.nan, NOW, NOW * 1000] * 5_000)
    events, letters = _events(as_arrow({"time": pa.array(times)}))
    assert events == 5_000
    alone = [letter for letter in letters if letter.row is not None]
    shared = {letter.reason: letter for letter in letters if letter.row is None}
    assert len(alone) == ROW_LETTERS and len(shared) == 3
    assert len(alone) + sum(letter.rows or 0 for letter in shared.values()) == 15_000
    assert all(letter.payload is None and "row 1" in letter.detail for letter in shared.values())


def test_batches_without_one_sound_row_make_few_letters() -> None:
    batch = as_arrow({"time": pa.array(np.zeros(300))})
    _, letters = _events(*[batch] * 500)
    assert len(letters) <= DEAD_LETTERS + ROW_LETTERS + 500
    assert sum(letter.rows or 1 for letter in letters) == 150_000


def test_rows_counted_one_by_one_past_a_number_share_a_letter_too() -> None:
    columns = {
        "time": pa.array([None, NOW] * 500, pa.float64()),
        "model": pa.array(["m"] * 1_000),
        "version": pa.array(["1"] * 1_000),
    }
    events, letters = _events(as_arrow(columns, {}))
    assert events == 500
    assert sum(letter.rows or 1 for letter in letters) == 500
    assert len(letters) == ROW_LETTERS + 1


def test_rows_that_each_need_a_look_must_be_paid_for_in_bytes() -> None:
    rows = 900_000
    table = pa.table({"time": pa.array(np.full(rows, NOW)), "prediction": pa.array([True] * rows)})
    began = time.process_time()
    events, [letter] = _events(_stream(table, compression="zstd"))
    assert time.process_time() - began < 2
    assert (events, letter.reason, letter.row) == (0, "too_large", None)
    assert "prediction is bool" in letter.detail


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_text_that_many_rows_share_is_refused_before_each_is_looked_at(kind: str) -> None:
    rows, length = 100_000, 1_000_000
    view = np.zeros((rows, 4), "<i4")
    view[:, 0] = length
    view[:, 1] = int.from_bytes(b"xxxx", "little")
    shared = pa.Array.from_buffers(
        pa.string_view() if kind == "text" else pa.binary_view(),
        rows,
        [None, pa.py_buffer(view.tobytes()), pa.py_buffer(b"x" * length)],
    )
    columns = {"time": pa.array(np.full(rows, NOW)), "features": _struct(country=shared)}
    batch = as_arrow(columns)
    began = time.process_time()
    events, [letter] = _events(batch, batch)[0], _events(batch)[1]
    assert time.process_time() - began < 2
    assert (events, letter.reason) == (0, "too_large")


def test_a_long_category_that_many_rows_share_is_not_copied_for_each() -> None:
    indices = pa.array(np.zeros(10_000, np.int8))
    dictionary = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 1_000_000]))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([10_000]), pa.array(["x" * 1_000_000]))
    for column in (dictionary, runs):
        table = {
            "time": pa.array(np.full(10_000, NOW)),
            "prediction": pa.array([True] * 10_000),
            "features": _struct(country=column),
        }
        tracemalloc.start()
        events, letters = _events(as_arrow(table))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (events, letters) == (10_000, [])
        assert peak < 50_000_000


def test_more_columns_than_are_taken_are_refused_also_where_they_are_one_field() -> None:
    features = _struct(**{f"f{i}": pa.nulls(1) for i in range(200)})
    batch = as_arrow({"time": pa.array([NOW]), "features": features})
    assert _events(batch, max_batch_columns=202) == (1, [])
    events, [letter] = _events(batch, max_batch_columns=201)
    assert (events, letter.reason) == (0, "too_large")
    assert "max_batch_columns" in letter.detail


def test_names_and_metadata_without_end_are_refused() -> None:
    table = pa.table({"time": _TIMES}).replace_schema_metadata(
        {"model": "m", "version": "1", "note": "x" * 20_000_000}
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    events, [letter] = _events(sink.getvalue())
    assert (events, letter.reason) == (0, "too_large")


def test_a_stream_of_very_many_batches_is_refused() -> None:
    schema = pa.schema({"time": pa.float64()}, {"model": "m", "version": "1"})
    sink = io.BytesIO()
    empty = pa.record_batch([pa.array([], pa.float64())], schema)
    with pa.ipc.new_stream(sink, schema) as writer:
        for _ in range(10_001):
            writer.write_batch(empty)
    events, [letter] = _events(sink.getvalue())
    assert (events, letter.reason) == (0, "too_large")


def test_a_decoder_that_raises_anything_costs_one_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room \ud800")

    def fail_if_odd(value: bytes, *kind: Any) -> Any:
        return fail() if value == odd else decode_event(value, *kind)

    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    decode_event = reference.decode_event
    monkeypatch.setattr(reference, "decode_event", fail_if_odd)
    monkeypatch.setattr("tidegauge.counting.decode.arrow_stream._read", fail)
    odd = as_json(event(prediction=[1]))
    counter.count(messages([GOOD, odd, as_arrow({"time": _TIMES}), GOOD]), tenure)
    counter.settle(tenure)
    assert [(it.offset, it.reason) for it in counter.dead_letters] == [
        (1, "invalid_record"), (2, "invalid_arrow"),
    ]  # fmt: skip
    assert all("MemoryError" in letter.detail for letter in counter.dead_letters)
    assert b"ud800" in encode(counter.dead_letters[0])


def test_a_batch_that_fails_while_it_is_gathered_harms_none_of_those_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    features = _struct(country=pa.array(["FR", "DE"]))
    good = as_arrow({"time": _TIMES, "features": features})
    bad = as_arrow({"time": pa.array([NOW, NOW - 5.0]), "features": features})

    from tidegauge.counting.decode.arrow import Batch

    columns, rows = Batch.columns, Batch.rows

    def is_bad(batch: Batch) -> bool:
        return NOW - 5.0 in batch.table.column("time").to_pylist()

    def fail_columns(batch: Batch, plan: Any) -> Any:
        if is_bad(batch):
            raise KeyError("columns")
        return columns(batch, plan)

    def fail_rows(batch: Batch, *names: Any) -> Any:
        if is_bad(batch):
            raise KeyError("rows")
        return rows(batch, *names)

    monkeypatch.setattr(Batch, "columns", fail_columns)
    monkeypatch.setattr(Batch, "rows", fail_rows)
    counter.count(messages([good, bad, good]), tenure)
    counter.settle(tenure)
    assert [(it.offset, it.reason, it.row) for it in counter.dead_letters] == [
        (1, "invalid_arrow", None)
    ]
    assert sum(cell.events for cell in cells_of(tenure).values()) == 4
