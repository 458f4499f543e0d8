"""What it takes to count JSON events: by the native decoder, and without it by the reference.

Run: ``python bench/decode.py``, some 20 seconds, without a broker. Both count the same events by
turns; the last line is JSON: microseconds of CPU time an event (medians of the rounds), and the
median of their ratios.
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
from confluent_kafka import Message

from tidegauge.baseline import Baseline, NumericSignal
from tidegauge.config import Settings
from tidegauge.counting import Counter, Position, Tenure
from tidegauge.counting.decode import native

SIGNALS, BINS = 12, 20
BATCH = 4_000
TIME = 1_750_000_020.0


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(prog="decode", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    if native.MODULE is None:
        parser.error("tidegauge_native isn't installed: there is nothing to compare")
    messages = _messages(given.events)
    found: dict[str, list[float]] = {"native": [], "reference": []}
    module = native.MODULE
    for _ in range(given.rounds + 1):  # the first one warms up
        for name, one in (("native", module), ("reference", None)):
            native.MODULE = one
            found[name].append(_count(messages) / given.events * 1e6)
    rounds = {name: times[1:] for name, times in found.items()}
    ratios = [b / a for a, b in zip(rounds["native"], rounds["reference"], strict=True)]
    answer = {f"{name}_us": round(statistics.median(times), 2) for name, times in rounds.items()}
    print(json.dumps(answer | {"ratio": round(statistics.median(ratios), 1)}))


def _messages(events: int) -> list[Message]:
    values = np.random.default_rng(1).normal(size=(events, SIGNALS)).round(4)
    return [
        Message(topic="p", partition=0, offset=offset, value=json.dumps(_event(row)).encode())
        for offset, row in enumerate(values.tolist())
    ]


def _event(row: list[float]) -> dict[str, Any]:
    features = {f"feature_{i}": value for i, value in enumerate(row[1:])}
    return {
        "time": TIME, "model": "m", "version": "1", "features": features, "prediction": row[0],
    }  # fmt: skip


def _count(messages: list[Message]) -> float:
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
    counter.use({("m", "1"): ("b1", _baseline())}, tenure)
    began = time.process_time()
    for start in range(0, len(messages), BATCH):
        counter.count(messages[start : start + BATCH], tenure)
    counter.settle(tenure)
    seconds = time.process_time() - began
    counted = sum(cell.events for cell in tenure.cells.values())
    assert counted == len(messages), f"{counted} of {len(messages)} events were counted"
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


if __name__ == "__main__":
    main()
