"""How many events a second ``tidegauge run --role ingest`` counts on a real broker.

Fills a topic, then times the worker from the first committed offset to the last, by the consumer
group's own progress. Beside it, in the same run and on the same topic, the limits: reading only,
and reading with decoding. Prints a table, and one JSON line last.

    python bench/ingest.py [--events 2000000] [--runs 3]
"""

import argparse
import json
import statistics
import time

import msgspec
import numpy as np
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from _harness import FEATURES, MODEL, PARTITIONS, VERSION, Setting, Worker, setting, unique
from tidegauge.ingest.clients import consumer_config
from tidegauge.settings import KafkaSettings, Settings


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


def ingest(at: Setting, events: int) -> tuple[float, float, float]:
    """Run the worker over the whole topic; return events a second, a CPU second, and its MB.

    The clock runs from the first commit seen to the last, so joining the group is not in it.
    """
    worker = Worker(at, "ingest", TIDEGAUGE_INGEST__GROUP_ID=unique("ingest"))
    try:
        process = psutil.Process(worker.process.pid)
        first: tuple[float, float, int] | None = None
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            done = worker.total("tidegauge_ingest_events_total")
            now, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
            if first is None and done:
                first = now, cpu, done
            if first is not None and done == events:
                part = events - first[2]
                if not part:
                    raise RuntimeError("all was counted in one flush; use more --events")
                memory = process.memory_info().rss / 1e6
                return part / (now - first[0]), part / (cpu - first[1]), memory
            # Each look costs the worker a millisecond or two of the interpreter.
            time.sleep(0.1)
        raise RuntimeError(f"only {done} events were counted in time")
    finally:
        worker.stop()


def main() -> None:
    """Fill the topic, run every contestant, print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    consume, decode, rates, per_cpu, memories = [], [], [], [], []
    with setting() as at:
        size = fill(at.servers, at.topic, options.events)
        settings = Settings(kafka=KafkaSettings(bootstrap_servers=at.servers))
        for _ in range(options.runs):
            consume.append(limit(settings, at.topic, options.events, decode=False))
            decode.append(limit(settings, at.topic, options.events, decode=True))
            rate, cpu_rate, memory = ingest(at, options.events)
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
