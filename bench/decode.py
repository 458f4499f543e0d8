"""What it takes to count JSON events: by the native decoder, and without it by the reference.

Run: ``python bench/decode.py``, some 30 seconds, without a broker. Both count the same events by
turns, and once more with the joint signals of ``baseline create --joint --pairs``; so are Arrow
batches of the same rows. The last line is JSON: microseconds of CPU time an event (medians of the
rounds), and the medians of their ratios.
"""

import argparse
import io
import json
import statistics
import time
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import Message

from tidegauge.baseline import (
    Baseline,
    FeatureScale,
    NumericSignal,
    draw_projections,
    joint_name,
)
from tidegauge.config import Settings
from tidegauge.counting import Counter, Position, Tenure
from tidegauge.counting.decode import native

SIGNALS, BINS = 12, 20
BATCH = 4_000
ARROW_ROWS = 500
TIME = 1_750_000_020.0


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(prog="decode", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--joint", type=int, default=8, help="projections")
    parser.add_argument("--pairs", type=int, default=0, help="pairs of features")
    given = parser.parse_args()
    if native.MODULE is None:
        parser.error("tidegauge_native isn't installed: there is nothing to compare")
    values = np.random.default_rng(1).normal(size=(given.events, SIGNALS)).round(4)
    messages, batches = _messages(values), _arrow_batches(values)
    module, alone = native.MODULE, _baseline()
    joint = _with_joint(alone, given.joint, given.pairs)
    turns = {
        "native": (module, messages, alone),
        "native_with_joint": (module, messages, joint),
        "arrow": (module, batches, alone),
        "arrow_with_joint": (module, batches, joint),
        "reference": (None, messages, alone),
        "reference_with_joint": (None, messages, joint),
    }
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(given.rounds + 1):  # the first one warms up
        for name, (native.MODULE, sent, baseline) in turns.items():
            found[name].append(_count(sent, given.events, baseline) / given.events * 1e6)
    rounds = {name: times[1:] for name, times in found.items()}
    answer = {f"{name}_us": round(statistics.median(times), 3) for name, times in rounds.items()}
    answer["ratio"] = round(_ratio(rounds["native"], rounds["reference"]), 1)
    answer["joint_ratio"] = round(_ratio(rounds["native"], rounds["native_with_joint"]), 3)
    print(json.dumps(answer))


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(b / a for a, b in zip(one, other, strict=True))


def _messages(values: npt.NDArray[np.float64]) -> list[Message]:
    return [
        Message(topic="p", partition=0, offset=offset, value=json.dumps(_event(row)).encode())
        for offset, row in enumerate(values.tolist())
    ]


def _arrow_batches(values: npt.NDArray[np.float64]) -> list[Message]:
    """Make messages of rows, as ``PredictionLogger.log_batch`` sends them."""
    found = []
    for offset, start in enumerate(range(0, len(values), ARROW_ROWS)):
        rows = values[start : start + ARROW_ROWS]
        columns = {f"feature_{i}": rows[:, i + 1] for i in range(SIGNALS - 1)}
        table = pa.table(
            {"time": np.full(len(rows), TIME), **columns, "prediction": rows[:, 0]}
        ).replace_schema_metadata({"model": "m", "version": "1"})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        found.append(Message(topic="p", partition=0, offset=offset, value=sink.getvalue()))
    return found


def _event(row: list[float]) -> dict[str, Any]:
    features = {f"feature_{i}": value for i, value in enumerate(row[1:])}
    return {
        "time": TIME, "model": "m", "version": "1", "features": features, "prediction": row[0],
    }  # fmt: skip


def _count(messages: list[Message], events: int, baseline: Baseline) -> float:
    settings = Settings()
    counter = Counter(
        source="p",
        settings=settings.ingest,
        window_of=settings.window_of,
        clock=lambda: TIME + 1.0,
    )
    tenure = Tenure(
        began=TIME,
        positions={0: Position(origin=0, start=0, since=0, to=0, arrived=TIME)},
    )
    counter.use({("m", "1"): ("b1", baseline)}, tenure)
    began = time.process_time()
    for start in range(0, len(messages), BATCH):
        counter.count(messages[start : start + BATCH], tenure)
    counter.settle(tenure)
    seconds = time.process_time() - began
    counted = sum(cell.events for cell in tenure.cells.values())
    assert counted == events, f"{counted} of {events} events were counted"
    return seconds


def _baseline() -> Baseline:
    edges = np.linspace(-2.0, 2.0, BINS - 1).tolist()
    names = [f"feature_{i}" for i in range(SIGNALS - 1)] + ["prediction"]
    signal = NumericSignal(
        edges=edges, counts=[50] * BINS, missing=0, nan=0,
        mean=0.0, std=1.0, minimum=-4.0, maximum=4.0,
    )  # fmt: skip
    return Baseline(
        model="m", version="1", rows=50 * BINS, source="bench", signals=dict.fromkeys(names, signal)
    )


def _with_joint(alone: Baseline, projections: int, pairs: int) -> Baseline:
    """Add sums of the features, which are standard normal, with the bins that these have."""
    signal = msgspec.structs.replace(alone.signals["prediction"])
    drawn = enumerate(draw_projections(alone.features, projections, []), start=1)
    sums = {
        joint_name("projection", number, its): msgspec.structs.replace(signal, sum_of=its)
        for number, its in drawn
    }
    names = alone.features
    for number in range(1, pairs + 1):
        weights = {names[number - 1]: 1.0, names[number]: -1.0}
        sums[joint_name("pair", number, weights)] = msgspec.structs.replace(signal, sum_of=weights)
    scales = {name: FeatureScale(centre=0.0, scale=1.0) for name in alone.features}
    return msgspec.structs.replace(alone, signals={**alone.signals, **sums}, scales=scales)


if __name__ == "__main__":
    main()
