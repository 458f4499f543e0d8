"""Baselines from files: what is counted, and how wrong input is answered."""

import gzip
import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from tidegauge.baseline.document import (
    Baseline,
    BaselineError,
    CategoricalSignal,
    Dependence,
    NumericSignal,
)
from tidegauge.baseline.io import builder as building
from tidegauge.contract import decode

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "data.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


def build(path: Path, **options: Any) -> Baseline:
    def refuse(message: str) -> None:
        raise AssertionError(f"unexpected warning: {message}")

    return building.build(
        path, **({"model": "m", "version": "1", "warn": refuse} | options)
    ).baseline


def numeric(baseline: Baseline, name: str) -> NumericSignal:
    signal = baseline.signals[name]
    assert isinstance(signal, NumericSignal)
    return signal


def categorical(baseline: Baseline, name: str) -> CategoricalSignal:
    signal = baseline.signals[name]
    assert isinstance(signal, CategoricalSignal)
    return signal


TABLE = {
    "amount": [1.5, None, float("nan"), 4.0, 1.5, 2.0],
    "region": ["eu", "us", None, "eu", "NA", "eu"],
    "flag": [True, False, True, None, True, True],
    "score": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
}


def as_csv(path: Path) -> None:
    # Written by hand: pyarrow writes a missing string as it writes an empty one.
    def cell(value: object) -> str:
        return "" if value is None else str(value)

    lines = [",".join(TABLE), *(",".join(map(cell, row)) for row in zip(*TABLE.values()))]  # noqa: B905
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def as_parquet(path: Path) -> None:
    pq.write_table(pa.table(TABLE), path, row_group_size=2)


def as_ndjson(path: Path) -> None:
    lines = []
    for row in zip(*TABLE.values(), strict=True):
        values = dict(zip(TABLE, row, strict=True))
        # A missing value is null in one row and absent in the others.
        event = {k: v for k, v in values.items() if v is not None or k == "amount"}
        if isinstance(event["amount"], float) and math.isnan(event["amount"]):
            event["amount"] = "NaN"
        lines.append(msgspec.json.encode(event) + b"\n")
    data = b"".join(lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("t.csv", as_csv),
        ("t.csv.gz", as_csv),
        ("t.parquet", as_parquet),
        ("t.pq", as_parquet),
        ("t.ndjson", as_ndjson),
        ("t.jsonl", as_ndjson),
        ("t.ndjson.gz", as_ndjson),
    ],
)
def test_the_same_table_gives_the_same_signals_in_every_format(
    name: str, save: Callable[[Path], None], tmp_path: Path
) -> None:
    save(tmp_path / name)
    # "NA" may be Namibia; that it is text is said here.
    baseline = build(tmp_path / name, prediction="score", types={"region": "categorical"})
    assert (baseline.rows, baseline.source) == (6, name)
    assert set(baseline.signals) == {"amount", "region", "flag", "prediction"}
    amount = numeric(baseline, "amount")
    assert (amount.edges, amount.counts) == ([1.75, 3.0], [2, 1, 1])
    # In text "nan" is what a frame writes for missing; elsewhere it is apart from null.
    assert (amount.missing, amount.nan) == ((2, 0) if ".csv" in name else (1, 1))
    assert (amount.minimum, amount.maximum, amount.mean) == (1.5, 4.0, 2.25)
    assert amount.std == pytest.approx(np.std([1.5, 4.0, 1.5, 2.0]))
    region = categorical(baseline, "region")
    assert region.dtype == "string"
    assert region.categories == ["eu", "NA", "us"]
    assert (region.counts, region.missing) == ([3, 1, 1, 0, 0], 1)
    flag = categorical(baseline, "flag")
    assert flag.dtype == "boolean"
    assert (flag.categories, flag.counts, flag.missing) == (["true", "false"], [4, 1, 0, 0], 1)


@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0])),
            st.one_of(st.none(), st.sampled_from("abc"), st.text("xyz", max_size=3)),
        ),
        min_size=1,
        max_size=60,
    ),
    seed=st.integers(),
)
@settings(max_examples=60, deadline=None)
def test_rows_in_any_order_give_the_same_id(
    rows: list[tuple[float | None, str | None]],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("order") / "t.parquet"
    shuffled = [*rows, (1.0, "a")]
    ids = []
    for _ in range(2):
        columns = {"x": [x for x, _ in shuffled], "c": [c for _, c in shuffled]}
        pq.write_table(
            pa.table(columns, schema=pa.schema({"x": pa.float64(), "c": pa.string()})), path
        )
        ids.append(build(path, warn=lambda message: None).id)
        random.Random(seed).shuffle(shuffled)
    assert ids[0] == ids[1]


def test_the_same_file_gives_the_same_id_with_and_without_spilling_to_disk(tmp_path: Path) -> None:
    random_ = np.random.default_rng(4)
    path = tmp_path / "t.parquet"
    table = pa.table({f"x{i}": random_.normal(size=200_000) for i in range(3)})
    pq.write_table(table, path, row_group_size=50_000)
    in_memory = build(path)
    spilled = build(path, memory_bytes=100_000)
    assert spilled.id == in_memory.id
    assert sum(numeric(spilled, "x2").counts) == 200_000
    assert numeric(spilled, "x0").mean == pytest.approx(table["x0"].to_numpy().mean())
    assert numeric(spilled, "x0").std == pytest.approx(table["x0"].to_numpy().std())


def test_a_csv_column_is_judged_by_all_of_its_values_not_by_the_first_block(write: Write) -> None:
    lines = ["n,padding", *(f"{i},{'x' * 200}" for i in range(60_000)), "0.5,y"]
    baseline = build(write("\n".join(lines)))
    assert numeric(baseline, "n").maximum == 59_999
    assert sum(numeric(baseline, "n").counts) == 60_001
    lines.append("unknown,z")
    mixed = build(write("\n".join(lines)), types={"n": "categorical"}, warn=lambda message: None)
    assert sum(categorical(mixed, "n").counts) == 60_002


def test_missing_and_not_finite_are_counted_apart_in_csv(write: Write) -> None:
    signal = numeric(build(write("x,y\n1,1\n,1\nNaN,1\nnan,1\ninf,1\nNA,1\nnull,1\n 2 ,1\n")), "x")
    assert sum(signal.counts) == 2
    assert (signal.missing, signal.nan) == (5, 1)


def test_the_top_20_categories_have_bins_and_the_rest_is_other_and_known(write: Write) -> None:
    rows = [f"v{i:02}" for i in range(30) for _ in range(2 if i >= 25 else 1)]
    signal = categorical(build(write("\n".join(["c,x", *(f"{r},1" for r in rows)]))), "c")
    assert signal.categories == [f"v{i:02}" for i in [*range(25, 30), *range(15)]]
    assert signal.known == [f"v{i:02}" for i in range(15, 25)]
    assert signal.counts == [*[2] * 5, *[1] * 15, 10, 0]
    assert signal.known_complete


def _column(values: Iterable[str]) -> str:
    return "\n".join(["c,x", *(f"{value},1" for value in values)])


def test_of_many_categories_the_commonest_are_known_and_the_document_says_it_is_not_all(
    write: Write,
) -> None:
    warnings: list[str] = []
    values = [f"k{i:05}" for i in range(11_000)]
    path = write(_column([*values, *values, "k10999", "k10998"]))
    signal = categorical(build(path, warn=warnings.append), "c")
    assert not signal.known_complete
    assert signal.categories[:3] == ["k10998", "k10999", "k00000"]
    assert signal.known == [f"k{i:05}" for i in range(18, 10_018)]
    assert sum(signal.counts) == 22_002
    assert warnings == [
        "column 'c' has 11,000 different values (0 of its 22,002 values were seen once), of which "
        '10,020 are kept: all others count as "other", and none as never seen'
    ]


def test_of_many_values_those_seen_once_are_not_kept_and_of_few_they_are(write: Write) -> None:
    often = [f"often{i:03}" for i in range(200)]
    many = [*often, *often, *(f"once{i}" for i in range(801))]
    signal = categorical(build(write(_column(many)), warn=lambda message: None), "c")
    assert len(signal.categories) + len(signal.known) == 200 and not signal.known_complete
    assert signal.counts == [*[2] * 20, 360 + 801, 0]
    few = build(write(_column(many[:-1])))
    assert len(categorical(few, "c").known) == 980 and categorical(few, "c").known_complete


def test_values_are_kept_as_far_as_they_fit_be_they_ever_so_long(write: Write) -> None:
    values = [f"{i:03}" + "x" * 5_000 for i in range(100)]
    signal = categorical(
        build(write(_column([*values, *values, "short"])), warn=lambda message: None), "c"
    )
    assert signal.categories == [*values[:6], "short"] and len(signal.known) == 52
    assert not signal.known_complete
    assert signal.counts == [*[2] * 6, 1, 2 * 94, 0]


@pytest.mark.parametrize(
    "value", [lambda i: f"id-{i}", lambda i: f"review {i} " + "the order is late " * 100]
)
def test_a_column_of_ids_or_texts_is_refused_with_what_settles_it(
    write: Write, value: Callable[[int], str]
) -> None:
    path = write(_column(value(i) for i in range(12_000)))
    with pytest.raises(BaselineError, match=r"'c': 12,000 of its 12,000 values were seen once"):
        build(path)
    assert set(build(path, exclude=["c"]).signals) == {"x"}
    warnings: list[str] = []
    kept = build(path, types={"c": "categorical"}, warn=warnings.append)
    assert "all that is watched of it is how often it is missing; --exclude c" in warnings[0]
    signal = categorical(kept, "c")
    assert (signal.categories, signal.known, signal.known_complete) == ([], [], False)
    assert signal.counts == [12_000, 0]
    assert len(kept.to_json()) < 1_000


def test_all_columns_of_ids_are_named_at_once(write: Write) -> None:
    names = [f"id {i}" for i in range(60)]
    rows = [",".join(f"{row}-{i}" for i in range(60)) + ",1" for row in range(1_001)]
    with pytest.raises(BaselineError) as refused:
        build(write("\n".join([",".join([*names, "x"]), *rows])))
    assert "60 columns look like ids or free text" in str(refused.value)
    for name in names:
        assert f"--exclude '{name}'" in str(refused.value)
    assert "--type 'id 0'=categorical" in str(refused.value)


def test_a_table_of_more_columns_than_a_baseline_has_signals_is_refused(write: Write) -> None:
    columns = [f"f{i}" for i in range(15_000)]
    path = write("\n".join([",".join(columns), *[",".join("1" * 15_000)] * 3]))
    with pytest.raises(BaselineError, match=r"15,000 columns to watch, .* at most 4,000 signals"):
        build(path)


def test_a_baseline_that_is_too_large_is_refused_with_its_largest_signals(write: Write) -> None:
    values = [[f"{i}-{column}-" + "x" * 150 for column in range(60)] for i in range(1_700)]
    lines = [",".join(row) for row in values]
    path = write("\n".join([",".join(f"c{i:02}" for i in range(60)), *lines, *lines]))
    with pytest.raises(BaselineError, match=r"largest of its 60 signals are 'c10' .*by --exclude"):
        build(path, warn=lambda message: None)


@pytest.mark.parametrize(
    ("column", "dtype", "categories"),
    [
        (["1", "2", "2"], "integer", ["2", "1"]),
        (["1.0", "2.0", "1"], "integer", ["1", "2"]),
        (["0.5", "1.0", "1"], "string", ["1", "0.5"]),
        (["01", "1", "1"], "string", ["1", "01"]),
        (["True", "FALSE", "true"], "boolean", ["true", "false"]),
        (["12345678901234567890", "1", "1"], "integer", ["1", "12345678901234567890"]),
    ],
)
def test_categories_in_csv_are_spelled_as_events_will_be(
    write: Write, column: list[str], dtype: str, categories: list[str]
) -> None:
    path = write("\n".join(["c,x", *(f"{text},1" for text in column)]))
    signal = categorical(build(path, types={"c": "categorical"}), "c")
    assert (signal.dtype, signal.categories) == (dtype, categories)


def test_integers_and_dictionaries_of_parquet_can_be_categories(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    kinds = pa.array(["a", "b", "a"]).dictionary_encode()
    pq.write_table(pa.table({"k": kinds, "n": [3, 3, 1], "f": [1.0, 2.0, 2.0]}), path)
    baseline = build(path, types={"n": "categorical", "f": "categorical"})
    assert categorical(baseline, "k").categories == ["a", "b"]
    assert categorical(baseline, "n").categories == ["3", "1"]
    assert categorical(baseline, "n").dtype == "integer"
    assert categorical(baseline, "f").categories == ["2", "1"]


def test_a_prediction_that_is_no_number_becomes_the_label(write: Write) -> None:
    path = write("x,class\n1,good\n2,bad\n")
    assert set(build(path, prediction="class").signals) == {"x", "label"}
    numbers = write("x,class\n1,0\n2,1\n")
    assert set(build(numbers, prediction="class").signals) == {"x", "prediction"}
    as_label = build(numbers, prediction="class", types={"class": "categorical"})
    assert categorical(as_label, "label").dtype == "integer"


def test_excluded_columns_may_be_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [1], "list": [[1]], "label": ["a"], "none": pa.nulls(1)}), path)
    assert set(build(path, exclude=["list", "label", "none"]).signals) == {"x"}


def test_progress_runs_from_nothing_to_all(write: Write) -> None:
    seen: list[tuple[str, float]] = []
    build(write("x\n1\n2\n"), progress=lambda step, done: seen.append((step, done)))
    steps = [step for step, done in seen if done == 1.0]
    assert list(dict.fromkeys(steps)) == ["Reading", "Reading types", "Counting"]


def test_a_category_with_a_new_value_in_every_row_is_warned_about(write: Write) -> None:
    warnings: list[str] = []
    rows = [f"id-{i},{i % 3}" for i in range(100)]
    build(write("\n".join(["id,x", *rows])), warn=warnings.append)
    assert len(warnings) == 1
    assert "'id' has a different value in every row" in warnings[0]
    assert "--exclude id" in warnings[0]


@pytest.mark.parametrize(
    ("text", "name", "options", "message"),
    [
        (None, "absent.csv", {}, "absent.csv does not exist"),
        (
            "x\n1\n",
            "data.xlsx",
            {},
            "suffix that is not known: save the sheet as CSV; known are .csv, ",
        ),
        ("", "data.csv", {}, "data.csv is empty"),
        ("x,y\n", "data.csv", {}, "has no rows"),
        ("", "data.ndjson", {}, "data.ndjson is empty"),
        ("[]", "data.json", {}, "has no rows"),
        (
            "x,y\n1,2\n",
            "data.csv",
            {"prediction": "score"},
            "has no column 'score', which --prediction names; it has 'x', 'y'",
        ),
        (
            "x,y\n1,2\n",
            "data.csv",
            {"exclude": ["z"]},
            "has no column 'z', which --exclude names; it has 'x', 'y'",
        ),
        (
            "x,y\n1,2\n",
            "data.csv",
            {"types": {"z": "numeric"}},
            "has no column 'z', which --type names; it has 'x', 'y'",
        ),
        ("x\n1\n", "data.csv", {"exclude": ["x"]}, "every column of .* is excluded"),
        ("x\n1\n", "data.csv", {"exclude": ["x"], "prediction": "x"}, "both --prediction and"),
        ("x\n1\n", "data.csv", {"model": ""}, "model has 0 characters, expected 1 to 200"),
        (
            "x,y\n1,2\n3\n",
            "data.csv",
            {},
            "data.csv can't be read: line 3 has 1 cells, expected 2: '3'",
        ),
        ("x,x\n1,2\n", "data.csv", {}, "more than one column 'x'"),
        ("x,\n0,2\n", "data.csv", {}, "a column has no name"),
        ("x,y\n1,\n2,\n", "data.csv", {}, "'y' has no value in any of 2 rows: --exclude y"),
        ("x,y\n1,nan\n2,\n", "data.csv", {}, "'y' has no value in any of 2 rows"),
        ("x,at\n1,2024-01-02T03:04:05Z\n", "data.csv", {}, "'at' holds dates or times.*--exclude"),
        ("x,label\n1,a\n", "data.csv", {}, "'label' has a name that is reserved.*--prediction"),
        (
            "x,status\n1,a\n",
            "data.csv",
            {"prediction": "x"},
            "'status' has a name that is reserved.*rename it, --exclude status$",
        ),
        (
            "x,prediction\n1,2\n",
            "data.csv",
            {"prediction": "x"},
            "'prediction' has a name that is reserved",
        ),
        (
            "x\n1\n2\nabc\n",
            "data.csv",
            {"types": {"x": "numeric"}},
            "'x' is to be numeric, but 'abc' in row 3 is no number",
        ),
        (
            "x\ntrue\nfalse\n",
            "data.csv",
            {"types": {"x": "numeric"}},
            "'x' is to be numeric, but holds true and false",
        ),
        ("not parquet", "data.parquet", {}, "data.parquet can't be read: .*[Pp]arquet"),
        ('{"x": 1}\n{"x": \n', "data.ndjson", {}, "data.ndjson, line 2: "),
        ('{"x": 1}\n\n[1]\n', "data.ndjson", {}, "data.ndjson, row 2: expected an object"),
        ('{"x": NaN}\n', "data.ndjson", {}, "'x' has no finite number in any of 1 rows"),
        ('{"x": {"y": 1}}\n', "data.ndjson", {}, "'x' holds lists or objects.*--exclude x"),
        ('{"x": "2024-01-02"}\n', "data.ndjson", {}, "'x' holds dates or times"),
        (
            '{"x": 1}\n{"x": "many"}\n',
            "data.ndjson",
            {"types": {"x": "numeric"}},
            "'x' is to be numeric, but 'many' in row 2 is no number",
        ),
        ("not gzip", "data.csv.gz", {}, "data.csv.gz can't be read"),
        ("not gzip", "data.ndjson.gz", {}, "data.ndjson.gz can't be read"),
    ],
)
def test_wrong_input_is_answered_with_what_to_change(
    write: Write,
    tmp_path: Path,
    text: str | None,
    name: str,
    options: dict[str, Any],
    message: str,
) -> None:
    path = tmp_path / name if text is None else write(text, name)
    with pytest.raises(BaselineError, match=message):
        build(path, **options)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), "holds dates or times"),
        (pa.array([[1, 2]]), "holds lists or objects"),
        (pa.array([{"a": 1}]), "holds lists or objects"),
        (pa.array([b"x"]), "holds binary data"),
        (pa.nulls(1), "has no value in any of 1 rows"),
    ],
)
def test_parquet_columns_that_are_no_signal_are_named(
    tmp_path: Path, column: pa.Array, message: str
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [1], "odd": column}), path)
    with pytest.raises(BaselineError, match=f"column 'odd' {message}.*--exclude odd"):
        build(path)


def test_text_of_parquet_can_be_read_as_numbers_if_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": ["1", "2.5", None]}), path)
    assert numeric(build(path, types={"x": "numeric"}), "x").maximum == 2.5
    pq.write_table(pa.table({"x": ["1", "many"]}), path)
    with pytest.raises(BaselineError, match="'x' is to be numeric, but 'many' in row 2 is no num"):
        build(path, types={"x": "numeric"})


def test_a_category_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [1.0, float("nan")]}), path)
    assert categorical(build(path, types={"x": "categorical"}), "x").missing == 1
    pq.write_table(pa.table({"x": [1.0, float("inf")]}), path)
    with pytest.raises(BaselineError, match="column 'x' holds inf, which can't be a category"):
        build(path, types={"x": "categorical"})


def test_json_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(b'{"x": "\xff\xfe"}\n')
    with pytest.raises(BaselineError, match="line 1"):
        build(path)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts.parquet").mkdir()
    with pytest.raises(BaselineError, match="is a folder without a file to read"):
        build(tmp_path / "parts.parquet")


def test_a_compressed_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    for name in ("t.csv.gz", "t.ndjson.gz"):
        rows = "\n".join(f'{{"x": {random.Random(i).random()}}}' for i in range(2000))
        path = tmp_path / name
        path.write_bytes(gzip.compress(rows.encode())[:-200])
        with pytest.raises(BaselineError, match="can't be read"):
            build(path)


def _of_users(path: Path, each: int, *, users: int = 3_000, seed: int = 1) -> Path:
    """Write identical rows of users, one user after the other, and one independent column."""
    rng = np.random.default_rng(seed)
    columns = {
        "user": np.repeat([f"u{number}" for number in range(users)], each),
        "amount": np.repeat(rng.normal(size=users), each),
        "region": np.repeat(rng.choice(["eu", "us", "asia"], size=users, p=[0.6, 0.3, 0.1]), each),
        "noise": rng.normal(size=users * each),
    }
    table = pa.table(columns)
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=1_000)
    return path


@pytest.mark.parametrize("name", ["users.csv", "users.parquet"])
@pytest.mark.parametrize("each", [2, 5])
def test_rows_of_an_entity_have_a_design_effect(tmp_path: Path, name: str, each: int) -> None:
    baseline = build(_of_users(tmp_path / name, each), entity="user")
    assert baseline.dependence == Dependence(
        found_by="entity", entity="user", design_effects={"amount": each, "region": each}
    )
    assert "user" not in baseline.signals
    assert decode(baseline.to_json(), Baseline) == baseline


@pytest.mark.parametrize("name", ["users.csv", "users.parquet"])
def test_rows_next_to_each_other_tell_without_an_entity(tmp_path: Path, name: str) -> None:
    warnings: list[str] = []
    path = _of_users(tmp_path / name, 5)
    baseline = build(path, exclude=["user"], warn=warnings.append)
    assert baseline.dependence and baseline.dependence.found_by == "rows"
    assert baseline.dependence.design_effects.keys() == {"amount", "region"}
    assert all(4.95 < it < 6.5 for it in baseline.dependence.design_effects.values())
    assert len(warnings) == 1 and "--entity names the column" in warnings[0]


def test_rows_next_to_each_other_tell_where_times_make_no_hours(tmp_path: Path) -> None:
    users = pq.read_table(_of_users(tmp_path / "users.parquet", 5)).drop_columns(["user"])
    day = [f"2024-01-{1 + 28 * row // users.num_rows:02}" for row in range(users.num_rows)]
    pq.write_table(users.append_column("at", [day]), tmp_path / "t.parquet")
    warnings: list[str] = []
    baseline = build(tmp_path / "t.parquet", time="at", warn=warnings.append)
    assert not baseline.daily and "has dates without a time" in warnings[0]
    assert baseline.dependence and baseline.dependence.found_by == "rows"
    assert all(4.95 < it < 6.5 for it in baseline.dependence.design_effects.values())
    assert "--entity names the column" in warnings[1]


def test_independent_rows_have_no_dependence(tmp_path: Path) -> None:
    path = _of_users(tmp_path / "users.csv", 1)
    baseline = build(path, exclude=["user"])
    assert baseline.dependence is msgspec.UNSET
    assert b"dependence" not in baseline.to_json()
    assert build(path, entity="user").dependence == Dependence(found_by="entity", entity="user")


def test_rows_in_the_order_of_a_column_are_said_to_tell_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    amount = np.sort(rng.normal(size=20_000))
    columns = {"amount": amount, "other": 0.3 * amount + rng.normal(size=20_000)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    warnings: list[str] = []
    baseline = build(tmp_path / "t.parquet", warn=warnings.append)
    assert baseline.dependence == Dependence(found_by="rows", unknown=["other"])
    assert len(warnings) == 1 and "'other' over ever longer stretches" in warnings[0]


def test_rows_of_an_entity_in_different_hours_are_no_cluster(tmp_path: Path) -> None:
    rows = 6_000
    columns = {
        "user": np.repeat(np.arange(rows // 4), 4),
        "at": 3600.0 * (np.arange(rows) // 2),  # two of the four in an hour
        "amount": np.repeat(np.random.default_rng(1).normal(size=rows // 4), 4),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = [
        build(tmp_path / "t.parquet", warn=lambda message: None, entity="user", **more)
        for more in ({"exclude": ["at"]}, {"time": "at"})
    ]
    effects = [it.dependence.design_effects for it in found if it.dependence]
    assert effects == [{"amount": 4}, {"amount": 2}]


def test_rows_without_an_entity_are_each_alone(tmp_path: Path) -> None:
    columns = {"user": [None] * 2_000, "amount": [float(n // 2 % 7) for n in range(2_000)]}
    columns["user"][0] = "u"  # type: ignore[call-overload]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = build(tmp_path / "t.parquet", entity="user", warn=print)
    assert found.dependence == Dependence(found_by="entity", entity="user")


def test_values_are_new_that_one_entity_alone_has_however_they_are_spelt(tmp_path: Path) -> None:
    lines = ["user,code", *(f"u{at},1.0" for at in range(40)), *(f"u{at},2" for at in range(40))]
    lines += ["u1,3"] * 4 + ["u2,4.0", "u3,4"] + [",5", ",5"] + ["u9,6"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    warnings: list[str] = []
    found = build(
        tmp_path / "t.csv", entity="user", types={"code": "categorical"}, warn=warnings.append
    ).signals["code"]
    assert isinstance(found, CategoricalSignal) and found.rare
    # 3 and 6: two users have a 4, and rows without a user are of two.
    assert found.rare.expected[-1] == 4 + 1
    assert found.rare.seen_once == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entity": "who"}, "has no column 'who', which --entity names"),
        ({"entity": "user", "prediction": "user"}, "'user' is both --entity and --prediction"),
        ({"entity": "user", "time": "user"}, "'user' is both --entity and --time"),
    ],
)
def test_a_wrong_entity_is_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    path = _of_users(tmp_path / "users.csv", 2, users=100)
    with pytest.raises(BaselineError, match=message):
        build(path, **options)
