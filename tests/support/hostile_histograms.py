"""Histogram records that no INGEST worker writes: a sound one, each with one thing changed."""

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec

from support.counting import NOW
from support.detector_bench import Log
from support.world import World

Change = Callable[[dict[str, Any]], None]


def _log() -> Log:
    world = World()
    for step in range(12):
        world.now = NOW + 20 * step
        for partition in range(3):
            world.event(partition, time=world.now)
        world.flush()
    return [(at, msgspec.json.encode(record)) for at, record in world.log]


LOG = _log()

#: With the clocks of its flush, and a cell.
SOUND = next(
    value for _, value in LOG if json.loads(value)["cells"] and json.loads(value)["clocks"]
)


def _set(*path: Any, to: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for name in path[:-1]:
            inner = next(iter(inner.values())) if name == "any" else inner[name]
        last = path[-1]
        inner[next(iter(inner)) if last == "any" else last] = to

    return change


def _drop(*path: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]

    return change


CELL, SIGNALS = ("cells", 0), ("cells", 0, "signals")

CHANGES: dict[str, Change] = {
    "no ranges": _set("ranges", to={}),
    "a partition of a name": _set("ranges", to={"a": {}}),
    "a negative partition": _set("ranges", to={"-1": json.loads(SOUND)["ranges"].popitem()[1]}),
    "a partition beyond": _set("ranges", to={"99": json.loads(SOUND)["ranges"].popitem()[1]}),
    "since after to": _set("ranges", "any", "since", to=2**40),
    "start after since": _set("ranges", "any", "start", to=2**40),
    "a negative offset": _set("ranges", "any", "since", to=-1),
    "an offset beyond 63 bits": _set("ranges", "any", "to", to=2**63),
    "an offset that is a float": _set("ranges", "any", "to", to=1.5),
    "no tenure": _set("tenure", to=""),
    "a long tenure": _set("tenure", to="t" * 100_000),
    "seq 0": _set("seq", to=0),
    "a negative seq": _set("seq", to=-3),
    "a time of 1e300": _set("time", to=1e300),
    "a negative time": _set("time", to=-1.0),
    "a time of years ahead": _set("time", to=4e9),
    "a time of two hours ahead": _set("time", to=time.time() + 7_200.0),
    "a time in milliseconds": _set("time", to=NOW * 1000),
    "a foreign source": _set("source", to="other"),
    "cells of the topic of outcomes": _set("source", to="tidegauge.outcomes"),
    "outcomes of the topic of predictions": _set("outcomes", to=[]),
    "no partitions": _set("source_partitions", to=0),
    "a billion partitions": _set("source_partitions", to=10**9),
    "more partitions than there are": _set("source_partitions", to=4),
    "a clock of 1e300": _set("clocks", "any", "latest", to=1e300),
    "a clock in milliseconds": _set("clocks", "any", "latest", to=NOW * 1000),
    "a clock days ahead": _set("clocks", "any", "latest", to=NOW + 9 * 86_400),
    "a clock that is text": _set("clocks", "any", "latest", to="NaN"),
    "a clock of a partition beyond": _set(
        "clocks", to={"7": {"latest": NOW, "caught_up": True, "idle": False}}
    ),
    "no cells": _drop("cells"),
    "a window without end": _set(*CELL, "window_seconds", to=0),
    "a negative window": _set(*CELL, "window_seconds", to=-60),
    "a window of a year": _set(*CELL, "window_seconds", to=366 * 86_400),
    "a window that is not aligned": _set(*CELL, "window_start", to=int(NOW) // 60 * 60 + 7),
    "a window of 1e300": _set(*CELL, "window_start", to=1e300),
    "a window yet to come": _set(*CELL, "window_start", to=(int(NOW) // 60 + 10_000) * 60),
    "no events": _set(*CELL, "events", to=0),
    "negative events": _set(*CELL, "events", to=-1),
    "events beyond 63 bits": _set(*CELL, "events", to=2**63),
    "no slices": _set(*CELL, "slices", to=0),
    "no name of a model": _set(*CELL, "model", to=""),
    "no version": _set(*CELL, "version", to=""),
    "a long name of a model": _set(*CELL, "model", to="m" * 201),
    "a long version": _set(*CELL, "version", to="1" * 201),
    "a long variant": _set(*CELL, "variant", to="v" * 201),
    "a long id of a baseline": _set(*CELL, "baseline", to="b" * 201),
    "a long name of a dimension": _set(*CELL, "segment", to={"d" * 201: "EU"}),
    "a long value of a segment": _set(*CELL, "segment", to={"region": "E" * 201}),
    "a segment without a value": _set(*CELL, "segment", to={"region": ""}),
    "a segment of many dimensions": _set(
        *CELL, "segment", to={f"d{number}": "v" for number in range(11)}
    ),
    "a segment that is a number": _set(*CELL, "segment", to={"region": 1}),
    "no status": _drop(*SIGNALS, "status"),
    "no latency": _drop(*SIGNALS, "latency_ms"),
    "no prediction": _drop(*SIGNALS, "prediction"),
    "no signals": _set(*SIGNALS, to={}),
    "signals that are a list": _set(*SIGNALS, to=[1]),
    "signals that are null": _set(*SIGNALS, to=None),
    "a signal that is a number": _set(*SIGNALS, "status", to=3),
    "no bins": _set(*SIGNALS, "prediction", "counts", to=[]),
    "negative counts": _set(*SIGNALS, "status", "counts", to=[2, -1, 0, 0]),
    "counts beyond 63 bits": _set(*SIGNALS, "status", "counts", to=[2**63, 0, 0, 0]),
    "counts that are floats": _set(*SIGNALS, "status", "counts", to=[0.5, 0.5, 0, 0]),
    "counts that are text": _set(*SIGNALS, "status", "counts", to=["1", 0, 0, 0]),
    "other bins of the status": _set(*SIGNALS, "status", "counts", to=[1]),
    "other bins of the latency": _set(*SIGNALS, "latency_ms", "counts", to=[1]),
    "more than the cell": _set(*SIGNALS, "status", "counts", to=[7, 0, 0, 0]),
    "a sum that is text": _set(*SIGNALS, "prediction", "sum", to="NaN"),
}
