"""How long after it is sent an event is in ``/metrics`` of a worker that runs every role.

A process sends at a steady rate, by ``PredictionLogger``'s settings of librdkafka, events that were
encoded before: ``log`` alone would take all of a core at half of what INGEST can read. This one
reads ``tidegauge_events_total`` all the time. The n-th event is visible once the counter is at
least n: events overtake each other by less than a flush. Prints median and 99th percentile, and one
JSON line last.

    python bench/latency.py [--rate 200000] [--seconds 30]
"""

import argparse
import json
import multiprocessing
import time
from multiprocessing.connection import Connection

import msgspec
import numpy as np
from confluent_kafka import Producer

from _harness import FEATURES, MODEL, PARTITIONS, VERSION, Worker, setting
from tidegauge.producer.librdkafka import producer_config

#: Events sent between two looks at the clock.
BURST = 500


def produce(pipe: Connection, servers: str, topic: str, rate: float, events: int) -> None:
    """Send events at a rate; send back when each burst began to be sent, by the monotonic clock."""
    rng = np.random.default_rng(0)
    now = time.time()
    encoded = [
        msgspec.json.encode(
            {
                "id": f"{number:032x}",
                "time": now + number * 1e-6,
                "model": MODEL,
                "version": VERSION,
                "prediction": 0.5,
                "latency_ms": 12.5,
                "features": dict(zip(FEATURES, row, strict=True)),
            }
        )
        for number, row in enumerate(rng.normal(size=(10_000, len(FEATURES))).round(5).tolist())
    ]
    producer = Producer(producer_config(servers, events, {}))
    times = []
    began = time.monotonic()
    for number in range(0, events, BURST):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        times.append(time.monotonic())
        first = number % len(encoded)
        for value in encoded[first : first + BURST]:
            producer.produce(topic, value, partition=number // BURST % PARTITIONS)
        producer.poll(0)
    left = producer.flush(30)
    pipe.send((times, events - left))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rate", type=float, default=200_000)
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
    began = np.repeat(sent, BURST)
    when, counts = np.array([t for t, _ in seen]), np.array([n for _, n in seen])
    visible = when[np.searchsorted(counts, np.arange(1, events + 1), side="left")]
    seconds = visible - began
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
