"""Training files as people have them: what each column is read as, and what is said of it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from tidegauge.baseline.document import BaselineError, CategoricalSignal, NumericSignal
from tidegauge.baseline.io.builder import Built, build
from tidegauge.baseline.io.choices import read_types
from tidegauge.baseline.io.column import ReadOptions
from tidegauge.baseline.io.database import Database

ROWS = range(60)

Read = Callable[..., tuple[Built, list[str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(
        name: str, text: str | bytes, encoding: str = "utf-8", **options: Any
    ) -> tuple[Built, list[str]]:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return built(path, **options)

    return read


def built(path: Path, **options: Any) -> tuple[Built, list[str]]:
    warnings: list[str] = []
    found = build(path, **({"model": "m", "version": "1", "warn": warnings.append} | options))
    return found, warnings


def csv(header: str, row: Callable[[int], str], lines: str = "\n") -> str:
    return lines.join([header, *map(row, ROWS)]) + lines


def numbers(found: Built, name: str) -> tuple[float | None, float | None, int]:
    signal = found.baseline.signals[name]
    assert isinstance(signal, NumericSignal), signal
    assert sum(signal.counts) + signal.missing + signal.nan == found.baseline.rows
    return signal.minimum, signal.maximum, signal.missing


def categories(found: Built, name: str) -> CategoricalSignal:
    signal = found.baseline.signals[name]
    assert isinstance(signal, CategoricalSignal), signal
    return signal


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("lines", ["\n", "\r\n"])
def test_the_delimiter_is_found(read: Read, delimiter: str, lines: str) -> None:
    text = csv("income,age,region".replace(",", delimiter),
               lambda i: delimiter.join([f"{i}.5", str(20 + i), f"r{i % 3}"]), lines)  # fmt: skip
    found, warnings = read("t.csv", text)
    assert [(it.column, it.kind, it.distinct) for it in found.columns] == [
        ("income", "numeric", 60), ("age", "numeric", 60), ("region", "string", 3),
    ]  # fmt: skip
    assert warnings == []


def test_a_semicolon_file_read_by_commas_is_refused_with_the_option_that_mends_it(
    read: Read,
) -> None:
    text = csv("income;age", lambda i: f"{i};{i}")
    with pytest.raises(BaselineError, match=r"one column, called 'income;age': .*--delimiter ';'"):
        read("t.csv", text, options=ReadOptions(delimiter=","))
    with pytest.raises(BaselineError, match=r"is '\^' the delimiter\? --delimiter '\^'"):
        read("t.csv", text.replace(";", "^"))
    found, _ = read("t.csv", text.replace(";", "^"), options=ReadOptions(delimiter="^"))
    assert len(found.columns) == 2
    for before in ("sep=;\n", "\n \n", "sep=;\n\n"):
        found, _ = read("t.csv", before + text)
        assert len(found.columns) == 2 and numbers(found, "age") == (0.0, 59.0, 0)


def test_line_ends_of_two_systems_and_quotes_over_lines_are_read(read: Read) -> None:
    found, _ = read("t.csv", 'x,"na\nme"\r\n1,"a\nb,c"\n2,"say ""no"""\r\n')
    assert categories(found, "na\nme").categories == ["a\nb,c", 'say "no"']


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,2\n3\n", "line 3 has 1 cells, expected 2: '3'"),
        ("1,2\n3,4,5\n", "line 3 has 3 cells, expected 2: '3,4,5'"),
        ('1,2\n"3,4\n', "unterminated quote"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(
    read: Read, rows: str, message: str
) -> None:
    with pytest.raises(BaselineError, match=message):
        read("t.csv", "x,y\n" + rows)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", ""),
        ("cp1252", "is no UTF-8 (line 2) and is read as cp1252; --encoding names another"),
    ],
)
def test_the_encoding_is_found(read: Read, encoding: str, said: str) -> None:
    found, warnings = read("t.csv", csv("stadt,n", lambda i: f"Zürich,{i}"), encoding)
    assert categories(found, "stadt").categories == ["Zürich"]
    assert [said in it for it in warnings] == [True] * bool(said)


def test_the_encoding_can_be_named(read: Read) -> None:
    text = csv("stadt,n", lambda i: f"Łódź,{i}").encode("cp1250")
    found, warnings = read("t.csv", text, options=ReadOptions(encoding="cp1250"))
    assert categories(found, "stadt").categories == ["Łódź"] and warnings == []
    with pytest.raises(BaselineError, match="--encoding none: no such encoding"):
        read("t.csv", text, options=ReadOptions(encoding="none"))
    with pytest.raises(BaselineError, match="is not utf-8"):
        read("t.csv", text, options=ReadOptions(encoding="utf-8"))


@pytest.mark.parametrize(
    ("header", "row", "low", "high"),
    [
        ("x;n", lambda i: f"{i},5;{i}", 0.5, 59.5),
        ("x;n", lambda i: f"{i + 1}.{100 + i},25;{i}", 1100.25, 60159.25),
        ("x;n", lambda i: f"{i + 1}\u00a0{100 + i},25;{i}", 1100.25, 60159.25),
        ("x,n", lambda i: f'"{i + 1},{100 + i}.25",{i}', 1100.25, 60159.25),
        ("x,n", lambda i: f"{i + 1}'{100 + i}.25,{i}", 1100.25, 60159.25),
        ("x,n", lambda i: f" {i}.5 ,{i}", 0.5, 59.5),
        ("x,n", lambda i: f"{i}e3,{i}", 0.0, 59000.0),
        ("x,n", lambda i: f"+00{i}.50,{i}", 0.5, 59.5),
    ],
)
def test_numbers_are_read_as_they_are_written(
    read: Read, header: str, row: Callable[[int], str], low: float, high: float
) -> None:
    found, warnings = read("t.csv", csv(header, row))
    assert numbers(found, "x") == (low, high, 0)
    assert warnings == []


def test_thousands_that_may_be_decimals_are_said_with_what_settles_it(read: Read) -> None:
    text = csv("x,n", lambda i: f'"{i + 1},{100 + i}",{i}')
    found, warnings = read("t.csv", text)
    assert numbers(found, "x") == (1100.0, 60159.0, 0)
    assert warnings == [
        "column 'x': '1,100' is read as 1100; --decimal ',' if the comma is for decimals"
    ]
    found, warnings = read("t.csv", text, options=ReadOptions(decimal=","))
    assert numbers(found, "x") == (1.1, 60.159, 0) and warnings == []
    # Beside a column that shows the decimal sign, it is no guess.
    found, _ = read("t.csv", csv("x;n", lambda i: f"{i + 1},{100 + i};{i},5"))
    assert numbers(found, "x") == (1.1, 60.159, 0)


def test_the_minus_sign_of_typesetting_is_a_minus(read: Read) -> None:
    minus = "\u2212"

    def row(i: int) -> str:
        sign = minus if i % 2 else ""
        return f'{sign}{i}.5,"{sign}1,{i % 10}",{minus}'

    found, _ = read("t.csv", csv("x,y,z", row))
    assert numbers(found, "x") == (-59.5, 58.5, 0)
    assert numbers(found, "y") == (-1.9, 1.8, 0)
    assert categories(found, "z").categories == [minus]


def test_dates_that_are_written_as_numbers_are_said_to_be_read_as_numbers(read: Read) -> None:
    text = csv("day,n", lambda i: f"202401{1 + i % 28:02},2024{i:04}")
    found, warnings = read("t.csv", text)
    assert numbers(found, "day") == (20240101.0, 20240128.0, 0)
    assert warnings == [
        "column 'day' holds 20240101 to 20240128, which look like dates and are read as numbers: "
        "--exclude day, or --type day=numeric if they are numbers"
    ]
    assert read("t.csv", text, types={"day": "numeric"})[1] == []


def test_percent_is_a_share_of_one_unless_it_is_to_be_the_number(read: Read) -> None:
    text = csv("rate;n", lambda i: f"{i},5 %;{i}")
    found, warnings = read("t.csv", text)
    assert numbers(found, "rate") == pytest.approx((0.005, 0.595, 0))
    assert "--type rate=percent reads the number before the sign" in warnings[0]
    found, warnings = read("t.csv", text, types={"rate": "percent"})
    assert numbers(found, "rate") == (0.5, 59.5, 0) and warnings == []


@pytest.mark.parametrize("text", ["", "NA", "N/A", "null", "NULL", "None", "nan", "NaN", "<NA>"])
def test_what_plainly_means_missing_is_missing_without_a_word(read: Read, text: str) -> None:
    found, warnings = read(
        "t.csv", csv("x,b", lambda i: f"{text if i % 20 == 7 else i},{text if i % 9 else 'TRUE'}")
    )
    assert numbers(found, "x") == (0.0, 59.0, 3)
    assert categories(found, "b").dtype == "boolean"
    assert categories(found, "b").missing == 53
    assert warnings == []


@pytest.mark.parametrize("text", ["?", "-", "#DIV/0!", "--", "#VALUE!"])
def test_what_may_mean_missing_is_missing_and_said(read: Read, text: str) -> None:
    found, warnings = read("t.csv", csv("x,n", lambda i: f"{text if i % 20 == 7 else i},{i}"))
    assert numbers(found, "x") == (0.0, 59.0, 3)
    assert warnings == [
        f"column 'x': 3 cells such as '{text}' (row 8) are read as missing; "
        f"--type x=categorical reads text"
    ]


def test_a_few_odd_cells_are_missing_and_named(read: Read) -> None:
    text = csv("horse power,n", lambda i: f"{'broken' if i == 7 else i},{i}")
    found, warnings = read("t.csv", text)
    assert numbers(found, "horse power") == (0.0, 59.0, 1)
    assert warnings == [
        "column 'horse power': 98.333% of its 60 cells are numbers, the first other is 'broken' in "
        "row 8: 1 are read as missing; --na broken if they are, --type 'horse power'=categorical "
        "to read text"
    ]
    found, warnings = read("t.csv", text, options=ReadOptions(missing=("broken",)))
    assert numbers(found, "horse power")[2] == 1 and warnings == []
    found, _ = read("t.csv", text, types={"horse power": "categorical"})
    assert sum(categories(found, "horse power").counts) == 60


def test_a_column_half_of_numbers_stays_text_and_it_is_said(read: Read) -> None:
    text = csv("x,n", lambda i: f"{'many' if i % 4 == 0 else i % 9},{i}")
    found, warnings = read("t.csv", text)
    assert categories(found, "x").categories[0] == "many"
    assert "75.0% of its 60 cells are numbers, the first other is 'many' in row 1" in warnings[0]
    found, _ = read("t.csv", text, options=ReadOptions(missing=("many",)))
    assert numbers(found, "x")[2] == 15


def test_money_is_text_and_it_is_said(read: Read) -> None:
    found, warnings = read("t.csv", csv("price,n", lambda i: f'"${i % 9},{100}.50",{i}'))
    assert categories(found, "price").dtype == "string"
    assert "'price' is read as text: '$0,100.50' has a sign that is no number's" in warnings[0]


@pytest.mark.parametrize(
    "words", [("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("VERDADERO", "FALSO"), ("ИСТИНА", "ЛОЖЬ")]
)
def test_true_and_false_of_a_spreadsheet_are_text_and_it_is_said(
    read: Read, words: tuple[str, str]
) -> None:
    text = csv("ok;n", lambda i: f"{words[i % 2] if i % 9 else ''};{i}")
    found, warnings = read("t.csv", text)
    assert categories(found, "ok").missing == 7
    assert set(categories(found, "ok").categories) == set(words)
    (said,) = warnings
    assert f"{words[1]!r} is how a spreadsheet says true or false" in said
    assert "--type ok=categorical if events carry this text" in said
    assert read("t.csv", text, types={"ok": "categorical"})[1] == []


def test_prices_that_never_recur_are_refused_with_what_is_odd_about_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "\n".join(["price,n", *(f"${i}.{i % 90 + 10},{i % 7}" for i in range(1200))])
    )
    warnings: list[str] = []
    with pytest.raises(BaselineError, match="'price' looks like ids or free text"):
        built(tmp_path / "t.csv", warn=warnings.append)
    assert "'price' is read as text: '$0.10' has a sign that is no number's" in warnings[0]


def test_na_is_a_value_of_text_and_it_is_said_what_makes_it_missing(read: Read) -> None:
    text = csv("country,n", lambda i: f"{('NA', 'DE', '')[i % 3]},{i}")
    found, warnings = read("t.csv", text)
    assert categories(found, "country").categories == ["DE", "NA"]
    assert categories(found, "country").missing == 20
    assert "if it means missing: --na NA" in warnings[0]
    found, warnings = read("t.csv", text, options=ReadOptions(missing=("NA",)))
    assert categories(found, "country").missing == 40 and warnings == []


def test_codes_with_leading_zeros_stay_text(read: Read) -> None:
    text = csv("code,n", lambda i: f"{i % 20 + 1:02},{i}")
    found, warnings = read("t.csv", text)
    assert categories(found, "code").categories[:2] == ["01", "02"]
    assert "--type code=numeric reads numbers" in warnings[0]
    found, warnings = read("t.csv", text, types={"code": "numeric"})
    assert numbers(found, "code") == (1.0, 20.0, 0) and warnings == []


@pytest.mark.parametrize(
    "cell",
    [
        "{d:02}.03.2024", "03/{d:02}/2024", "2024-03-{d:02}", "09:{d}", "2024/03/{d:02}",
        "{d:02}.03.24", "3/{d}/24", "3/{d}/2024 3:{d} PM", "{d}MAR2024", "{d}MAR24",
        "{d}MAR2024:10:{d}:00", "{d}-Mar-24", "{d} March 2024", "Mar {d} 2024",
        '"March {d}, 2024"', "2024-03-{d} 9:{d}:01.5 +02:00",
    ],
)  # fmt: skip
def test_dates_and_times_are_no_signal(read: Read, cell: str) -> None:
    text = csv("at,n", lambda i: cell.format(d=i % 18 + 10) + f",{i}")
    with pytest.raises(BaselineError, match=r"'at' holds dates or times.*--exclude at"):
        read("t.csv", text)


@pytest.mark.parametrize("text", ["v1.{d}.2", "10may", "{d}-3", "marble {d}", "1.2.{d}.4"])
def test_text_that_is_like_a_date_is_none(read: Read, text: str) -> None:
    found, _ = read("t.csv", csv("x,n", lambda i: text.format(d=i % 18 + 10) + f",{i}"))
    assert categories(found, "x").dtype == "string"


def test_a_wide_file_is_read_by_many_columns_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement looks all columns up: one for each took minutes of thousands of columns."""
    columns = {f"c{i}": [(i * j) % 7 / 2 for j in range(20)] for i in range(300)}
    header = ",".join(["kind", *columns])
    rows = [",".join([f"k{j % 2}", *(str(it[j]) for it in columns.values())]) for j in range(20)]
    rows[0] = rows[0].replace("k0,0.0,0.0", "k0,0.0,", 1)
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    statements: list[str] = []
    columns_of = Database.columns

    def counted(database: Database, sql: str) -> dict[str, Any]:
        statements.append(sql)
        return columns_of(database, sql)

    monkeypatch.setattr(Database, "columns", counted)
    for name in ("t.csv", "t.parquet"):
        found, _ = built(tmp_path / name)
        for column, values in columns.items():
            missing = int((name, column) == ("t.csv", "c1"))
            assert numbers(found, column) == (min(values[missing:]), max(values), missing)
    assert len(statements) == 2 * 6


def test_days_without_a_time_make_no_hours_of_the_day(read: Read) -> None:
    text = csv("at,n", lambda i: f"2024-{i // 28 + 1:02}-{i % 28 + 1:02},{i}")
    found, warnings = read("t.csv", text, time="at")
    assert not found.baseline.daily
    assert "has dates without a time" in warnings[0]


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_the_index_that_pandas_writes_into_csv_is_left_out(read: Read, header: str) -> None:
    found, warnings = read("t.csv", csv(f"{header},n", lambda i: f"{i},{i}"))
    assert list(found.baseline.signals) == ["n"]
    assert "is left out: it is the index of a frame" in warnings[0]
    assert [it.kind for it in found.columns] == ["left out", "numeric"]


def test_a_target_is_asked_about_and_every_column_is_listed(read: Read) -> None:
    text = csv("age,target", lambda i: f"{i},{i % 2}")
    found, warnings = read("t.csv", text)
    assert "'target' may be what the model predicts" in warnings[0]
    found, warnings = read("t.csv", text, exclude=["target"])
    assert [(it.column, it.kind) for it in found.columns] == [
        ("age", "numeric"), ("target", "left out"),
    ]  # fmt: skip
    assert warnings == []
    _, warnings = read("t.csv", text, prediction="target")
    assert warnings == []


def test_names_that_differ_in_case_alone_are_two_columns(read: Read) -> None:
    found, _ = read("t.csv", csv("x,X", lambda i: f"{i},{-i}"))
    assert (numbers(found, "x")[1], numbers(found, "X")[1]) == (59.0, 0.0)
    found, _ = read("t.ndjson", "".join(f'{{"x":{i},"X":{-i}}}\n' for i in ROWS))
    assert (numbers(found, "x")[1], numbers(found, "X")[1]) == (59.0, 0.0)


def test_json_is_read_by_lines_as_an_array_and_by_type(read: Read) -> None:
    rows: list[dict[str, Any]] = [
        {"x": i, "code": str(i % 5), "b": None if i % 2 else True, 'odd "/~name': 0.5} for i in ROWS
    ]
    rows[3]["x"] = "n/a"
    for name, text in (
        ("t.ndjson", "\n".join(map(json.dumps, rows))),
        ("t.jsonl", "\r\n\r\n".join(map(json.dumps, rows))),
        ("t.json", json.dumps(rows)),
        ("p.json", json.dumps(rows, indent=1)),
        ("z.ndjson.gz", gzip.compress("\n".join(map(json.dumps, rows)).encode())),
    ):
        found, warnings = read(name, text)
        assert numbers(found, "x") == (0.0, 59.0, 1), name
        assert numbers(found, 'odd "/~name') == (0.5, 0.5, 0)
        assert categories(found, "code").dtype == "string"  # text in the file, text in the events
        assert (categories(found, "b").dtype, categories(found, "b").missing) == ("boolean", 30)
        assert warnings == []


def test_tokens_that_json_has_not_are_read_as_not_finite(read: Read) -> None:
    found, _ = read("t.ndjson", '{"x": NaN}\n{"x": 1.5}\n{"x": Infinity}\n{"x": "NaN"}\n{}\n')
    signal = found.baseline.signals["x"]
    assert isinstance(signal, NumericSignal)
    assert (sum(signal.counts), signal.missing, signal.nan) == (1, 1, 3)


def test_one_object_of_columns_is_refused(read: Read) -> None:
    for text in ('{"a": {"0": 1, "1": 2}, "b": {"0": 1, "1": 2}}', '{"a": [1, 2], "b": [1, 2]}'):
        with pytest.raises(BaselineError, match="one object of columns, expected rows: to_json"):
            read("t.json", text)


def _event(i: int, model: str) -> str:
    return json.dumps(
        {
            "time": 1.7e9 + i, "model": model, "version": "3", "prediction": i / 60, "status": "ok",
            "features": {"age": i, "region": ("eu", "us")[i % 2]}, "latency_ms": 3.0,
        }
    )  # fmt: skip


def test_of_recorded_events_the_features_are_the_signals(read: Read) -> None:
    text = "\n".join(_event(i, "credit") for i in ROWS)
    found, warnings = read("t.ndjson", text)
    assert set(found.baseline.signals) == {"age", "region"}
    assert "the rows are recorded events: the signals are their features" in warnings[0]
    found, _ = read("t.ndjson", text, prediction="prediction", time="time")
    assert set(found.baseline.signals) == {"age", "region", "prediction"}


def test_of_events_of_several_models_those_of_one_are_read(read: Read) -> None:
    text = "\n".join(_event(i, ("credit", "fraud")[i % 2]) for i in ROWS)
    found, warnings = read("t.ndjson", text, model="fraud")
    assert found.baseline.rows == 30
    assert "events of 2 models: those 30 of 'fraud' are read" in warnings[1]
    with pytest.raises(BaselineError, match="2 models, none of them 'other': 'credit', 'fraud'"):
        read("t.ndjson", text, model="other")


def test_the_index_that_pandas_stores_in_parquet_is_left_out(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0], "__index_level_0__": [7, 3], "day": ["a", "b"]})
    named = table.replace_schema_metadata({"pandas": json.dumps({"index_columns": ["day"]})})
    pq.write_table(named, tmp_path / "t.parquet")
    found, warnings = built(tmp_path / "t.parquet")
    assert list(found.baseline.signals) == ["x"] and len(warnings) == 2
    found, _ = built(tmp_path / "t.parquet", types={"day": "categorical"})
    assert list(found.baseline.signals) == ["x", "day"]


def test_columns_of_every_type_of_parquet_and_arrow_are_read(tmp_path: Path) -> None:
    table = pa.table(
        {
            "f16": pa.array([0.5, None], pa.float16()) if pa.__version__ > "15" else [0.5, None],
            "u64": pa.array([2**63, None], pa.uint64()),
            "dec": pa.array([1, None], pa.decimal128(12, 2)),
            "cat": pa.array(["a", None]).dictionary_encode(),
            "large": pa.array(["a", None], pa.large_string()),
            "flag": [True, None],
        }
    )
    pq.write_table(table.drop_columns(["f16"]), tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table.drop_columns(["f16"]), tmp_path / "t.feather")
    by_parquet, _ = built(tmp_path / "t.parquet")
    by_arrow, _ = built(tmp_path / "t.feather")
    assert by_parquet.baseline.signals == by_arrow.baseline.signals
    assert all(it.missing == 1 for it in by_parquet.baseline.signals.values())
    kinds = [it.kind for it in by_parquet.columns]
    assert kinds == ["numeric", "numeric", "string", "string", "boolean"]


def test_columns_of_one_name_are_refused_in_every_format(tmp_path: Path, read: Read) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(BaselineError, match="more than one column 'x'"):
        built(tmp_path / "t.parquet")
    with pytest.raises(BaselineError, match="more than one column 'x'"):
        read("t.csv", "x,y,x\n1,2,3\n")


def test_folders_patterns_and_partitions_are_one_table(tmp_path: Path) -> None:
    for region, values in (("eu", [1.0, 2.0]), ("us", [3.0])):
        (tmp_path / "all" / f"region={region}").mkdir(parents=True)
        pq.write_table(pa.table({"x": values}), tmp_path / "all" / f"region={region}" / "p.parquet")
    (tmp_path / "all" / "_SUCCESS").touch()
    found, _ = built(tmp_path / "all")
    assert found.baseline.rows == 3
    assert categories(found, "region").categories == ["eu", "us"]
    by_pattern, _ = built(tmp_path / "all" / "*" / "*.parquet")
    assert by_pattern.baseline.signals == found.baseline.signals
    one, _ = built(tmp_path / "all" / "region=eu" / "p.parquet")
    assert list(one.baseline.signals) == ["x"]
    for i in range(3):
        (tmp_path / f"part-{i}.csv").write_text(f"a;b\n{i};x\n")
    found, _ = built(tmp_path / "part-*.csv")
    assert numbers(found, "a") == (0.0, 2.0, 0)
    (tmp_path / "part-3.csv").write_text("a;c\n1;x\n")
    with pytest.raises(BaselineError, match=r"part-3.csv has other columns than .*part-0.csv"):
        built(tmp_path / "part-*.csv")
    with pytest.raises(BaselineError, match="matches no file"):
        built(tmp_path / "none-*.csv")


def test_names_of_files_are_no_patterns(read: Read) -> None:
    found, _ = read("it's [1]*.csv", "x\n1\n2\n")
    assert found.baseline.rows == 2


def test_types_come_from_yaml_or_json(tmp_path: Path) -> None:
    path = tmp_path / "types.yaml"
    path.write_text("zip: categorical\nage: numeric\nid: exclude\nflag: boolean\n")
    told = read_types(path)
    assert told.roles == {"zip": "categorical", "age": "numeric", "flag": "categorical"}
    assert told.exclude == ["id"]
    path.write_text('{"zip": "categorical"}')
    assert read_types(path).roles == {"zip": "categorical"}
    path.write_text("zip: code\n")
    with pytest.raises(BaselineError, match="'zip' is 'code', expected numeric, cat"):
        read_types(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zip: [1]", r"types\.yaml: 'zip' is no word, expected one such as categorical"),
        ("zip: {a: b}", r"types\.yaml: 'zip' is no word"),
        ("zip: 1", r"types\.yaml: 'zip' is no word"),
        ("zip: numeric\nzip: exclude", r"types\.yaml:2:1: zip: "),
        ("[" * 20_000, r"types\.yaml:1:1: the file is nested too deeply"),
        ("zip: 'a", r"types\.yaml:1:\d+: not YAML: "),
        ("", r"types\.yaml:1:1: the file is empty, expected types"),
        ("- zip", r"types\.yaml: expected a mapping"),
    ],
)
def test_what_is_wrong_in_a_file_of_types_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "types.yaml"
    path.write_text(text)
    with pytest.raises(BaselineError, match=message):
        read_types(path)


def test_nothing_is_printed_while_a_file_is_read(tmp_path: Path) -> None:
    # The bar would come after two seconds, between the lines of the command.
    database = Database(tmp_path, 1)
    assert database.rows("SELECT current_setting('enable_progress_bar_print')") == [(False,)]
    database.close()


def test_little_memory_is_enough_for_a_large_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(size=60_000).round(6) for i in range(6)}
    path = tmp_path / "t.csv"
    lines = (",".join(map(str, row)) for row in zip(*columns.values(), strict=True))
    path.write_text("\n".join([",".join(columns), *lines]))
    found, _ = built(path, memory_bytes=1)
    assert numbers(found, "x3")[:2] == (columns["x3"].min(), columns["x3"].max())
