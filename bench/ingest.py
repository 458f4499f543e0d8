"""How many events a second ``tidegauge run --role ingest`` counts on a real broker.

Fills a topic, then times the worker from the first committed offset to the last, by the consumer
group's own progress. Beside it, in the same run and on the same topic, the limits: reading only,
and reading with decoding. Prints a table, and one JSON line last.

    python bench/ingest.py [--events 1000000] [--runs 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.kafka_broker import KafkaBroker, unique  # noqa: E402
from support.processes import free_port  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402

from tidegauge.baseline.document import Baseline, NumericSignal  # noqa: E402
from tidegauge.baseline.store import BaselineStore  # noqa: E402
from tidegauge.ingest.clients import consumer_config  # noqa: E402
from tidegauge.settings import KafkaSettings, Settings  # noqa: E402

PARTITIONS = 4
FEATURES = [f"f{i}" for i in range(10)]
MODEL, VERSION = "credit", "3"


def fill(servers: str, topic: str, events: int) -> float:
    """Write JSON events of ten features; return their mean size in bytes."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(events, len(FEATURES))).round(5).tolist()
    scores = rng.beta(2, 5, size=events).round(6).tolist()
    latencies = rng.gamma(2, 20, size=events).round(3).tolist()
    start = time.time() - 600
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    size = 0
    for i in range(events):
        event = msgspec.json.encode(
            {
                "id": f"{i:032x}",
                "time": start + i * 0.0002,
                "model": MODEL,
                "version": VERSION,
                "prediction": scores[i],
                "latency_ms": latencies[i],
                "features": dict(zip(FEATURES, columns[i], strict=True)),
            }
        )
        size += len(event)
        producer.produce(topic, event, partition=i % PARTITIONS)
        if i % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return size / events


def baseline() -> Baseline:
    """Make a baseline of 14 bins for every feature and the prediction."""
    rng = np.random.default_rng(1)
    quantiles = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99]

    def signal(sample: np.ndarray) -> NumericSignal:
        edges = np.percentile(sample, quantiles).tolist()
        counts = np.bincount(np.searchsorted(edges, sample, side="right"), minlength=14).tolist()
        return NumericSignal(
            edges=edges,
            counts=counts,
            missing=0,
            nan=0,
            mean=float(sample.mean()),
            std=float(sample.std()),
            minimum=float(sample.min()),
            maximum=float(sample.max()),
        )

    signals = {name: signal(rng.normal(size=10_000)) for name in FEATURES}
    signals["prediction"] = signal(rng.beta(2, 5, size=10_000))
    return Baseline(model=MODEL, version=VERSION, rows=10_000, source="bench", signals=signals)


def limit(settings: Settings, topic: str, events: int, *, decode: bool) -> float:
    """Time reading the topic with INGEST's consumer settings; return events a second."""
    consumer = Consumer(consumer_config(settings) | {"group.id": unique("limit")})
    feature = msgspec.defstruct("Features", [(name, float) for name in FEATURES], gc=False)
    event = msgspec.defstruct(
        "Event",
        [("time", float), ("model", str), ("prediction", float), ("features", feature)],
        gc=False,
    )
    decoder = msgspec.json.Decoder(event)
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    seen, began = 0, 0.0
    while seen < events:
        messages = [m for m in consumer.consume(4000, 0.2) if m.error() is None]
        if messages and not seen:
            began = time.perf_counter()
        if decode:
            for message in messages:
                decoder.decode(message.value())
        seen += len(messages)
    rate = events / (time.perf_counter() - began)
    consumer.close()
    return rate


def counted(port: int) -> int:
    """Read how many events the worker has counted and committed."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tidegauge_ingest_events_total"
    )


def ingest(environment: dict[str, str], events: int, log: Path) -> tuple[float, float, float]:
    """Run the worker over the whole topic; return events a second, a CPU second, and its MB.

    The clock runs from the first commit seen to the last, so joining the group is not in it.
    """
    port = free_port()
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tidegauge", "run", "--role", "ingest"],
            env={**os.environ, **environment, "TIDEGAUGE_HTTP__PORT": str(port)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        import psutil

        process = psutil.Process(worker.pid)
        first: tuple[float, float, int] | None = None
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if worker.poll() is not None:
                raise RuntimeError(log.read_text()[-3000:])
            try:
                done = counted(port)
            except OSError:
                time.sleep(0.1)
                continue
            now, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
            if first is None and done:
                first = now, cpu, done
            if done >= events:
                assert first is not None
                if done == first[2]:
                    raise RuntimeError("all was counted in one flush; use more --events")
                part = done - first[2]
                memory = process.memory_info().rss / 1e6
                return part / (now - first[0]), part / (cpu - first[1]), memory
            time.sleep(0.02)
        raise RuntimeError(f"not done in time\n{log.read_text()[-3000:]}")
    finally:
        worker.terminate()
        worker.wait()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as name:
        directory = Path(name)
        broker = KafkaBroker(directory / "kafka")
        redis = RedisServer(directory)
        try:
            broker.start()
            redis.start()
            run(options, directory, broker, redis)
        finally:
            redis.stop()
            broker.stop()


def run(
    options: argparse.Namespace, directory: Path, broker: KafkaBroker, redis: RedisServer
) -> None:
    """Fill the topic, run every contestant, print the result."""
    servers, topic = broker.bootstrap_servers, unique("predictions")
    environment = {
        "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS": servers,
        "TIDEGAUGE_REDIS__URL": redis.url,
        "TIDEGAUGE_TOPICS__PREDICTIONS": topic,
        "TIDEGAUGE_TOPICS__PREDICTIONS_PARTITIONS": str(PARTITIONS),
        "TIDEGAUGE_HTTP__HOST": "127.0.0.1",
    }
    subprocess.run(
        [sys.executable, "-m", "tidegauge", "topics", "create"],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    store = BaselineStore(redis.url)
    store.promote(MODEL, VERSION, store.put(baseline()), now=time.time())
    size = fill(servers, topic, options.events)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=servers))
    consume, decode, rates, per_cpu, memories = [], [], [], [], []
    for number in range(options.runs):
        consume.append(limit(settings, topic, options.events, decode=False))
        decode.append(limit(settings, topic, options.events, decode=True))
        group = {"TIDEGAUGE_INGEST__GROUP_ID": unique("ingest")}
        rate, cpu_rate, memory = ingest(
            environment | group, options.events, directory / f"worker-{number}.log"
        )
        rates.append(rate)
        per_cpu.append(cpu_rate)
        memories.append(memory)
    result = {
        "events": options.events,
        "bytes_per_event": round(size),
        "ingest_per_s": round(statistics.median(rates)),
        "ingest_per_cpu_s": round(statistics.median(per_cpu)),
        "ingest_mb": round(statistics.median(memories)),
        "consume_only_per_s": round(statistics.median(consume)),
        "consume_and_decode_per_s": round(statistics.median(decode)),
        "ingest_over_limit": round(statistics.median(rates) / statistics.median(decode), 3),
    }
    for key, value in result.items():
        print(f"{key:28} {value:>12,}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
