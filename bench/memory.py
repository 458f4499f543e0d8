"""The memory of an INGEST process at full speed, over time: 100 models of 100 signals.

A process sends 1.6 kB events of the models in turn, with the time of day, so windows come and go;
it keeps a backlog, so that INGEST never waits. The brokers hold a few seconds of it. Prints
resident memory every five seconds, its slope by least squares after the first minute, and one JSON
line last. What was sent must all be counted in the end.

    python bench/memory.py [--minutes 2] [--models 100]
"""

import argparse
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil
from confluent_kafka import Producer

import _harness  # noqa: F401 - puts the tests' support on the path
from _arena import baseline_of
from _fill import json_events
from _recovery_site import Site, site
from _workload import Workload
from support.processes import Child, wait_until
from tidegauge.config import WindowSettings

PARTITIONS = 4

#: Distinct events that are sent again and again; a sample of every model.
DISTINCT = 20_000

#: What INGEST is ahead of by at most: about two seconds of it, a tenth of what the topic holds.
BACKLOG = 200_000

#: Sent with one time of day.
_BURST = 500

SAMPLE_SECONDS = 5.0

#: In which a process allocates what it will keep.
WARM_SECONDS = 60.0

_MB = 1024 * 1024

#: At 60,000 events a second a log grows by 50 MB a second; a day of that is kept by no bench.
_BROKER = {
    "log.retention.check.interval.ms": 1_000,
    "log.segment.delete.delay.ms": 1_000,
    "log.initial.task.delay.ms": 1_000,
}
_TOPICS = {
    kind: {"segment.bytes": 64 * _MB, "retention.bytes": 384 * _MB, "cleanup.policy": "delete"}
    for kind in ("predictions", "histograms")
}


def produce(pipe: Connection, servers: str, topic: str, workload: Workload, counted: Any) -> None:
    """Send events until told to stop, never more than ``BACKLOG`` ahead; send back how many."""
    (chunk,) = workload.chunks(time.time())
    halves = []
    for _, event in json_events(workload, chunk):
        before, _, after = event.partition(b'"time":')
        halves.append((before + b'"time":', after[after.index(b",") :]))
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 20,
            "batch.size": 500_000,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    sent = 0
    while not pipe.poll():
        if sent - counted.value > BACKLOG:
            producer.poll(0.01)
            continue
        now = b"%.3f" % time.time()
        partition = sent // _BURST % PARTITIONS
        first = sent % DISTINCT
        for before, after in halves[first : first + _BURST]:
            while True:
                try:
                    producer.produce(topic, before + now + after, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.05)
        sent += _BURST
        producer.poll(0)
    left = producer.flush(60)
    pipe.send(sent if not left else -left)


def measure(models: int, minutes: float) -> dict[str, float]:
    """Run one INGEST process for so long, and say how its memory went."""
    workload = Workload(
        name="memory", title="", events=DISTINCT, numeric=98, models=models, partitions=PARTITIONS
    )
    baselines = [baseline_of(workload, model) for model in workload.model_names]
    with site(
        baselines,
        windows=WindowSettings(seconds=60, grace_seconds=10, late_seconds=60),
        detect_partitions=4,
        workers=PARTITIONS,
        broker_properties=_BROKER,
        topic_config=_TOPICS,
    ) as at:
        child = at.installation.start("run", "--role", "ingest")
        wait_until(lambda: _ready(at, child), seconds=60, what=lambda: f"ready\n{child.tail()}")
        samples = _run(at, child, workload, minutes * 60)
        with open(f"/proc/{child.pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        child.stop()
    return {**_figures(samples), "peak_mb": round(peak / 1024, 1)}


def _ready(at: Site, child: Child) -> bool:
    child.check_alive()
    answer = at.installation.http("/readyz")
    return answer is not None and answer[0] == 200


def _run(at: Site, child: Child, workload: Workload, seconds: float) -> list[tuple[float, ...]]:
    """Return (seconds, RSS in MB, events counted, CPU seconds) every ``SAMPLE_SECONDS``."""
    context = multiprocessing.get_context("spawn")
    counted = context.Value("q", 0)
    ours, theirs = context.Pipe()
    topic = at.installation.topic("predictions")
    producer = context.Process(
        target=produce, args=(theirs, at.broker.bootstrap_servers, topic, workload, counted)
    )
    producer.start()
    process = psutil.Process(child.pid)
    samples: list[tuple[float, ...]] = []
    try:
        wait_until(lambda: _counted(at) > 0, seconds=60, what=lambda: f"counts\n{child.tail()}")
        began = time.monotonic()
        while (now := time.monotonic() - began) <= seconds:
            child.check_alive()
            counted.value = _counted(at)
            if now >= len(samples) * SAMPLE_SECONDS:
                rss, cpu = process.memory_info().rss / _MB, sum(process.cpu_times()[:2])
                samples.append((now, rss, counted.value, cpu))
                print(f"{now:7.1f} s {rss:8.1f} MB {counted.value:>14,} events", flush=True)
            time.sleep(0.25)
        ours.send("stop")
        sent = ours.recv()
        producer.join()
    finally:
        producer.kill()
    # Memory that was saved by losing events would be no figure.
    wait_until(
        lambda: _counted(at) == sent,
        seconds=60,
        what=lambda: f"{sent} events are counted, there are {_counted(at)}\n{child.tail()}",
    )
    return samples


def _counted(at: Site) -> int:
    answer = at.installation.http("/metrics")
    lines = answer[1].splitlines() if answer else []
    name = "tidegauge_ingest_events_total{"
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(name))


def _figures(samples: list[tuple[float, ...]]) -> dict[str, float]:
    at, rss, events, cpu = np.array(samples).T
    warm = at >= WARM_SECONDS
    first = int(warm.argmax())
    (slope, _), covariance = np.polyfit(at[warm] / 60, rss[warm], 1, cov=True)
    return {
        "minutes": round(float(at[-1]) / 60, 1),
        "events": int(events[-1]),
        "events_per_s": round((events[-1] - events[first]) / (at[-1] - at[first])),
        "events_per_cpu_s": round((events[-1] - events[first]) / (cpu[-1] - cpu[first])),
        "rss_1_min_mb": round(float(rss[first]), 1),
        "rss_end_mb": round(float(rss[-1]), 1),
        "slope_mb_per_min": round(float(slope), 2),
        "slope_error_mb_per_min": round(float(covariance[0, 0]) ** 0.5, 2),
    }


def main() -> None:
    """Run it, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--models", type=int, default=100)
    options = parser.parse_args()
    if options.minutes * 60 < WARM_SECONDS + 6 * SAMPLE_SECONDS:
        parser.error("--minutes: the slope is of what comes after the first; give 1.5 or more")
    found = measure(options.models, options.minutes)
    for name, value in found.items():
        print(f"{name:20} {value:>14,}")
    print(json.dumps({"models": options.models, **found}))


if __name__ == "__main__":
    main()
