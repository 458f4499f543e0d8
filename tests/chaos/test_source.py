"""The columns of the source and the counts made of them, against the slow oracle."""

import io
import json
import time
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from chaos.judge.made_outputs import FIRST, SECONDS, START, World
from chaos.judge.recount import Recounter, baseline_id, differences
from chaos.source import read_source
from support.baselines import small_baseline
from support.oracle import count_signals, judge


def test_quick_counts_are_those_of_the_slow_oracle() -> None:
    world = World()
    source = read_source(
        world.source, {"x": "numeric", "colour": "categorical"}, window_seconds=SECONDS,
        max_ahead_seconds=60,
    )  # fmt: skip
    recounter = Recounter(source)
    slow = judge(
        [(partition, offset, value) for partition, offset, _, value in world.source],
        {("m1", "1"): FIRST}, window_seconds=SECONDS, latest_time=START + 60,
    )  # fmt: skip
    assert {(p, o): bad.reason for (p, o), bad in source.bad.items()} == {
        (p, o): reason for (p, o, _), reason in slow.dead.items()
    }
    assert {(*where, start) for where, start in source.windows} == slow.cells.keys()
    for window in source.windows:
        baseline = FIRST if window[0][0] == "m1" else None
        rows = recounter.all_rows(window)
        cell = slow.cells[*window[0], window[1]]
        for name, histogram in recounter.histograms(rows, baseline, "first").items():
            assert differences(histogram, cell.signals[name]) == []


@pytest.mark.parametrize(
    "event",
    [
        {"features": {"x": "NaN", "y": 1e400}}, {"features": {"x": "1"}}, {"features": {"x": {}}},
        {"features": {"x": True}}, {"features": {"x": 10**400}}, {"features": {"colour": False}},
        {"features": {"colour": 3.0}}, {"features": {"colour": {}}}, {"features": None},
        {"variant": None}, {"prediction": "Infinity"}, {"latency_ms": "slow"}, {"status": 5},
        {"time": START}, {"time": "2025-06-15T15:06:40+00:00"}, {"status": None, "note": [1]},
    ],
)  # fmt: skip
def test_values_of_any_shape_are_counted_as_the_slow_oracle_counts_them(event: Any) -> None:
    event = {"time": START + 1.0, "model": "m1", "version": "1"} | event
    value = json.dumps(event).encode()
    source = read_source(
        [(0, 0, START * 1000, value)], {"x": "numeric", "colour": "categorical"},
        window_seconds=SECONDS, max_ahead_seconds=60,
    )  # fmt: skip
    parsed = json.loads(value)
    if isinstance((parsed.get("features") or {}).get("x"), int) and not isinstance(
        parsed["features"]["x"], bool
    ):
        parsed["features"]["x"] = float("inf")  # what no float can hold is not finite
    recounter = Recounter(source)
    [window] = source.windows
    found = recounter.histograms(recounter.all_rows(window), FIRST, "first")
    for name, histogram in count_signals([parsed], FIRST).items():
        assert differences(found[name], histogram) == []


def _sound(**fields: Any) -> bytes:
    return json.dumps({"time": START + 1.0, "model": "m", "version": "1"} | fields).encode()


def _batch() -> bytes:
    table = pa.table({"time": [START + 1.0]})
    sink = io.BytesIO()
    named = table.replace_schema_metadata({"model": "m", "version": "1"})
    with pa.ipc.new_stream(sink, named.schema) as writer:
        writer.write_table(named)
    return sink.getvalue()


def test_a_source_that_nobody_can_judge_is_refused() -> None:
    def read(*records: tuple[int, int, int, bytes]) -> None:
        read_source(records, {}, window_seconds=SECONDS, max_ahead_seconds=60)

    at = START * 1000
    with pytest.raises(ValueError, match="given twice"):
        read((0, 5, at, _sound()), (0, 5, at, _sound()))
    with pytest.raises(ValueError, match="given twice"):
        read((0, 5, at, b"{"), (0, 5, at, _sound()))
    with pytest.raises(ValueError, match="nobody can say whether it was counted"):
        read((0, 5, at, _sound(time=START + 70.0)))
    with pytest.raises(ValueError, match="is an Arrow batch"):
        read((0, 5, at, _batch()))


def test_a_baseline_is_named_as_the_product_names_it() -> None:
    baseline = small_baseline()
    shown = msgspec.json.format(baseline.to_json())
    assert baseline_id(json.loads(shown)) == baseline.id


def test_a_large_source_is_read_in_seconds() -> None:
    rng = np.random.default_rng(3)
    xs = rng.standard_normal(100_000).round(3).tolist()
    records = [
        (i % 6, i // 6, START * 1000, b'{"id":"%d","time":%d.5,"model":"m%d","version":"1",'
         b'"variant":"","prediction":0.42,"latency_ms":12.5,"status":"ok",'
         b'"features":{"x":%r,"y":-0.5,"colour":"red"}}' % (i, START + i % 20, i % 8, x))
        for i, x in enumerate(xs)
    ]  # fmt: skip
    began = time.process_time()
    source = read_source(
        records, {"x": "numeric", "y": "numeric", "colour": "categorical"},
        window_seconds=SECONDS, max_ahead_seconds=60,
    )  # fmt: skip
    assert source.events == 100_000 and len(source.windows) == 8 * 4
    # 1.5 million in 30 s would be 2 s; this takes a quarter of that, on a busy machine twice it.
    assert time.process_time() - began < 2.0
