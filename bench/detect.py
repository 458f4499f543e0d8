"""How many cells a second DETECT merges, and how soon after their end it has judged many windows.

Histograms are written as INGEST writes them, by three workers that all count every model. Merging:
DETECT is started on a backlog and timed from the first events it has joined until everything is
saved to its changelog and acknowledged. It saves every second there: at the default of five, the
end of that would mostly be a wait. Judging: every model has one window open; time runs from the
commit of the record that closes them until the last of their reports is there.

    python bench/detect.py [--models 1000] [--signals 50] [--rounds 8] [--runs 3] [--drifted 10]

``--drifted`` models are in alarm by every signal, the others as their baselines have it. Prints
the figures, and one JSON line last.
"""

import argparse
import json
import statistics
import time

import psutil
from confluent_kafka import Consumer, TopicPartition

import _harness  # noqa: F401 - puts the tests' support on the path
from _recovery_load import EVENTS, Fleet, baseline_of
from _recovery_site import Site, site
from support.processes import Child, wait_until
from tidegauge.config import WindowSettings

WORKERS = 3
DETECT_PARTITIONS = 8
_SECONDS = 60

#: How often the state is saved and the input acknowledged.
_CHECKPOINT_SECONDS = 1.0

#: The first window's start; any full minute.
_BEGIN = 1_750_000_020

WINDOWS = WindowSettings(seconds=_SECONDS, grace_seconds=10, late_seconds=_SECONDS)


def measure(models: int, signals: int, rounds: int, drifted: int) -> dict[str, float]:
    """Merge ``rounds`` flushes of every worker, then judge two windows of every model."""
    baselines = [baseline_of(f"model-{i:04}", signals) for i in range(models)]
    with site(
        baselines,
        windows=WINDOWS,
        detect_partitions=DETECT_PARTITIONS,
        workers=WORKERS,
        detect={"checkpoint_seconds": _CHECKPOINT_SECONDS},
    ) as at:
        fleet = Fleet(at.settings, baselines, WORKERS, drifted=drifted)
        for _ in range(rounds):
            fleet.flush(_BEGIN + 1, [_BEGIN])
        child = at.start()
        process = psutil.Process(child.pid)
        figures = _merge(at, child, process, fleet, cells=rounds * WORKERS * models)
        for number in (1, 2):
            # The first time, every baseline is read from the store as well.
            took, cpu = _judge(at, child, process, fleet, number, models)
            which = "first" if number == 1 else "next"
            figures[f"judge_{which}_s"] = round(took, 2)
            figures[f"judge_{which}_cpu_s"] = round(cpu, 2)
        figures["rss_mb"] = round(process.memory_info().rss / 1e6)
        child.stop()
    return figures


def _merge(
    at: Site, child: Child, process: psutil.Process, fleet: Fleet, *, cells: int
) -> dict[str, float]:
    wait_until(lambda: at.joined() > 0, seconds=120, what=lambda: f"some joined\n{child.tail()}")
    began, cpu, seen = time.monotonic(), _cpu(process), at.joined()
    at.wait_committed(child, fleet.written)
    seconds, cpu = time.monotonic() - began, _cpu(process) - cpu
    # Events are as many in each cell; those joined before the clock ran don't count.
    counted = cells * (1 - seen / (cells * EVENTS))
    return {
        "merged_cells_per_s": round(counted / seconds),
        "merged_cells_per_cpu_s": round(counted / cpu),
        "merged_cells": round(counted),
    }


def _judge(
    at: Site, child: Child, process: psutil.Process, fleet: Fleet, number: int, models: int
) -> tuple[float, float]:
    """Close the window before, with a new one open; return seconds and CPU seconds."""
    start = _BEGIN + number * _SECONDS
    fleet.flush(start + 1, [start])
    at.wait_committed(child, fleet.written)
    cpu = _cpu(process)
    fleet.flush(start + WINDOWS.grace_seconds + 1, [])
    began = time.monotonic()
    wait_until(
        lambda: _reports(at) == number * models,
        seconds=300,
        what=lambda: f"{number * models} reports, there are {_reports(at)}\n{child.tail()}",
    )
    return time.monotonic() - began, _cpu(process) - cpu


def _reports(at: Site) -> int:
    topic = at.installation.topic("windows")
    consumer = Consumer({"bootstrap.servers": at.broker.bootstrap_servers, "group.id": "bench"})
    try:
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
            for p in range(DETECT_PARTITIONS)
        ]
    finally:
        consumer.close()
    return sum(high - low for low, high in ends)


def _cpu(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def main() -> None:
    """Run what was asked for, print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--models", type=int, default=1_000)
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--drifted", type=int, default=10)
    options = parser.parse_args()
    runs = [
        measure(options.models, options.signals, options.rounds, options.drifted)
        for _ in range(options.runs)
    ]
    result = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    for key, value in result.items():
        print(f"{key:28} {value:>12,}")
    print(json.dumps({**vars(options), **result}))


if __name__ == "__main__":
    main()
