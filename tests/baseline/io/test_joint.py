"""Joint signals of a file: which there are, what they hold, and what can't make any."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.baseline.document import Baseline, BaselineError, NumericSignal, features_of
from tidegauge.baseline.io.builder import build
from tidegauge.baseline.io.joint import JointOptions
from tidegauge.baseline.joint import JointSums
from tidegauge.baseline.validation import UnusableBaseline, read_baseline

ROWS = 2_000


def _columns(seed: int = 1, rows: int = ROWS) -> dict[str, Any]:
    """Six numbers, two of which go together, and one that falls with the first."""
    rng = np.random.default_rng(seed)
    age, income, tenure, debt = rng.normal(size=(4, rows)).round(3)
    return {
        "age": 40 + 10 * age,
        "income": 1e4 * (3 + 0.8 * age + 0.6 * income),
        "tenure": tenure,
        "debt": -0.9 * age + 0.4 * debt,
        "rate": rng.standard_cauchy(rows).round(3),
        "clicks": rng.poisson(0.3, rows),
        "plan": rng.choice(["a", "b"], rows),
        "score": rng.random(rows).round(3),
    }


def _parquet(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def _built(path: Path, projections: int = 0, pairs: int = 0, **options: Any) -> Baseline:
    def refuse(message: str) -> None:
        raise AssertionError(f"unexpected warning: {message}")

    given = {"prediction": "score", "warn": refuse, "joint": JointOptions(projections, pairs)}
    return build(path, model="m", version="1", **(given | options)).baseline


def _joint(baseline: Baseline) -> dict[str, NumericSignal]:
    return {
        name: its
        for name, its in baseline.signals.items()
        if isinstance(its, NumericSignal) and its.sum_of
    }


def test_the_strongest_pairs_are_found_with_their_sign(tmp_path: Path) -> None:
    baseline = _built(_parquet(tmp_path / "x.parquet", _columns()), pairs=3)
    assert [dict(its.sum_of or {}) for its in _joint(baseline).values()] == [
        {"age": 1.0, "debt": 1.0},
        {"age": 1.0, "income": -1.0},
        {"debt": 1.0, "income": 1.0},
    ]
    assert list(_joint(baseline))[1] == "joint pair 2: +age -income"
    # What they have in common is gone: 2 (1 - .8) of the variance of two independent ones, 2.
    spread = _joint(baseline)["joint pair 2: +age -income"].std
    assert spread is not None and 0.55 < spread < 0.75


def test_projections_use_every_feature_about_as_often_and_none_is_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = {f"x{i}": rng.normal(size=200) for i in range(20)}
    path = _parquet(tmp_path / "x.parquet", columns)
    found = _joint(_built(path, projections=16, prediction=None))
    weights = [its.sum_of or {} for its in found.values()]
    assert [len(its) for its in weights] == [8, 8, 4, 3] * 4
    assert len({tuple(sorted(its.items())) for its in weights}) == 16
    used = [sum(name in its for its in weights) for name in columns]
    assert min(used) >= 3 and max(used) <= 6
    assert {abs(it) for its in weights for it in its.values()} == {1.0}
    assert 0.3 < np.mean([it > 0 for its in weights for it in its.values()]) < 0.7


def test_the_document_is_the_same_however_it_is_made(tmp_path: Path) -> None:
    columns = _columns()
    order = np.random.default_rng(3).permutation(ROWS)
    first = _built(_parquet(tmp_path / "x.parquet", columns), 8, 4)
    shuffled = {name: np.asarray(its)[order] for name, its in columns.items()}
    (tmp_path / "b").mkdir()
    other = _parquet(tmp_path / "b" / "x.parquet", dict(reversed(shuffled.items())))
    assert _built(other, 8, 4, memory_bytes=64 * 1024).id == first.id
    with (tmp_path / "x.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    from_csv = _built(tmp_path / "x.csv", 8, 4)
    assert from_csv.signals == first.signals
    assert from_csv.scales == first.scales
    assert read_baseline(first.to_json()).to_json() == first.to_json()


def test_other_rows_have_the_same_projections(tmp_path: Path) -> None:
    names = [
        list(_joint(_built(_parquet(tmp_path / f"{seed}.parquet", _columns(seed)), 8)))
        for seed in (1, 2)
    ]
    assert names[0] == names[1]


def test_without_the_options_nothing_is_added(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "x.parquet", _columns())
    document = _built(path).to_json()
    assert b"sum_of" not in document and b"scales" not in document


def test_they_hold_what_ingest_computes_of_each_row(tmp_path: Path) -> None:
    columns = _columns()
    gaps = np.random.default_rng(4).random(ROWS) < 0.1
    columns["tenure"] = pa.array(columns["tenure"], mask=gaps)
    baseline = _built(_parquet(tmp_path / "x.parquet", columns), 8, 4)
    sums = JointSums.of(baseline)
    assert sums is not None and len(sums.weights) == 12
    table = pq.read_table(tmp_path / "x.parquet").to_pydict()
    rows = [
        [float("nan") if (it := table[name][row]) is None else float(it) for name in sums.features]
        for row in range(ROWS)
    ]
    totals = np.array([sums.of_event(row) for row in rows])
    for (_, its), column in zip(_joint(baseline).items(), totals.T, strict=True):
        there = column[np.isfinite(column)]
        bins = np.searchsorted(its.edges, there, side="right")
        assert its.counts == np.bincount(bins, minlength=len(its.counts)).tolist()
        assert its.missing == ROWS - len(there) == (gaps.sum() if "tenure" in its.sum_of else 0)
        assert (its.minimum, its.maximum) == (there.min(), there.max())


#: What a feature may look like at the worst, beside two normal ones.
WORST: dict[str, Any] = {
    "constant": np.full(ROWS, 7.0),
    "nearly constant": np.where(np.arange(ROWS) % 250 == 0, 1.0, 0.0),
    "half missing": [None if i % 2 else float(i) for i in range(ROWS)],
    "largest": np.where(np.arange(ROWS) % 2, 1e308, -1e308),
    "heavy": np.random.default_rng(5).standard_cauchy(ROWS) * 1e200,
    "smallest": np.random.default_rng(5).normal(size=ROWS) * 5e-324,
    "binary": np.arange(ROWS) % 2,
    "nullable": pa.array(np.arange(ROWS) % 9, pa.int64(), mask=np.arange(ROWS) % 20 == 0),
    "boolean": np.arange(ROWS) % 2 == 0,
    "not finite": np.where(np.arange(ROWS) % 10 == 0, np.inf, np.arange(ROWS)),
}


@pytest.mark.parametrize("name", WORST)
def test_any_feature_gives_a_document_that_can_be_used(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(6)
    columns = {"a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS), name: WORST[name]}
    warnings: list[str] = []
    path = _parquet(tmp_path / "x.parquet", columns)
    baseline = _built(path, 8, 2, prediction=None, warn=warnings.append)
    read_baseline(baseline.to_json())
    for its in _joint(baseline).values():
        assert its.minimum is not None and its.maximum is not None
        assert -32 <= its.minimum <= its.maximum <= 32
        assert sum(its.counts) >= 0.8 * ROWS
    left_out = name in ("constant", "nearly constant", "half missing")
    used = {it for its in _joint(baseline).values() for it in features_of(its)}
    assert (name in used) == (not left_out and name != "boolean")
    said = [it for it in warnings if it.startswith("in no joint signal")]
    assert len(said) == left_out and all(name in it for it in said)


def test_two_features_make_two_sums_and_a_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    path = _parquet(tmp_path / "x.parquet", {"a": rng.normal(size=500), "b": rng.normal(size=500)})
    warnings: list[str] = []
    found = _built(path, 8, 1, prediction=None, warn=warnings.append)
    assert sorted(_joint(found)) == ["joint pair 1: +a -b", "joint projection 1: +a +b"]
    assert any("--joint 8: 2 numeric features make only 1" in it for it in warnings)


def test_collinear_features_have_no_noise_in_their_difference(tmp_path: Path) -> None:
    values = np.random.default_rng(8).normal(size=ROWS)
    path = _parquet(tmp_path / "x.parquet", {"a": values, "b": values * 0.3, "c": values / 7 + 9})
    pairs = _joint(_built(path, pairs=3, prediction=None))
    assert [its.counts for its in pairs.values()] == [[0, ROWS, 0]] * 3


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (["age", "plan"], {"projections": 8}, "there is 'age'"),
        (["plan"], {"pairs": 1}, "there are none"),
        (["age", "score"], {"projections": 1, "prediction": "score"}, "there is 'age'"),
        (["age", "debt"], {"projections": 257}, "--joint is 257, expected 0 to 256"),
        (["age", "debt"], {"pairs": -1}, "--pairs is -1"),
    ],
)
def test_what_can_make_none_is_refused(
    tmp_path: Path, columns: Sequence[str], options: dict[str, Any], message: str
) -> None:
    found = {name: its for name, its in _columns().items() if name in columns}
    path = _parquet(tmp_path / "x.parquet", found)
    with pytest.raises(BaselineError, match=message):
        _built(path, **({"prediction": None} | options))


def test_a_column_of_the_same_name_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    columns = {name: rng.normal(size=200) for name in ("a", "b", "joint pair 1: +a -b")}
    columns["b"] = columns["a"] + 1e-6 * columns["b"]
    path = _parquet(tmp_path / "x.parquet", columns)
    with pytest.raises(BaselineError, match="is called like a joint signal: rename it"):
        _built(path, pairs=1, prediction=None)


def test_a_thousand_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    values = rng.normal(size=(1_000, 300))
    values[17] = values[803] + 0.1 * values[17]
    path = _parquet(tmp_path / "x.parquet", {f"x{i:03}": row for i, row in enumerate(values)})
    baseline = _built(path, 32, 1, prediction=None)
    assert next(iter(_joint(baseline))) == "joint pair 1: +x017 -x803"
    assert len(_joint(baseline)) == 33


def test_long_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    names = [f"{'x' * 150}{i}" for i in range(8)]
    path = _parquet(tmp_path / "x.parquet", {name: rng.normal(size=200) for name in names})
    found = _joint(_built(path, projections=4, prediction=None))
    assert len(found) == 4 and max(map(len, found)) < 250
    assert all(name.endswith("more") for name in found)


def _days(rows: int) -> dict[str, Any]:
    times = 1_750_000_000 + np.arange(rows) * (21 * 86_400 // rows)
    return {**_columns(rows=rows), "at": times.astype(np.float64)}


def test_hours_and_entities_are_of_joint_signals_too(tmp_path: Path) -> None:
    columns = _days(20_000)
    columns["tenure"] = [None if i % 10 == 0 else it for i, it in enumerate(columns["tenure"])]
    columns["user"] = [f"u{i // 2}" for i in range(20_000)]
    path = _parquet(tmp_path / "x.parquet", columns)
    baseline = _built(path, 4, 2, time="at", entity="user")
    assert baseline.daily and baseline.daily.signals.keys() == baseline.signals.keys()
    for name, its in _joint(baseline).items():
        hours = np.array(baseline.daily.signals[name].counts)
        assert not hours[:, len(its.counts) :].any()
        assert hours.sum() == pytest.approx(sum(its.counts), rel=0.1)
    read_baseline(baseline.to_json())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda doc: doc.pop("scales"), "of which there is no scale"),
        (lambda doc: doc["scales"]["age"].update(scale=0.0), "finite and above 0"),
        (lambda doc: doc["scales"]["age"].update(centre=None), "centre"),
        (lambda doc: doc["scales"].update(nobody={"centre": 0.0, "scale": 1.0}), "no numeric"),
        (lambda doc: doc["scales"].update(plan={"centre": 0.0, "scale": 1.0}), "no numeric"),
        (lambda doc: _first(doc).update(sum_of={"age": 1.0}), "a sum of one feature"),
        (lambda doc: _first(doc)["sum_of"].update(age=0.0), "weight 0"),
        (lambda doc: _first(doc)["sum_of"].update(age=1e300), "weight 1e"),
        (lambda doc: _many(doc, 2_049), "sums of 4,100 features, expected at most 4,096"),
    ],
)
def test_a_document_whose_sums_make_no_sense_is_refused(
    tmp_path: Path, change: Any, message: str
) -> None:
    document = json.loads(_built(_parquet(tmp_path / "x.parquet", _columns()), pairs=1).to_json())
    change(document)
    with pytest.raises(UnusableBaseline, match=message):
        read_baseline(json.dumps(document).encode())


def _many(document: dict[str, Any], number: int) -> None:
    first = _first(document)
    document["signals"].update((f"joint {at}", first) for at in range(number))


def _first(document: dict[str, Any]) -> dict[str, Any]:
    return next(its for its in document["signals"].values() if "sum_of" in its)
