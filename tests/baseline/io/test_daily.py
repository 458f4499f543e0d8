"""Baselines by hour of day, from files with timestamps."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.baseline.daily import DailyCycle
from tidegauge.baseline.document import Baseline, BaselineError
from tidegauge.baseline.io.builder import build
from tidegauge.baseline.io.joint import JointOptions
from tidegauge.baseline.validation import UnusableBaseline, read_baseline

BEGIN = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
A_DAY = 480
COLUMNS = ("at", "amount", "region", "code")


def _rows(days: float) -> list[tuple[datetime, float | None, str | None, int]]:
    """Return a row every three minutes: amounts follow the hour, one region is of the night."""
    rng = np.random.default_rng(1)
    found: list[tuple[datetime, float | None, str | None, int]] = []
    for number in range(round(days * A_DAY)):
        at = BEGIN + timedelta(minutes=3 * number, seconds=7)
        amount = float(np.round(rng.normal() + np.sin(2 * np.pi * at.hour / 24), 3))
        region = "night" if at.hour < 4 else ("eu", "us")[number % 2]
        found.append(
            (
                at,
                None if number % 50 == 0 else amount,
                None if number % 40 == 1 else region,
                int(rng.integers(3)),
            )
        )
    return found


def _csv(path: Path, days: float) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([at.isoformat(), *rest] for at, *rest in _rows(days))
    return path


def _ndjson(path: Path, days: float) -> Path:
    lines = (
        json.dumps(dict(zip(COLUMNS, (at.timestamp(), *rest), strict=True)))
        for at, *rest in _rows(days)
    )
    path.write_text("\n".join(lines))
    return path


def _parquet(path: Path, days: float) -> Path:
    columns = dict(zip(COLUMNS, map(list, zip(*_rows(days), strict=True)), strict=True))
    pq.write_table(pa.table(columns), path)
    return path


Write = Callable[[Path, float], Path]
WRITERS: dict[str, Write] = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}


def _built(path: Path, **options: Any) -> Baseline:
    def refuse(message: str) -> None:
        raise AssertionError(f"unexpected warning: {message}")

    fixed = {"model": "m", "version": "1", "time": "at", "types": {"code": "categorical"}}
    return build(path, **(fixed | {"warn": refuse} | options)).baseline


def _daily(baseline: Baseline) -> DailyCycle:
    assert isinstance(baseline.daily, DailyCycle)
    return baseline.daily


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("days")
    return {suffix: write(folder / f"rows.{suffix}", 15) for suffix, write in WRITERS.items()}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_row_is_counted_in_its_hour(files: dict[str, Path], suffix: str) -> None:
    baseline = _built(files[suffix])
    daily = _daily(baseline)
    rows = _rows(15)
    assert daily.days == 16  # 15 days from half past six are on 16 dates
    for name, hours in daily.signals.items():
        assert np.sum(hours.counts, axis=1).tolist() == [
            sum(at.hour == hour for at, *_ in rows) for hour in range(24)
        ]
        signal = baseline.signals[name]
        nan = getattr(signal, "nan", 0)
        assert np.sum(hours.counts, axis=0).tolist() == [*signal.counts, signal.missing, nan, 0]


def test_the_format_of_the_file_makes_no_difference(files: dict[str, Path]) -> None:
    found = [_daily(_built(files[suffix])) for suffix in WRITERS]
    assert found[0] == found[1] == found[2]


def test_the_time_is_no_signal(files: dict[str, Path]) -> None:
    assert list(_built(files["csv"]).signals) == ["amount", "region", "code"]


def test_hours_differ_as_the_rows_do(files: dict[str, Path]) -> None:
    baseline = _built(files["parquet"])
    region = _daily(baseline).signals["region"].counts
    place = baseline.signals["region"].categories.index("night")  # type: ignore[union-attr]
    assert [counts[place] > 0 for counts in region] == [hour < 4 for hour in range(24)]
    amounts = np.array(_daily(baseline).signals["amount"].counts)[:, :14]
    middle = (amounts * np.arange(14)).sum(axis=1) / amounts.sum(axis=1)
    assert middle[6] > middle[0] + 2 and middle[18] < middle[0] - 2


def test_little_memory_means_more_readings_and_the_same_baseline(files: dict[str, Path]) -> None:
    assert _built(files["csv"], memory_bytes=1) == _built(files["csv"])


def test_spans_with_few_rows_are_left_out(files: dict[str, Path]) -> None:
    daily = _daily(_built(files["csv"]))
    assert daily.spans_seconds == [86_400]
    assert [len(hours.excess) for hours in daily.signals.values()] == [1, 1, 1]


def test_a_signal_that_goes_by_entities_has_the_spans_of_the_others(tmp_path: Path) -> None:
    """Of five identical rows of each user, blocks of four hours tell too little."""
    rng, users = np.random.default_rng(1), 15 * 260
    columns = {
        "user": np.repeat(np.arange(users), 5),
        "at": 86_400.0 + np.repeat(np.arange(users) * 332.0, 5) // 3_600 * 3_600 + 1.0,
        "amount": np.repeat(rng.normal(size=users), 5),
        "noise": rng.normal(size=5 * users),
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    both, one = (
        _built(tmp_path / "rows.parquet", entity="user", types={}, exclude=it)
        for it in ([], ["noise"])
    )
    daily, alone = _daily(both), _daily(one)
    assert both.design_effect("amount") == 5 and both.design_effect("noise") == 1
    assert (alone.spans_seconds, daily.spans_seconds) == ([86_400], [14_400, 86_400])
    its, known = daily.signals["amount"], alone.signals["amount"]
    assert (its.excess[1], its.degrees[1]) == (known.excess[0], known.degrees[0])
    assert its.excess[0] == pytest.approx([6 * it for it in known.excess[0]], rel=1e-3)
    assert its.degrees[0] == known.degrees[0]
    assert max(its.excess[0]) > 0


def test_only_the_latest_four_weeks_count(tmp_path: Path) -> None:
    daily = _daily(_built(_parquet(tmp_path / "rows.parquet", 40)))
    assert daily.days == 28
    last = BEGIN + timedelta(days=40)
    counted = sum(map(sum, daily.signals["code"].counts))
    # The 27 dates before the last one, which is a beginning.
    assert counted == pytest.approx(27 * A_DAY + (last.hour * 60 + 30) / 3, abs=1)


def test_fewer_than_fourteen_days_are_told_and_left_out(tmp_path: Path) -> None:
    warnings: list[str] = []
    baseline = _built(_csv(tmp_path / "rows.csv", 12), warn=warnings.append)
    assert baseline.daily is msgspec.UNSET
    assert b"daily" not in baseline.to_json()
    assert warnings[:1] == [
        "column 'at' has times of 13 days, and it takes 14 to tell the hours of a day apart: the "
        "baseline is made without them, and where the traffic has a daily cycle, no number of "
        "false alarms can be promised"
    ]
    assert len(warnings) == 2 and "rows near each other are alike in 'amount'" in warnings[1]


def test_too_few_rows_a_day_are_told_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = [f"{(BEGIN + timedelta(hours=n)).isoformat()},{n % 7}" for n in range(24 * 20)]
    path.write_text("\n".join(["at,amount", *lines]))
    warnings: list[str] = []
    baseline = _built(path, warn=warnings.append, types={})
    assert baseline.daily is msgspec.UNSET
    assert warnings[0].startswith("on most days there are fewer than 200 events")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_document_with_hours_survives_its_encoding(files: dict[str, Path], suffix: str) -> None:
    baseline = _built(files[suffix])
    again = read_baseline(baseline.to_json())
    assert again == baseline and again.id == baseline.id


def test_rows_without_a_time_are_in_the_baseline_and_in_no_hour(
    files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(files["csv"].read_text() + ",1.0,eu,1\n" * 20)
    baseline = _built(path)
    assert baseline.rows == 15 * A_DAY + 20
    assert sum(map(sum, _daily(baseline).signals["code"].counts)) == 15 * A_DAY


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_dates_that_are_written_as_numbers_are_dates(tmp_path: Path, suffix: str) -> None:
    days = [(BEGIN + timedelta(days=n)).strftime("%Y%m%d") for n in range(20)]
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        path.write_text("at,amount\n" + "".join(f"{day},1\n{day},2\n" for day in days))
    else:
        at = [int(day) for day in days]
        pq.write_table(pa.table({"at": at, "amount": [float(it % 7) for it in at]}), path)
    warnings: list[str] = []
    build(path, model="m", version="1", time="at", warn=warnings.append)
    assert [it for it in warnings if "has dates without a time" in it]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("yesterday", "holds 'yesterday'; expected ISO 8601"),
        ("1767225600000", r"are these milliseconds\?"),
    ],
)
def test_what_is_no_time_is_named(tmp_path: Path, value: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"at,amount\n{value},1\n{value},2\n")
    with pytest.raises(BaselineError, match=message):
        _built(path, types={})


def test_a_time_that_is_no_column_or_the_prediction_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(BaselineError, match="no column 'when', which --time names"):
        _built(files["csv"], time="when")
    with pytest.raises(BaselineError, match="both --time and --prediction"):
        _built(files["csv"], prediction="at")


def _changed(baseline: Baseline, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(baseline.to_json())
    change(document["daily"])
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda daily: daily["signals"]["code"]["counts"].pop(), "24 entries"),
        (lambda daily: daily["signals"]["code"]["counts"][3].pop(), "as many bins in each hour"),
        (lambda daily: daily["signals"]["code"]["excess"][0].pop(), "excess must have 11 entries"),
        (lambda daily: daily["spans_seconds"].append(90_000), "one list for each of spans"),
        (lambda daily: daily["signals"].pop("code"), "every signal"),
        (
            lambda daily: daily["signals"].update(code=daily["signals"]["amount"]),
            "'code' with other bins",
        ),
    ],
)
def test_a_document_whose_hours_make_no_sense_is_refused(
    files: dict[str, Path], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(UnusableBaseline, match=message):
        read_baseline(_changed(_built(files["csv"]), change))


@pytest.mark.parametrize("of", ["sums without all features", "users"])
def test_signals_of_fewer_events_have_the_spans_of_the_others(tmp_path: Path, of: str) -> None:
    """Four hours have 240 rows: enough of each feature, and too few of what counts for fewer."""
    rng, rows = np.random.default_rng(5), 14 * 1440
    user = np.arange(rows) // 3 % 400
    columns = {
        "at": [BEGIN + timedelta(minutes=n) for n in range(rows)],
        "x": rng.normal(size=rows),
        "y": rng.normal(size=400)[user] + rng.normal(size=rows) / 2,
    }
    if of == "users":
        options: dict[str, Any] = {"entity": "user"}
        columns["user"] = [str(it) for it in user]
    else:
        options = {"joint": JointOptions(projections=1)}
        columns["y"] = [None if rng.random() < 0.18 else it for it in rng.normal(size=rows)]
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    daily = _daily(_built(tmp_path / "rows.parquet", types={}, warn=print, **options))
    assert daily.spans_seconds == [14_400, 86_400]
    fewer = daily.signals["y" if of == "users" else "joint projection 1: +x +y"]
    assert [len(fewer.excess), len(fewer.degrees), len(fewer.skewness)] == [2, 2, 2]
    # As if windows were independent: what the detector takes of shorter spans than are known.
    assert fewer.excess[0] == pytest.approx([6 * it for it in fewer.excess[1]], rel=1e-3)
    assert fewer.degrees[0] == fewer.degrees[1]
    assert daily.signals["x"].excess[0] != pytest.approx(
        [6 * it for it in daily.signals["x"].excess[1]], rel=1e-3
    )


def test_the_signal_that_leaves_no_hours_is_named(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(6), 14 * 480
    user = np.arange(rows) // 8
    columns = {
        "at": [BEGIN + timedelta(minutes=3 * n) for n in range(rows)],
        "x": rng.normal(size=rows),
        "y": rng.normal(size=rows // 8)[user],
        "user": [str(it) for it in user],
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    warnings: list[str] = []
    built = _built(tmp_path / "rows.parquet", types={}, entity="user", warn=warnings.append)
    assert not built.daily
    assert warnings[0] == (
        "on most days there are fewer than 200 events that tell of 'y', as independent ones "
        "(design effect 6.97): the baseline is made without the hours of the day"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (datetime(2100, 6, 1, tzinfo=UTC), "holds 2100-06-01; expected ISO 8601 from 1970 to 2099"),
        (datetime(1969, 12, 31, tzinfo=UTC), "holds 1969-12-31; expected ISO 8601 from 1970"),
    ],
)
def test_a_time_of_another_century_is_shown_as_a_date(
    tmp_path: Path, given: datetime, message: str
) -> None:
    table = pa.table({"at": [BEGIN] * 9 + [given], "x": list(range(10))})
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(BaselineError, match=message) as error:
        _built(tmp_path / "rows.parquet", types={}, warn=print)
    assert str(error.value).count("column 'at'") == 1
    assert "milliseconds" not in str(error.value)


def test_an_entity_that_rows_do_not_have_is_reported(tmp_path: Path) -> None:
    table = {"x": np.arange(1000) % 7, "user": ["u"] * 400 + [""] * 600}
    path = tmp_path / "rows.parquet"
    warnings: list[str] = []
    for values in (["u"] * 400 + [None] * 600, [None] * 1000):
        table["user"] = pa.array(values, pa.string())
        pq.write_table(pa.table(table), path)
        if values[0] is None:
            with pytest.raises(BaselineError, match="'user', which --entity names, has no value"):
                _built(path, types={}, time=None, entity="user", warn=print)
        else:
            _built(path, types={}, time=None, entity="user", warn=warnings.append)
    assert warnings == [
        "600 of 1,000 rows have no value in 'user', which --entity names: each of them counts as "
        "independent of all others"
    ]
