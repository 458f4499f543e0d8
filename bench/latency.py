"""How long after ``log`` an event is in ``/metrics`` of a worker that runs every role.

A process logs at a steady rate; this one reads ``tidegauge_events_total`` all the time. The n-th
event is visible once the counter is at least n: events overtake each other by less than a flush.
Prints median and 99th percentile, and one JSON line last.

    python bench/latency.py [--rate 20000] [--seconds 30]
"""

import argparse
import json
import multiprocessing
import time
from multiprocessing.connection import Connection

import numpy as np

from _harness import FEATURES, MODEL, VERSION, Worker, setting
from tidegauge import PredictionLogger

#: Events logged between two looks at the clock.
BURST = 100


def produce(pipe: Connection, servers: str, topic: str, rate: float, events: int) -> None:
    """Log events at a rate; send back when each burst was logged, by the monotonic clock."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(10_000, len(FEATURES))).round(5).tolist()
    times = []
    with PredictionLogger(servers, topic=topic, model=MODEL, version=VERSION) as logger:
        began = time.monotonic()
        for number in range(0, events, BURST):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            times.append(time.monotonic())
            for row in rows[number % 9_000 : number % 9_000 + BURST]:
                logger.log(
                    features=dict(zip(FEATURES, row, strict=True)), prediction=0.5, latency_ms=12.5
                )
        logger.flush(30)
        pipe.send((times, logger.stats.delivered))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    events = round(options.rate * options.seconds / BURST) * BURST
    with setting() as at:
        worker = Worker(at, "all")
        try:
            while not worker.ready():
                time.sleep(0.1)
            ours, theirs = multiprocessing.Pipe()
            producer = multiprocessing.get_context("spawn").Process(
                target=produce, args=(theirs, at.servers, at.topic, options.rate, events)
            )
            producer.start()
            seen: list[tuple[float, int]] = []
            deadline = time.monotonic() + 3 * options.seconds + 60
            while (not seen or seen[-1][1] < events) and time.monotonic() < deadline:
                seen.append((time.monotonic(), worker.total("tidegauge_events_total") or 0))
                time.sleep(0.02)
            sent, delivered = ours.recv()
            producer.join()
        finally:
            worker.stop()
    assert delivered == seen[-1][1] == events, (delivered, seen[-1], events)
    logged = np.repeat(sent, BURST)
    when, counts = np.array([t for t, _ in seen]), np.array([n for _, n in seen])
    visible = when[np.searchsorted(counts, np.arange(1, events + 1), side="left")]
    seconds = visible - logged
    result = {
        "events": events,
        "rate_per_s": round(events / (sent[-1] - sent[0])),
        "median_s": round(float(np.median(seconds)), 3),
        "p99_s": round(float(np.percentile(seconds, 99)), 3),
        "max_s": round(float(seconds.max()), 3),
    }
    for key, value in result.items():
        print(f"{key:12} {value:>12,}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
