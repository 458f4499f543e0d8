"""How much later the windows of 50 sound models are beside a producer that floods.

One worker runs every role. Sound models with a baseline send a few events a second each. After a
while a flood joins them: fresh names of models, versions or variants, the same 60,000 names again
and again, garbage, bombs (Arrow batches and JSON that cost much more than their size says, or did
once), or records that gzip makes a hundredth as large. Printed: how long after its end the report
of a sound model's window was in Kafka, alone and beside the flood, how long ``/metrics`` took, how
large it and the worker's memory were. Every record must be accounted for. One JSON line last.

    python bench/neighbours.py [--flood models] [--rate 5000] [--seconds 60]
"""

import argparse
import contextlib
import gzip
import itertools
import json
import multiprocessing
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition

import _harness  # noqa: F401 - puts the tests' support on the path
from _recovery_site import Site, site
from support.processes import Child, wait_until
from tidegauge.baseline import Baseline, NumericSignal
from tidegauge.config import WindowSettings

PARTITIONS = 4
MODELS = [f"sound-{number}" for number in range(50)]

#: Events a second of each sound model.
SOUND_RATE = 4

WINDOW = WindowSettings(seconds=10, grace_seconds=2, late_seconds=60)

#: Of the flood that repeats itself.
REPEATED = 60_000

FLOODS = ("models", "versions", "variants", "slices", "repeated", "garbage", "bombs", "gzip")

#: Records that ended or stopped a worker once.
HOSTILE = Path(__file__).resolve().parents[1] / "tests" / "counting" / "hostile"

#: What a record of the gzip flood is filled up with.
FILLING = b" " * 4_000

#: A tick of the senders, seconds.
_TICK = 0.02


class Found(NamedTuple):
    """Delays of the reports of sound models' windows, seconds, and what ``/metrics`` was like."""

    delays: list[float]
    answers: list[float]
    page_bytes: int
    rss_mb: float


def baseline(model: str) -> Baseline:
    """Make a baseline of two numeric signals."""
    edges = [float(edge) for edge in np.linspace(0.05, 0.95, 19)]
    signal = NumericSignal(
        edges=edges,
        counts=[500] * 20,
        missing=0,
        nan=0,
        mean=0.5,
        std=0.29,
        minimum=0.0,
        maximum=1.0,
    )
    return Baseline(
        model=model,
        version="1",
        rows=10_000,
        source="bench",
        signals={"amount": signal, "prediction": signal},
    )


def bombs() -> list[bytes]:
    """Return records that are small and would take much; ``%s`` stands for the time."""

    def stream(table: pa.Table, compression: str | None) -> bytes:
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    zeros = pa.array(np.zeros(1_000_000))
    wide = pa.table({f"f{number}": zeros for number in range(40)})
    names = pa.table({f"f{number}": pa.nulls(1) for number in range(200)})
    nested = b"[" * 3_000 + b"]" * 3_000
    return [
        # The one with a time zone that doesn't exist is counted by now, as three events.
        *(it.read_bytes() for it in sorted(HOSTILE.iterdir()) if it.name != "tz.arrows"),
        stream(pa.table({"time": pa.nulls(1_000_000_000)}), None),
        stream(pa.table({"model": pa.nulls(900_000)}), None),
        stream(pa.table({"time": zeros, "model": zeros}), "zstd"),
        stream(wide, "zstd"),
        stream(names, None),
        gzip.compress(b"{" + b" " * 900_000 + b"}"),
        b'{"time":%s,"model":"sound-0","version":"1","x":' + nested + b"}",
        b'{"time":%s,"model":"sound-0","version":"1","features":{"amount":' + nested + b"}}",
        b'{"time":%s,"model":"' + b"m" * 1_000 + b'","version":"1"}',
        b'{"time":%s,"model":"sound-0","version":"1","prediction":' + b"9" * 1_000 + b"}",
    ]


def flood_of(kind: str) -> Iterator[bytes]:
    """Yield what a producer sends; ``%s`` stands for the time."""
    if kind == "bombs":
        yield from itertools.cycle(bombs())
    for number in itertools.count():
        name = f"req-{number:08x}"
        names = {
            "models": (name, "1", ""),
            "versions": (MODELS[0], name, ""),
            "variants": (MODELS[0], "1", name),
            "slices": (f"model-{number % 999}", name, name),
            "repeated": (f"req-{number % REPEATED:08x}", "1", ""),
        }
        if kind == "gzip":  # no event either, or each would be a name of its own
            yield b'{"time":%s,"model":"' + name.encode() + b'",' + FILLING
            continue
        if kind == "garbage":
            yield b'{"time":%%s,"model":"%s' % name.encode()
            continue
        model, version, variant = names[kind]
        yield (
            b'{"time":%%s,"model":"%s","version":"%s","variant":"%s",'
            b'"prediction":0.5,"latency_ms":12.5,"status":"ok"}'
            % (model.encode(), version.encode(), variant.encode())
        )


def sound() -> Iterator[bytes]:
    """Yield the events of the sound models, one of each in turn."""
    values = np.random.default_rng(1).random((10_000, 2)).round(4).tolist()
    for number in itertools.count():
        prediction, amount = values[number % len(values)]
        yield (
            b'{"time":%%s,"model":"%s","version":"1","prediction":%g,"latency_ms":12.5,'
            b'"status":"ok","features":{"amount":%g}}'
            % (MODELS[number % len(MODELS)].encode(), prediction, amount)
        )


def produce(pipe: Connection, servers: str, topic: str, kind: str, rate: float) -> None:
    """Send at a rate until told to stop; send back how many were delivered."""
    events = sound() if kind == "sound" else flood_of(kind)
    config = {"bootstrap.servers": servers, "linger.ms": 5, "acks": 1}
    if kind == "gzip":
        config |= {"compression.type": "gzip", "compression.level": 1}
    producer = Producer(config)
    sent, began = 0, time.monotonic()
    while not pipe.poll():
        now = b"%.3f" % time.time()
        for _ in range(int((time.monotonic() - began) * rate) - sent):
            producer.produce(topic, next(events).replace(b"%s", now), partition=sent % PARTITIONS)
            sent += 1
        producer.poll(0)
        time.sleep(_TICK)
    pipe.send(sent - producer.flush(60))


class Sender:
    """A process that sends."""

    def __init__(self, at: Site, kind: str, rate: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        servers, topic = at.broker.bootstrap_servers, at.installation.topic("predictions")
        self._process = context.Process(target=produce, args=(theirs, servers, topic, kind, rate))
        self._process.start()

    def stop(self) -> int:
        """End it; return how many records it has delivered."""
        self._pipe.send("stop")
        delivered: int = self._pipe.recv()
        self._process.join()
        return delivered


class Reports:
    """Reads the reports as they come; when each was written is the brokers' time."""

    def __init__(self, at: Site) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": at.broker.bootstrap_servers, "group.id": "bench"}
        )
        topic = at.installation.topic("windows")
        found = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, p, 0) for p in found])

    def delays(self) -> list[float]:
        """Return the delays of first reports of sound models since the last time, seconds."""
        delays = []
        while messages := self._consumer.consume(1000, 0.2):
            for message in messages:
                assert message.error() is None, message.error()
                report = json.loads(message.value())
                its = report["version"], report["variant"], report["revision"]
                if report["model"] in MODELS and its == ("1", "", 0):
                    delays.append(message.timestamp()[1] / 1000 - report["window_end"])
        return delays

    def close(self) -> None:
        """Let the client go."""
        self._consumer.close()


def scrape(at: Site) -> tuple[float, bytes]:
    """Return how long ``/metrics`` took, seconds, and the page."""
    address = f"http://127.0.0.1:{at.installation.http_port}/metrics"
    began = time.monotonic()
    with urllib.request.urlopen(address, timeout=60) as answer:
        page = answer.read()
    return time.monotonic() - began, page


def totals(at: Site) -> dict[str, int]:
    """Return how many records became what, as the worker says."""
    _, page = scrape(at)
    found = {}
    for kind, name in {
        "counted": "tidegauge_ingest_events_total",
        "overflow": "tidegauge_ingest_overflow_total",
        "dead_letters": "tidegauge_ingest_dead_letters_total",
        "late": "tidegauge_late_events_total",
        "joined": "tidegauge_events_total",
    }.items():
        lines = [
            it for it in page.decode().splitlines() if it.startswith((f"{name}{{", f"{name} "))
        ]
        found[kind] = int(sum(float(line.rpartition(" ")[2]) for line in lines))
    return found


def rss_mb(child: Child) -> float:
    """Return the resident memory of a process."""
    with open(f"/proc/{child.pid}/status", encoding="ascii") as status:
        return next(int(it.split()[1]) for it in status if it.startswith("VmRSS:")) / 1024


def watch(at: Site, child: Child, reports: Reports, seconds: float) -> Found:
    """Watch the worker for so long."""
    answers, page = [], b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        child.check_alive()
        took, page = scrape(at)
        answers.append(took)
        time.sleep(1.0)
    return Found(reports.delays(), answers, len(page), rss_mb(child))


def measure(kind: str, rate: float, seconds: float) -> dict[str, Any]:
    """Run the worker alone with the sound models, and then beside the flood."""
    with (
        site(
            [baseline(model) for model in MODELS],
            windows=WINDOW,
            detect_partitions=PARTITIONS,
            workers=PARTITIONS,
        ) as at,
        contextlib.closing(Reports(at)) as reports,
    ):
        child = at.installation.start("run")
        wait_until(lambda: _ready(at, child), seconds=60, what=lambda: f"ready\n{child.tail()}")
        neighbours = Sender(at, "sound", SOUND_RATE * len(MODELS))
        watch(at, child, reports, 2.5 * WINDOW.seconds)  # of the start nothing is said
        alone = watch(at, child, reports, seconds)
        flood = Sender(at, kind, rate)
        beside = watch(at, child, reports, seconds)
        flooded = flood.stop()
        sent = neighbours.stop() + flooded
        done = ("counted", "overflow", "dead_letters")
        wait_until(
            lambda: sum(totals(at)[name] for name in done) == sent,
            seconds=120,
            what=lambda: f"{sent} records accounted for, {totals(at)}\n{child.tail()}",
        )
        found = totals(at)
        child.stop()
    return {
        "flood": kind,
        "rate_per_s": round(flooded / seconds),
        "sent": sent,
        **found,
        "windows": [len(alone.delays), len(beside.delays)],
        "delay_alone_s": _figures(alone.delays),
        "delay_beside_s": _figures(beside.delays),
        "later_s": round(max(beside.delays) - max(alone.delays), 2),
        "metrics_s": round(max(beside.answers), 2),
        "metrics_mb": round(beside.page_bytes / 1e6, 2),
        "rss_mb": [round(alone.rss_mb), round(beside.rss_mb)],
    }


def _figures(seconds: list[float]) -> list[float]:
    """Return median, 99th percentile and maximum."""
    return [round(float(np.percentile(seconds, q)), 2) for q in (50, 99, 100)]


def _ready(at: Site, child: Child) -> bool:
    child.check_alive()
    answer = at.installation.http("/readyz")
    return answer is not None and answer[0] == 200


def main() -> None:
    """Run it, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--flood", choices=FLOODS, default="models")
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    found = measure(options.flood, options.rate, options.seconds)
    for name, value in found.items():
        print(f"{name:20} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
