from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Message

from tidegauge import PredictionLogger
from tidegauge.contract.prediction import ARROW_CONTENT_TYPE, ARROW_MAGIC
from tidegauge.producer.arrow import check_times, messages, record_batch
from tidegauge.producer.values import TimeError, UnencodableError, row_count


def batch(columns: Any, **outputs: Any) -> pa.RecordBatch:
    fixed = {"model": "credit", "version": "3", "variant": "", "time": 1.5}
    rows = row_count(columns, *outputs.values())
    return record_batch(columns, rows=rows, **{**fixed, **outputs})


def decoded(payload: bytes) -> pa.Table:
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_all()


def test_a_batch_is_laid_out_as_documented() -> None:
    found = batch(
        {"age": np.array([41, 29]), "city": ["Bern", None]},
        prediction=np.array([0.25, np.nan], dtype=np.float32),
        label=np.array([1.0, 0.0]),
        latency_ms=[12, 13],
        status="ok",
        id=["a", "b"],
        variant="canary",
    )
    assert found.schema.metadata == {b"model": b"credit", b"version": b"3", b"variant": b"canary"}
    assert [(field.name, str(field.type)) for field in found.schema] == [
        ("time", "double"),
        ("prediction", "double"),
        ("label", "int64"),
        ("latency_ms", "double"),
        ("status", "string"),
        ("id", "string"),
        ("features", "struct<age: int64, city: string>"),
    ]
    assert found["features"].to_pylist() == [
        {"age": 41, "city": "Bern"},
        {"age": 29, "city": None},
    ]
    assert found["time"].to_pylist() == [1.5, 1.5]
    assert np.isnan(found["prediction"].to_pylist()[1])
    assert found["status"].to_pylist() == ["ok", "ok"]


def test_segments_are_columns_of_text_or_one_value_for_all_rows() -> None:
    regions = pa.array(["EU", None]).dictionary_encode()
    found = batch({"age": [41, 29]}, segments={"region": regions, "tier": "gold", "age": [4, 2]})
    assert str(found.schema.field("segments").type) == (
        "struct<region: string, tier: string, age: string>"
    )
    assert found["segments"].to_pylist() == [
        {"region": "EU", "tier": "gold", "age": "4"},
        {"region": None, "tier": "gold", "age": "2"},
    ]
    assert "segments" not in batch({"age": [41]}, segments={}).schema.names


@pytest.mark.parametrize(
    ("segments", "named"),
    [
        ({"region": ["EU"]}, "segment 'region' has 1 values, expected 2"),
        ({"region": [["EU"], ["US"]]}, "segment 'region' can't be string"),
        (["EU", "US"], "segments is a list"),
    ],
)
def test_segments_that_are_no_columns_are_named(segments: Any, named: str) -> None:
    with pytest.raises(UnencodableError, match=named):
        batch({"age": [41, 29]}, segments=segments)


def test_absent_null_and_nan_stay_three_different_things() -> None:
    found = batch({"x": np.array([1.0, np.nan]), "y": [None, float("nan")]})
    assert "prediction" not in found.schema.names
    assert found["features"].field("x").null_count == 0
    assert found["features"].field("y").is_null().to_pylist() == [True, False]


def test_nan_in_a_column_of_objects_is_null_as_in_pandas() -> None:
    found = batch({"city": np.array(["Bern", np.nan, None], dtype=object)})
    assert found["features"].field("city").to_pylist() == ["Bern", None, None]


def test_a_table_is_a_batch_too() -> None:
    table = pa.table({"age": [1, 2, 3], "grade": pa.array(["a", "b", "a"]).dictionary_encode()})
    table = pa.concat_tables([table, table])
    found = batch(table)
    assert found.num_rows == 6
    assert str(found.schema.field("features").type) == "struct<age: int64, grade: string>"


@pytest.mark.parametrize(
    "times",
    [
        [1772323200.5, 1772323201.5],
        np.array(["2026-03-01T00:00:00.5", "2026-03-01T00:00:01.5"], dtype="datetime64[ms]"),
        [datetime(2026, 3, 1, 0, 0, 0, 500_000, UTC), datetime(2026, 3, 1, 0, 0, 1, 500_000, UTC)],
    ],
    ids=["seconds", "datetime64", "datetime"],
)
def test_times_become_epoch_seconds(times: Any) -> None:
    found = batch({"x": [1, 2]}, time=times)["time"]
    assert str(found.type) == "double"
    assert found.to_pylist() == [1772323200.5, 1772323201.5]


def test_one_time_serves_all_rows() -> None:
    found = batch({"x": [1, 2]}, time=datetime(2026, 3, 1, tzinfo=UTC))
    assert found["time"].to_pylist() == [1772323200.0] * 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1.5], dtype=np.float16), "float"),
        (pa.array([Decimal("1.5")]), "double"),
        ([datetime(2026, 3, 1, tzinfo=UTC)], "string"),
        ([None], "null"),
        ([True], "bool"),
        (np.array(["x"]), "string"),
    ],
)
def test_a_feature_has_a_type_with_a_json_form(values: Any, expected: str) -> None:
    assert str(batch({"x": values})["features"].field("x").type) == expected


@pytest.mark.parametrize(
    ("columns", "outputs", "message"),
    [
        ({"a": [1, 2], "b": [1]}, {}, "feature 'b' has 1 values, expected 2"),
        ({"a": [1, 2]}, {"prediction": [0.5]}, "prediction has 1 values, expected 2"),
        ({"a": [1, "x"]}, {}, "feature 'a' is no column of one type"),
        ({"a": [[1.0], [2.0]]}, {}, "feature 'a' is of type list"),
        ({"a": [1]}, {"prediction": ["approve"]}, "prediction can't be double"),
        ({"a": [1]}, {"model": ""}, "model is '', expected 1 to 200"),
        ({"a": [1]}, {"time": datetime(2026, 3, 1)}, "datetime without a zone"),  # noqa: DTZ001
        ([1, 2], {}, "columns is a list, expected a mapping"),
        ({"a": "x", "b": [1]}, {}, "feature 'a' is one value, expected one for each row"),
        ({"a": {1, 2}, "b": [1, 2]}, {}, "feature 'a' is a set, which has no order"),
        ({"a": np.array([1 + 2j])}, {}, "feature 'a' is no column of one type"),
        (pa.table([[1], [2]], names=["a", "a"]), {}, "columns has the name .a. twice"),
    ],
)
def test_a_wrong_column_is_refused_by_name(
    columns: Any, outputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnencodableError, match=message):
        batch(columns, **outputs)


def test_a_large_batch_is_split_and_nothing_is_lost_or_repeated() -> None:
    rng = np.random.default_rng(7)
    # Rows of very uneven size: the second half holds nearly all the bytes.
    notes = ["x"] * 3000 + [f"{i:0200d}" for i in range(3000)]
    whole = batch({"i": np.arange(6000), "x": rng.normal(size=6000), "note": notes})
    parts = list(messages(whole, limit=50_000))
    assert len(parts) > 10
    assert all(len(payload) <= 50_000 for payload, _ in parts)
    assert sum(rows for _, rows in parts) == 6000
    tables = [decoded(payload) for payload, _ in parts]
    assert [table.num_rows for table in tables] == [rows for _, rows in parts]
    assert pa.concat_tables(tables).equals(pa.Table.from_batches([whole]))


def test_a_row_larger_than_the_limit_travels_alone() -> None:
    whole = batch({"note": ["a", "x" * 5000, "b"]})
    parts = list(messages(whole, limit=2000))
    assert [rows for _, rows in parts if rows] == [1, 1, 1]


def test_no_rows_are_no_message() -> None:
    assert list(messages(batch({"x": []}))) == []


def test_batches_arrive_and_rows_are_counted(
    mock_cluster: str, topic: str, read: Callable[[int], list[Message]]
) -> None:
    rows = 30_000
    x = np.random.default_rng(1).normal(size=(rows, 4))
    with PredictionLogger(mock_cluster, topic=topic, model="credit", version="3") as logger:
        logger.log_batch({f"x{i}": x[:, i] for i in range(4)}, prediction=x[:, 0], status="ok")
        logger.log_batch({"x0": [1.0], "x1": [1.0, 2.0]})
        logger.log_batch({"note": ["x" * 2_000_000]})
        assert logger.flush() == 0
        stats = logger.stats
    assert (stats.logged, stats.delivered) == (rows + 2, rows + 1)
    assert (stats.dropped["too_large"], stats.left_out["bad_column"]) == (1, 1)

    found = read(5)  # 1.6 MB in messages of at most 500 kB
    assert all(m.headers() == [("content-type", ARROW_CONTENT_TYPE.encode())] for m in found)
    payloads = [m.value() or b"" for m in found]
    assert all(payload.startswith(ARROW_MAGIC) for payload in payloads)
    tables = [decoded(payload) for payload in payloads]
    table = pa.concat_tables([it for it in tables if "prediction" in it.column_names])
    assert sorted(table["prediction"].to_pylist()) == sorted(x[:, 0])


class Frame(dict[str, Any]):
    """A frame, as far as its columns go: names may be there twice."""

    def __init__(self, *pairs: tuple[str, Any]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def items(self) -> Any:
        return self.pairs


def left_out(columns: Any, **outputs: Any) -> tuple[pa.RecordBatch, list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    found = batch(columns, leave_out=lambda *what: told.append(what), **outputs)
    return found, told


def test_a_wrong_column_is_left_out_and_the_others_are_sent() -> None:
    found, told = left_out(
        Frame(
            ("age", [41, 29]), ("mixed", [1, "x"]), ("twice", [1, 2]), ("twice", [3, 4]),
            ("short", [1]), ("status", ["ok", "ok"]), ("vectors", [[1.0], [2.0]]),
        ),
        prediction=np.zeros((2, 2)),
        segments={"region": ["EU", "US"], "tier": [["gold"], ["tin"]]},
    )  # fmt: skip
    assert [field.name for field in found.schema] == ["time", "features", "segments"]
    assert found["features"].to_pylist() == [{"age": 41}, {"age": 29}]
    assert found["segments"].to_pylist() == [{"region": "EU"}, {"region": "US"}]
    assert [why for why, _ in told] == [
        "bad_column", "duplicate_name", *["bad_column"] * 2, "reserved_name", *["bad_column"] * 2,
    ]  # fmt: skip
    said = " ".join(detail for _, detail in told)
    for words in (
        "prediction has the shape (2, 2)", "the name 'twice' twice", "(1 of int, 1 of str)",
        "feature 'short' has 1 values", "give it to log_batch(status=...)", "'vectors' is of type",
    ):  # fmt: skip
        assert words in said


def test_predictions_of_one_column_are_predictions() -> None:
    for given in (np.array([[0.25], [0.5]]), pa.chunked_array([[0.25], [0.5]])):
        assert batch({"x": [1, 2]}, prediction=given)["prediction"].to_pylist() == [0.25, 0.5]


def test_numbers_of_several_types_are_a_column_of_numbers() -> None:
    found = batch({"x": [1, Decimal("2.5"), None], "b": np.array([True, 1, None], dtype=object)})
    assert found["features"].to_pylist() == [
        {"x": 1.0, "b": 1.0}, {"x": 2.5, "b": 1.0}, {"x": None, "b": None},
    ]  # fmt: skip


def test_records_are_rows_and_a_name_that_one_has_not_is_null_there() -> None:
    records = [{"age": 41, "city": "Bern"}, {"age": 29}, {"city": None}]
    assert row_count(records) == 3
    assert batch(records)["features"].to_pylist() == [
        {"age": 41, "city": "Bern"}, {"age": 29, "city": None}, {"age": None, "city": None},
    ]  # fmt: skip


@pytest.mark.parametrize("time", [1.7e12, float("nan"), [1.7e9, 1.7e12], [1.7e9, None]])
def test_times_that_can_not_be_are_refused_before_they_are_sent(time: Any) -> None:
    with pytest.raises(TimeError, match="time "):
        check_times(batch({"x": [1, 2]}, time=time))
