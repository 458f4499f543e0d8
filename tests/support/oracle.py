"""What must have been counted, by definition and apart from the product's code.

Reads the raw records of the source topic one by one and the baselines as plain JSON. Slow and
obvious on purpose: it shares no line with what it judges.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import chi2

EARLIEST = datetime.fromisoformat("2000-01-01T00:00:00+00:00").timestamp()
LATENCY_EDGES_MS = [
    1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500,
    750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 30000,
]  # fmt: skip

#: A value whose name was not there; None is null.
ABSENT = object()

CellKey = tuple[str, str, str, int]  # model, version, variant, window start
Origin = tuple[int, int, int | None]  # partition, offset, row of a batch
Baselines = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass
class Histogram:
    """Counts of one signal in one window; sums exactly rounded, of finite values."""

    counts: list[int]
    absent: int = 0
    null: int = 0
    nan: int = 0
    invalid: int = 0
    sum: float = 0.0
    sum_of_magnitudes: float = 0.0
    sumsq: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    @property
    def events(self) -> int:
        return sum(self.counts) + self.absent + self.null + self.nan + self.invalid

    @property
    def mean(self) -> float:
        return self.sum / sum(self.counts)


@dataclass
class Cell:
    """One (model, version, variant) in one window."""

    events: int
    signals: dict[str, Histogram]
    #: For each partition, the offsets of the records that have an event in the window.
    offsets: dict[int, set[int]]


@dataclass
class Verdict:
    cells: dict[CellKey, Cell]
    dead: dict[Origin, str]

    @property
    def events(self) -> int:
        return sum(cell.events for cell in self.cells.values())


class Refused(Exception):
    pass


@dataclass
class _Rows:
    rows: list[dict[str, Any]] = field(default_factory=list)
    offsets: dict[int, set[int]] = field(default_factory=dict)


def judge(
    records: Iterable[tuple[int, int, bytes | None]],
    baselines: Baselines,
    *,
    window_seconds: int,
    latest_time: float,
    max_event_bytes: int = 1024 * 1024,
    max_batch_bytes: int = 32 * 1024 * 1024,
) -> Verdict:
    """Count (partition, offset, value) records; times after ``latest_time`` are in the future."""
    cells: dict[CellKey, _Rows] = {}
    dead: dict[Origin, str] = {}
    for partition, offset, value in records:
        try:
            rows = _rows_of(value, max_event_bytes, max_batch_bytes)
        except Refused as refused:
            dead[partition, offset, None] = str(refused)
            continue
        for number, event in rows:
            try:
                time = _time_of(event, latest_time)
            except Refused as refused:
                dead[partition, offset, number] = str(refused)
                continue
            start = math.floor(time / window_seconds) * window_seconds
            key = (event["model"], event["version"], event.get("variant") or "", start)
            cell = cells.setdefault(key, _Rows())
            cell.rows.append(event)
            cell.offsets.setdefault(partition, set()).add(offset)
    counted = {
        key: Cell(len(cell.rows), count_signals(cell.rows, baselines.get(key[:2])), cell.offsets)
        for key, cell in cells.items()
    }
    return Verdict(counted, dead)


def _rows_of(
    value: bytes | None, max_event_bytes: int, max_batch_bytes: int
) -> list[tuple[int | None, dict[str, Any]]]:
    if not value:
        raise Refused("empty")
    if value[:4] == b"\xff\xff\xff\xff":
        if len(value) > max_batch_bytes:
            raise Refused("too_large")
        return list(enumerate(_batch_rows(value)))
    if len(value) > max_event_bytes:
        raise Refused("too_large")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Refused("invalid_utf8") from error
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json") from error
    return [(None, event)]


def _batch_rows(value: bytes) -> list[dict[str, Any]]:
    try:
        table = pa.ipc.open_stream(value).read_all()
    except (pa.ArrowException, OSError) as error:
        raise Refused("invalid_arrow") from error
    named = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    if not (named.get("model") and named.get("version")):
        raise Refused("invalid_arrow")
    named = {key: named[key] for key in ("model", "version", "variant") if key in named}
    times = table.column("time")
    if pa.types.is_timestamp(times.type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[times.type.unit]
        seconds = [tick / per_second for tick in times.cast(pa.int64()).to_pylist()]
    else:
        seconds = times.to_pylist()
    rows = table.drop_columns("time").to_pylist()
    return [row | named | {"time": time} for row, time in zip(rows, seconds, strict=True)]


def _time_of(event: Any, latest: float) -> float:
    """Return the event time if the envelope is sound."""
    if not isinstance(event, dict):
        raise Refused("invalid_record")
    for name in ("model", "version"):
        said = event.get(name)
        if not isinstance(said, str) or not 1 <= len(said) <= 200:
            raise Refused("invalid_record")
    if not isinstance(event.get("variant", ""), str | None):
        raise Refused("invalid_record")
    try:
        f"{event['model']}{event['version']}{event.get('variant')}".encode()
    except UnicodeEncodeError as error:
        raise Refused("invalid_record") from error
    if not isinstance(event.get("features", {}), dict | None):
        raise Refused("invalid_record")
    time = event.get("time")
    if isinstance(time, str):
        try:
            moment = datetime.fromisoformat(time)
        except ValueError as error:
            raise Refused("invalid_record") from error
        if moment.tzinfo is None:
            raise Refused("invalid_record")
        time = moment.timestamp()
    if isinstance(time, bool) or not isinstance(time, int | float):
        raise Refused("invalid_record")
    if not math.isfinite(time):
        raise Refused("invalid_time")
    if time < EARLIEST:
        raise Refused("time_too_early")
    if time > latest:
        raise Refused("time_too_late")
    return float(time)


def count_signals(
    rows: list[dict[str, Any]], baseline: Mapping[str, Any] | None
) -> dict[str, Histogram]:
    """Count every signal of rows of one cell: the baseline's, latency and status always."""
    signals: dict[str, Any] = dict(baseline["signals"]) if baseline else {}
    signals.setdefault("prediction", {"kind": "numeric", "edges": []})
    signals["latency_ms"] = {"kind": "numeric", "edges": LATENCY_EDGES_MS}
    signals["status"] = {
        "kind": "categorical", "categories": ["ok", "error"], "known": [], "known_complete": True,
    }  # fmt: skip
    found: dict[str, Histogram] = {}
    for name, signal in signals.items():
        if name in ("prediction", "label", "latency_ms", "status"):
            values = [row.get(name, ABSENT) for row in rows]
        else:
            values = [(row.get("features") or {}).get(name, ABSENT) for row in rows]
        if signal["kind"] == "numeric":
            found[name] = count_numbers(values, signal["edges"])
        else:
            found[name] = count_categories(values, signal)
    return found


def count_numbers(values: list[Any], edges: list[float]) -> Histogram:
    """Bin i holds edges[i-1] <= x < edges[i]."""
    histogram = Histogram([])
    numbers: list[float] = []
    for value in values:
        if value is ABSENT:
            histogram.absent += 1
        elif value is None:
            histogram.null += 1
        elif isinstance(value, str):
            if value in ("NaN", "Infinity", "-Infinity"):
                histogram.nan += 1
            else:
                histogram.invalid += 1
        elif isinstance(value, int | float):
            if math.isfinite(value):
                numbers.append(float(value))
            else:
                histogram.nan += 1
        else:
            histogram.invalid += 1
    x = np.array(numbers, dtype=np.float64)
    below = [int(np.count_nonzero(x < edge)) for edge in edges]
    histogram.counts = np.diff([0, *below, len(x)]).tolist()
    if numbers:
        histogram.sum = math.fsum(numbers)
        histogram.sum_of_magnitudes = math.fsum(map(abs, numbers))
        histogram.sumsq = math.fsum(number * number for number in numbers)
        histogram.minimum = min(numbers)
        histogram.maximum = max(numbers)
    return histogram


def count_categories(values: list[Any], signal: Mapping[str, Any]) -> Histogram:
    """Categories in their order, then other, then never seen."""
    categories: list[str] = signal["categories"]
    known = set(signal["known"])
    histogram = Histogram([0] * (len(categories) + 2))
    for value in values:
        if value is ABSENT:
            histogram.absent += 1
        elif value is None:
            histogram.null += 1
        elif isinstance(value, float) and not math.isfinite(value):
            histogram.nan += 1
        elif not isinstance(value, str | bool | int | float):
            histogram.invalid += 1
        else:
            text = category_text(value)
            if text in categories:
                histogram.counts[categories.index(text)] += 1
            elif text in known:
                histogram.counts[-2] += 1
            elif text in ("NaN", "Infinity", "-Infinity"):
                histogram.nan += 1
            elif not signal["known_complete"]:
                histogram.counts[-2] += 1
            else:
                histogram.counts[-1] += 1
    return histogram


def category_text(value: str | bool | float) -> str:
    """Write a category's name: what a value of another type is called."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or value == int(value):
        return str(int(value))
    return repr(value)


def reference_bins(signal: Mapping[str, Any]) -> list[int]:
    """Return the baseline's counts with the bins that a window's specials are compared with.

    Of categories, those that are to be expected of as many new rows.
    """
    expected = signal["rare"]["expected"] if "rare" in signal else signal["counts"]
    return [*expected, signal["missing"] + signal.get("nan", 0), 0, 0]


def current_bins(signal: Mapping[str, Any], histogram: Histogram) -> list[int]:
    """Value bins, missing, not finite, invalid; not finite is missing if the baseline has any."""
    missing = histogram.absent + histogram.null
    if signal["missing"] or signal.get("nan"):
        return [*histogram.counts, missing + histogram.nan, 0, histogram.invalid]
    return [*histogram.counts, missing, histogram.nan, histogram.invalid]


def kl_nats(of: list[int], against: list[int]) -> float:
    """KL(of || against) with half a count more in every bin that isn't empty on both sides."""
    pairs = [(a + 0.5, b + 0.5) for a, b in zip(of, against, strict=True) if a or b]
    total_of = math.fsum(a for a, _ in pairs)
    total_against = math.fsum(b for _, b in pairs)
    return math.fsum(
        a / total_of * math.log((a / total_of) / (b / total_against)) for a, b in pairs
    )


#: Rows of the baseline below which a category has no bin of its own among the values.
RARE_ROWS = 10


def values_of(bins: list[int], reference: list[int], numeric: bool) -> list[int]:
    """Return the bins that hold values the baseline knows, rare categories among the others."""
    if numeric:
        return bins[:-3]
    common = [count for count, rows in zip(bins, reference[:-5], strict=False) if rows >= RARE_ROWS]
    return [*common, sum(bins[:-4]) - sum(common)]


def kl_values_nats(current: list[int], reference: list[int], numeric: bool) -> float | None:
    """KL of the values alone, less what noise adds to it on average.

    0 where their likelihood ratio is no rarer than e^-16 by chance.
    """
    a, b = (values_of(it, reference, numeric) for it in (current, reference))
    n, m = sum(a), sum(b)
    if not n or not m:
        return None
    g = 0.0
    for pair in zip(a, b, strict=True):
        for count, total in zip(pair, (n, m), strict=True):
            if count:
                g += 2 * count * math.log(count * (n + m) / (sum(pair) * total))
    degrees = sum(1 for pair in zip(a, b, strict=True) if any(pair)) - 1
    surprise = -chi2.logsf(g, degrees) if degrees else 0.0
    kl = max(kl_nats(a, b) - degrees / 2 * (1 / n + 1 / m), 0.0)
    assert kl < 0.04 or not 15 < surprise < 17, f"too close: {surprise} nats"
    return kl if surprise >= 16 else 0.0


def unseen_excess(current: list[int], reference: list[int], excess: float) -> float:
    """Share of categories that the baseline never saw, beyond chance, five standard errors.

    What is expected of them varies by ``excess`` more than a count of rows.
    """
    n, rows = sum(current), sum(reference)
    share, known = current[-4] / n, reference[-4] / rows
    m = rows / (1 + excess)
    both = (current[-4] + known * m) / (n + m)
    return max(0.0, share - known - 5 * math.sqrt(both * (1 - both) * (1 / n + 1 / m))) / (
        1 - known
    )
