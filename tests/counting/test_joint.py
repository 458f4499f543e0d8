"""Joint signals are counted the same whichever way an event takes, and only by what it has."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
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
    categorical,
    cells_of,
    count,
    counted,
    event,
    numeric,
    promote,
)
from tidegauge.baseline.document import Baseline, FeatureScale
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.counting.decode import native

EDGES = np.linspace(-3.0, 3.0, 13).tolist()
PAIR, THREE = "joint pair 1: +a -b", "joint projection 1: +a -b +c"
SCALES = {"a": (0.5, 2.0), "b": (0.0, 1.0), "c": (-1e6, 3e5)}
WEIGHTS = {PAIR: {"a": 1.0, "b": -1.0}, THREE: {"c": 1.0, "b": -0.75, "a": 1.0}}


def _baseline() -> Baseline:
    """``joint`` is the name of a categorical: features are found by name, not by place."""
    found = a_baseline(
        **{name: numeric(EDGES) for name in "abc"},
        prediction=numeric([0.25, 0.75]),
        joint=categorical("string", ["x", "y"]),
    )
    for name, weights in WEIGHTS.items():
        found.signals[name] = msgspec.structs.replace(numeric(EDGES), sum_of=weights)
    found.scales = {name: FeatureScale(centre=c, scale=s) for name, (c, s) in SCALES.items()}
    return found


BASELINE = _baseline()
PROMOTED = promote(BASELINE)


def _total(features: Mapping[str, Any], weights: Mapping[str, float]) -> float | None:
    """Compute a joint signal as the documentation says, from the start."""
    total = 0.0
    for name in sorted(weights):
        value = features.get(name)
        if isinstance(value, bool | int | float) and abs(value) <= sys.float_info.max:
            centre, scale = SCALES[name]
            total += weights[name] * max(-4.0, min(4.0, (float(value) - centre) / scale))
        else:
            return None
    return round(total * 1024) / 1024


def _expected(rows: Sequence[Mapping[str, Any]], name: str) -> SignalHistogram:
    totals = [_total(row, WEIGHTS[name]) for row in rows]
    there = [it for it in totals if it is not None]
    counts = [0] * (len(EDGES) + 1)
    for it in there:
        counts[sum(edge <= it for edge in EDGES)] += 1
    return SignalHistogram(
        counts=counts,
        absent=totals.count(None),
        sum=math.fsum(there),
        sumsq=math.fsum(it * it for it in there),
        minimum=min(there, default=None),
        maximum=max(there, default=None),
    )


def _rows(seed: int, number: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {"a": float(a), "b": float(b), "c": float(1e6 * c), "joint": "x"}
        for a, b, c in rng.standard_t(2, size=(number, 3))
    ]


def _check(found: Mapping[Any, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    (cell,) = found.values()
    assert cell.events == len(rows)
    for name in WEIGHTS:
        # Sums too, to the bit: those of whole 1024ths are exact in any order.
        assert cell.signals[name] == _expected(rows, name)


ODD: list[dict[str, Any]] = [
    {"a": 1e308, "b": -1e308, "c": 1e308},
    {"a": -1.7e308, "b": 5e-324, "c": -1.7e308},
    {"a": 0.0, "b": None, "c": 1.0},
    {"a": 0.0, "c": 1.0},
    {"a": math.nan, "b": 1.0, "c": math.inf},
    {"a": "NaN", "b": "three", "c": [1]},
    {"a": True, "b": False, "c": 7},
    {"a": 10**400, "b": 2**70, "c": -(2**63)},
    {"a": -0.0, "b": -0.0, "c": -1e6},
    {},
]


@pytest.mark.parametrize("rows", [_rows(1, 3_000), ODD, [*_rows(2, 50), *ODD, *_rows(3, 50)]])
def test_each_way_of_json_counts_the_sums(rows: list[dict[str, Any]]) -> None:
    values = [as_json(event(features=row, prediction=0.5)) for row in rows]
    _check(counted(values, PROMOTED), rows)


def test_plain_events_take_the_native_decoder(decoder: str) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [as_json(event(features=row)) for row in _rows(4, 100)])
    assert counter.counted["native" if decoder == "native" else "tolerant"] == 100


def _arrow(rows: Sequence[Mapping[str, Any]], **kinds: pa.DataType) -> bytes:
    columns = {
        name: pa.array([row.get(name) for row in rows], kinds.get(name, pa.float64()))
        for name in "abc"
    }
    features = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
    times = pa.array([NOW - 10] * len(rows), pa.float64())
    return as_arrow({"time": times, "features": features})


@pytest.mark.parametrize(
    "kinds",
    [
        {},
        {"a": pa.float32()},
        {"a": pa.int64(), "b": pa.int16()},
        {"b": pa.bool_()},  # such a batch is read row by row
    ],
)
def test_batches_count_them_too(kinds: dict[str, pa.DataType]) -> None:
    rows = [
        {
            "a": float(np.float32(row["a"])) if i % 7 else None,
            "b": row["b"],
            "c": row["c"],
        }
        for i, row in enumerate(_rows(5, 500))
    ]
    for name, kind in kinds.items():
        for row in rows:
            if row[name] is not None and not pa.types.is_floating(kind):
                row[name] = bool(row[name] > 0) if kind == pa.bool_() else int(row[name])
    _check(counted([_arrow(rows, **kinds)], PROMOTED), rows)


def test_segments_and_windows_part_them() -> None:
    rows = _rows(6, 400)
    values = [
        as_json(event(features=row, time=NOW - 10 - 60 * (i % 2), segments={"region": "EU"}))
        for i, row in enumerate(rows)
    ]
    cells = counted(values, PROMOTED, segments=["region"])
    assert len(cells) == 4
    for (*_, start), cell in cells.items():
        of_it = [row for i, row in enumerate(rows) if i % 2 == (start < NOW - 60)]
        assert cell.signals[PAIR] == _expected(of_it, PAIR)


def test_no_event_says_what_a_sum_is() -> None:
    """A feature with the name of a joint signal is one that no baseline knows."""
    rows = [{**row, PAIR: 2.5, THREE: "x"} for row in _rows(7, 50)]
    counter, tenure = a_counter(), a_tenure()
    counter.use(PROMOTED, tenure)
    count(counter, tenure, [as_json(event(features=row)) for row in rows])
    _check(cells_of(tenure), rows)
    assert counter.ignored.series()["m", "1", "unknown_feature"] == 2.0
    assert counter.counted["native"] == (50 if native.MODULE else 0)


def test_without_them_a_plan_is_as_it_was() -> None:
    (cell,) = counted([as_json(event(features={"amount": 1}))], promote(a_baseline())).values()
    assert list(cell.signals)[:4] == ["amount", "size", "prediction", "latency_ms"]
