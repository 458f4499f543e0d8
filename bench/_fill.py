"""Writing a workload to a topic, and counting it by numpy while it passes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Producer

from _job import Counts
from _workload import (
    ABSENT,
    CLOSING_SECONDS,
    DIMENSION,
    NULL,
    SPAN_SECONDS,
    Chunk,
    Expected,
    Workload,
)
from tidegauge.contract import ARROW_CONTENT_TYPE
from tidegauge.producer.arrow import messages, record_batch

VERSION = "3"

#: The stream begins this long ago: no event is ahead of the clock, and none is hours old.
AGO_SECONDS = 3600


@dataclass(frozen=True)
class Filled:
    """A topic that holds a workload: ``data_records`` of the stream, then the closing events."""

    topic: str
    workload: Workload
    expected: Counts
    data_records: int
    closing_records: int
    bytes_per_event: float

    @property
    def records(self) -> int:
        """Records in the topic, the closing ones included."""
        return self.data_records + self.closing_records


def fill(servers: str, topic: str, workload: Workload, window_seconds: int) -> Filled:
    """Write the stream and its closing events; raises ``RuntimeError`` if a record was refused."""
    start = (time.time() - AGO_SECONDS) // window_seconds * window_seconds
    expected = Expected(workload)
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "compression.type": workload.compression,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    refused: list[str] = []

    def delivered(error: object, message: object) -> None:
        if error is not None:
            refused.append(str(error))

    size = data = closing = 0

    def send(key: str, value: bytes, number: int, headers: Any = None) -> None:
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    key=key,
                    partition=number % workload.partitions,
                    headers=headers,
                    on_delivery=delivered,
                )
                return
            except BufferError:
                producer.poll(0.1)

    encode = _arrow if workload.batch_rows else json_events
    headers = [("content-type", ARROW_CONTENT_TYPE.encode())] if workload.batch_rows else None
    for chunk in workload.chunks(start):
        expected.add(chunk)
        for key, value in encode(workload, chunk):
            send(key, value, data, headers)
            size += len(value)
            data += 1
            if data % 1000 == 0:
                producer.poll(0)
    for model in workload.model_names:
        for partition in range(workload.partitions):
            event = _closing_event(workload, model, start + SPAN_SECONDS + CLOSING_SECONDS)
            send(model, msgspec.json.encode(event), partition)
            closing += 1
    left = producer.flush(120)
    if left or refused:
        raise RuntimeError(f"{topic}: {left} records not sent, refused: {refused[:3]}")
    return Filled(topic, workload, expected.counts, data, closing, size / workload.events)


def _closing_event(workload: Workload, model: str, at: float) -> dict[str, Any]:
    features: dict[str, Any] = dict.fromkeys(workload.numeric_names, 0.0)
    features |= dict.fromkeys(workload.categorical_names, "v0000")
    return {
        "id": "closing",
        "time": at,
        "model": model,
        "version": VERSION,
        "prediction": 0.5,
        "latency_ms": 1.0,
        "features": features,
    }


def json_events(workload: Workload, chunk: Chunk) -> Iterator[tuple[str, bytes]]:
    """Yield (model, event) of every row."""
    names = workload.numeric_names + workload.categorical_names
    models, values = workload.model_names, workload.values
    columns = chunk.numeric.tolist()
    columns += [[values[code] for code in codes] for codes in chunk.categories.tolist()]
    holes = chunk.holes.T.tolist() if workload.missing else None
    times, predictions = chunk.times.tolist(), chunk.predictions.tolist()
    latencies, model_of = chunk.latencies.tolist(), chunk.models.tolist()
    regions = workload.regions
    region_of = None if chunk.regions is None else chunk.regions.tolist()
    encode = msgspec.json.Encoder().encode
    for i, row in enumerate(zip(*columns, strict=True)):
        features = dict(zip(names, row, strict=True))
        if holes is not None:
            for name, hole in zip(names, holes[i], strict=True):
                if hole == ABSENT:
                    del features[name]
                elif hole == NULL:
                    features[name] = None
        model = models[model_of[i]]
        event = {
            "id": f"{chunk.first + i:032x}",
            "time": times[i],
            "model": model,
            "version": VERSION,
            "prediction": predictions[i],
            "latency_ms": latencies[i],
            "features": features,
        }
        if region_of is not None:
            event["segments"] = {DIMENSION: regions[region_of[i]]}
        yield model, encode(event)


def _arrow(workload: Workload, chunk: Chunk) -> Iterator[tuple[str, bytes]]:
    """Yield (model, batch) of the rows, ``batch_rows`` at a time."""
    (model,) = workload.model_names
    for first in range(0, len(chunk), workload.batch_rows):
        rows = slice(first, first + workload.batch_rows)
        batch = record_batch(
            dict(zip(workload.numeric_names, chunk.numeric[:, rows], strict=True)),
            rows=workload.batch_rows,
            model=model,
            version=VERSION,
            variant="",
            time=chunk.times[rows],
            prediction=chunk.predictions[rows],
            latency_ms=chunk.latencies[rows],
        )
        ((encoded, _),) = messages(batch)
        yield model, encoded
