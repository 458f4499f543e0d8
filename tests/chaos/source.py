"""The source topic in columns: every sound event by slice and window, and every bad record.

Apart from the product's code, as ``support.oracle`` is, whose slow judgement is asked wherever a
record is not plainly sound. What is plainly sound is a million records in a few seconds here.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, pairwise
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from support.oracle import ABSENT, EARLIEST, category_text, judge

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SliceName = tuple[str, str, str]  # model, version, variant
WindowKey = tuple[SliceName, int]  # slice, window start
SourceRecord = tuple[int, int, int, bytes | None]  # partition, offset, kafka timestamp ms, value

#: What stands for a number that is none; null is NaN. No JSON number is any of these.
ABSENT_NUMBER = math.inf
NOT_FINITE_NUMBER = -math.inf
INVALID_NUMBER = -float(np.finfo(np.float64).max)

#: What stands for a category's value that is none, beside ``ABSENT`` and None.
NOT_FINITE = object()
INVALID = object()

#: Signals that are fields of the event; every other one is a feature.
_OUTPUTS = {"prediction": "numeric", "label": "categorical", "latency_ms": "numeric",
            "status": "categorical"}  # fmt: skip

_CHUNK = 50_000
_MAX_EVENT_BYTES = 1024 * 1024

#: INGEST compares with its own clock, later than the producer's by however long the record waited.
#: A time between these two bounds after the record's own may be refused or not.
_CLOCK_SLACK_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 3_600.0

_OFFSET_BITS = 40
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Variant = Annotated[str, msgspec.Meta(max_length=200)]


class Bad(NamedTuple):
    """A record that must be a dead letter."""

    reason: str
    value: bytes
    timestamp_ms: int


def position(partition: int, offset: int) -> int:
    """Return one number for a place in the source; in order of partition, then offset."""
    return (partition << _OFFSET_BITS) + offset


def place(positions: Integers) -> tuple[Integers, Integers]:
    """Return partitions and offsets of positions."""
    return positions >> _OFFSET_BITS, positions & ((1 << _OFFSET_BITS) - 1)


@dataclass
class Source:
    """All sound events, in order of slice, window, partition and offset."""

    #: By window, the rows [from, to) that are its events.
    windows: dict[WindowKey, tuple[int, int]]
    positions: Integers
    numbers: dict[str, Floats]
    #: By name, the number of each row's value in ``values``.
    codes: dict[str, NDArray[np.intp]]
    values: dict[str, list[object]]
    bad: dict[tuple[int, int], Bad]

    @property
    def events(self) -> int:
        return len(self.positions)


def read_source(
    records: Iterable[SourceRecord],
    signals: Mapping[str, str],
    *,
    window_seconds: int,
    max_ahead_seconds: float,
) -> Source:
    """Read every record once; ``signals`` says which features to keep, by name their kind.

    Raises ``ValueError`` if a record comes twice, or has a time of which nobody can say whether it
    was too far ahead of the clock when it was counted.
    """
    reader = _Reader(signals, window_seconds, max_ahead_seconds)
    rest = iter(records)
    while chunk := list(islice(rest, _CHUNK)):
        reader.take(chunk)
    return reader.finish()


class _Numbering(dict[Any, int]):
    """Numbers whatever is looked up in the order of its first appearance."""

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        return number


class _Reader:
    def __init__(self, signals: Mapping[str, str], window_seconds: int, ahead: float) -> None:
        self._window_seconds = window_seconds
        self._ahead = ahead
        kinds = {"prediction": "numeric", "latency_ms": "numeric", "status": "categorical"}
        for name, kind in signals.items():
            if _OUTPUTS.get(name, kind) != kind:
                raise ValueError(f"signal {name}: found {kind}, expected {_OUTPUTS[name]}")
            kinds[name] = kind
        self._kinds = kinds
        self._features = [name for name in kinds if name not in _OUTPUTS]
        self._outputs = [name for name in kinds if name in _OUTPUTS]
        fields = {name: f"f{i}" for i, name in enumerate(self._features)}
        self._features_type: Any = msgspec.defstruct(
            "Features",
            [(fields[name], *_field(kinds[name])) for name in self._features],
            rename={field: name for name, field in fields.items()},
            frozen=True,
            gc=False,
        )
        self._no_features = self._features_type()
        self._event_type: Any = msgspec.defstruct(
            "Event",
            [
                ("time", float),
                ("model", _Name),
                ("version", _Name),
                ("variant", _Variant | None, ""),
                ("features", self._features_type | None, self._no_features),
                *((name, *_field(kinds[name])) for name in self._outputs),
            ],
            frozen=True,
            gc=False,
        )
        self._get = {name: attrgetter(field) for name, field in fields.items()}
        self._get |= {name: attrgetter(name) for name in self._outputs}
        self._decode = msgspec.json.Decoder(self._event_type).decode
        self._slices = _Numbering()
        self._numbering = {n: _Numbering() for n, kind in kinds.items() if kind == "categorical"}
        self._parts: dict[str, list[NDArray[Any]]] = {
            name: [] for name in ("positions", "slices", "starts", *kinds)
        }
        self._bad: dict[tuple[int, int], Bad] = {}

    def take(self, chunk: list[SourceRecord]) -> None:
        """Sort a chunk into sound events and bad records."""
        events: list[Any] = []
        kept: list[SourceRecord] = []
        decode = self._decode
        for record in chunk:
            value = record[3] or b""
            try:
                event = decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                event = None
            if event is None or len(value) > _MAX_EVENT_BYTES:
                event = self._odd(record)
                if event is None:
                    continue
            events.append(event)
            kept.append(record)
        self._add(events, kept)

    def _odd(self, record: SourceRecord) -> Any:
        """Judge a record that isn't plainly sound; None if it is bad."""
        partition, offset, timestamp_ms, value = record
        verdict = judge(
            [(partition, offset, value)],
            {},
            window_seconds=self._window_seconds,
            latest_time=math.inf,
        )
        for (_, _, row), reason in verdict.dead.items():
            if row is None:
                self._bad[partition, offset] = Bad(reason, value or b"", timestamp_ms)
                return None
        try:
            event = json.loads(value or b"")
        except ValueError as error:  # sound, but no JSON
            where = f"partition {partition} offset {offset}"
            raise ValueError(f"{where} is an Arrow batch, expected one event") from error
        time = event["time"]
        features = event.get("features") or {}
        return self._event_type(
            time=datetime.fromisoformat(time).timestamp() if isinstance(time, str) else float(time),
            model=event["model"],
            version=event["version"],
            variant=event.get("variant"),
            features=self._features_type(
                *[self._value(name, features.get(name, ABSENT)) for name in self._features]
            ),
            **{name: self._value(name, event.get(name, ABSENT)) for name in self._outputs},
        )

    def _value(self, name: str, value: object) -> object:
        return _number(value) if self._kinds[name] == "numeric" else _category(value)

    def _add(self, events: list[Any], records: list[SourceRecord]) -> None:
        if not events:
            return
        times = np.array([event.time for event in events])
        stamps = np.array([record[2] for record in records]) / 1000
        too_early = times < EARLIEST
        too_late = times > stamps + _LONGEST_WAIT_SECONDS
        unsure = (times > stamps + self._ahead - _CLOCK_SLACK_SECONDS) & ~too_late
        if unsure.any():
            partition, offset, timestamp_ms, _ = records[int(np.argmax(unsure))]
            raise ValueError(
                f"partition {partition} offset {offset}: time {times[np.argmax(unsure)]} is so far "
                f"ahead of {timestamp_ms / 1000}, when it was sent, that nobody can say whether it "
                "was counted; the traffic must not send such times"
            )
        refused = too_early | too_late
        for i in np.flatnonzero(refused).tolist():
            partition, offset, timestamp_ms, value = records[i]
            reason = "time_too_early" if too_early[i] else "time_too_late"
            self._bad[partition, offset] = Bad(reason, value or b"", timestamp_ms)
        sound = ~refused
        no_features = self._no_features
        features = [no_features if e.features is None else e.features for e in events]

        def add(name: str, column: Iterable[Any], dtype: type) -> None:
            self._parts[name].append(np.array(list(column), dtype=dtype)[sound])

        add("positions", [position(record[0], record[1]) for record in records], np.int64)
        names = [(e.model, e.version, e.variant or "") for e in events]
        add("slices", map(self._slices.__getitem__, names), np.intp)
        seconds = self._window_seconds
        add("starts", (np.floor(times / seconds) * seconds).tolist(), np.int64)
        for name in self._kinds:
            column = map(self._get[name], events if name in _OUTPUTS else features)
            if name in self._numbering:
                add(name, map(self._numbering[name].__getitem__, column), np.intp)
            else:
                add(name, column, np.float64)  # None becomes NaN

    def finish(self) -> Source:
        """Bring everything into order."""
        columns: dict[str, NDArray[Any]] = {
            name: np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
            for name, parts in self._parts.items()
        }
        positions, slices, starts = (columns.pop(n) for n in ("positions", "slices", "starts"))
        places = np.append(positions, [position(*origin) for origin in self._bad]).astype(np.int64)
        if len(np.unique(places)) != len(places):
            raise ValueError("a source record was given twice; read the topic once")
        order = np.lexsort((positions, starts, slices))
        slices, starts = slices[order], starts[order]
        changes = np.flatnonzero((np.diff(slices) != 0) | (np.diff(starts) != 0)) + 1
        bounds = [0, *changes.tolist(), len(order)] if len(order) else [0]
        names = list(self._slices)
        return Source(
            windows={(names[slices[lo]], int(starts[lo])): (lo, hi) for lo, hi in pairwise(bounds)},
            positions=positions[order],
            numbers={n: c[order] for n, c in columns.items() if n not in self._numbering},
            codes={n: c[order] for n, c in columns.items() if n in self._numbering},
            values={name: list(numbering) for name, numbering in self._numbering.items()},
            bad=self._bad,
        )


def _field(kind: str) -> tuple[Any, Any]:
    return (float | None, ABSENT_NUMBER) if kind == "numeric" else (str | None, ABSENT)


def _number(value: object) -> float | None:
    if value is ABSENT:
        return ABSENT_NUMBER
    if value is None:
        return None
    if isinstance(value, str):
        return NOT_FINITE_NUMBER if value in ("NaN", "Infinity", "-Infinity") else INVALID_NUMBER
    if not isinstance(value, int | float):
        return INVALID_NUMBER
    try:
        return float(value) if math.isfinite(value) else NOT_FINITE_NUMBER
    except OverflowError:  # an integer that no float can hold
        return NOT_FINITE_NUMBER


def _category(value: object) -> object:
    if value is None or value is ABSENT:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return NOT_FINITE
    return category_text(value) if isinstance(value, str | bool | int | float) else INVALID
