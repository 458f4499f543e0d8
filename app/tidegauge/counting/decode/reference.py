"""The reference of reading JSON events, in plain Python: one at a time, of any shape.

It defines what an event is. The native decoder is several times as fast, leaves whatever is unusual
to this module, and is tested against it. Where it isn't installed, all events are read here.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVar, overload

import msgspec

from tidegauge.config import IngestSettings
from tidegauge.contract import ARROW_MAGIC, DecodingError, LabelReason, Reason, unwrap

#: Before this no event of Kafka's can have been; a clock at zero, or days for seconds, is.
EARLIEST_TIME = 946_684_800.0  # 2000-01-01T00:00:00Z

#: The longest name of a model, version or variant.
NAME_CHARACTERS = 200

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (
        b"\xef\xbb\xbf",
        "the value begins with a byte order mark (EF BB BF); send the JSON without it",
    ),
    (b"\xff\xfe", "the value looks like UTF-16; send UTF-8"),
    (b"\xfe\xff", "the value looks like UTF-16; send UTF-8"),
    (
        b"\x1f\x8b",
        "the value is compressed with gzip; leave that to the producer (compression.type)",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "the value is compressed with zstd; leave that to the producer (compression.type)",
    ),
)

#: A schema registry's serializer writes a zero, an id of four bytes, then the record.
_REGISTRY_BYTES = 5

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS)]


class RefusedError(Exception):
    """A record that can't be counted; becomes a dead letter."""

    def __init__(self, reason: Reason | LabelReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason | LabelReason = reason
        self.detail = detail


class LooseEvent(msgspec.Struct, kw_only=True):
    """An event whose envelope is sound; its values may be anything."""

    time: float | Annotated[datetime, msgspec.Meta(tz=True)]
    model: Name
    version: Name
    variant: Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS)] | None = None
    prediction: Any = msgspec.UNSET
    label: Any = msgspec.UNSET
    latency_ms: Any = msgspec.UNSET
    status: Any = msgspec.UNSET
    features: dict[str, Any] | None = None
    segments: Any = None
    id: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        # Half a surrogate pair is a string to JSON but can't be written: it would stop the worker.
        for name in (self.model, self.version, self.variant or ""):
            name.encode()

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The values of the output signals, by signal name."""
        return {
            "prediction": self.prediction,
            "label": self.label,
            "latency_ms": self.latency_ms,
            "status": self.status,
        }

    def segment(self, dimension: str) -> Any:
        """Return the value that the event has in a dimension; None if there is none."""
        return self.segments.get(dimension) if isinstance(self.segments, dict) else None

    @property
    def epoch(self) -> float:
        """Event time, epoch seconds."""
        return self.time.timestamp() if isinstance(self.time, datetime) else self.time


Event = TypeVar("Event", bound=LooseEvent)


@lru_cache
def _decoder(kind: type[Event]) -> "msgspec.json.Decoder[Event]":
    return msgspec.json.Decoder(kind)


@overload
def decode_event(payload: bytes) -> LooseEvent: ...


@overload
def decode_event(payload: bytes, kind: type[Event]) -> Event: ...


def decode_event(payload: bytes, kind: Any = LooseEvent) -> Any:
    """Decode one JSON event as ``kind``; raises :class:`RefusedError` with the reason."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(
            "invalid_utf8",
            with_hint(f"byte {error.start} is not UTF-8: {error.reason}", payload),
        ) from error
    try:
        return _decoder(kind).decode(payload)
    # Python's decoder goes no deeper, and takes ten times as long to find that out.
    except RecursionError as error:
        raise RefusedError("invalid_json", "nested too deeply") from error
    # A number out of range is a ValidationError; half a surrogate pair is a UnicodeEncodeError.
    except (msgspec.DecodeError, ValueError):
        return _decode_by_json(payload, text, kind)


def _decode_by_json(payload: bytes, text: str, kind: type[Event]) -> Event:
    """Decode what only Python's own decoder takes: the tokens NaN and Infinity, huge numbers."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError("invalid_json", with_hint(str(error), payload)) from error
    if not isinstance(parsed, dict):
        return from_row(parsed, kind)
    # Unknown names can be anything, half a surrogate pair too.
    known = kind.__struct_fields__
    return from_row({name: parsed[name] for name in known if name in parsed}, kind)


@overload
def from_row(row: Any) -> LooseEvent: ...


@overload
def from_row(row: Any, kind: type[Event]) -> Event: ...


def from_row(row: Any, kind: Any = LooseEvent) -> Any:
    """Make an event of what JSON or one row of a column batch has; raises :class:`RefusedError`."""
    try:
        return msgspec.convert(row, kind)
    except UnicodeEncodeError as error:
        raise RefusedError(
            "invalid_record", "half a surrogate pair in a time, name or version: no Unicode text"
        ) from error
    except Exception as error:  # each is of this one record; whatever it is, it can't be counted
        raise RefusedError("invalid_record", str(error) or type(error).__name__) from error


def check_time(time: float, latest: float) -> None:
    """Refuse an event time that can't be true; ``latest`` is the clock plus what may be ahead."""
    if not math.isfinite(time):
        raise RefusedError("invalid_time", f"time is {time}, expected epoch seconds or RFC 3339")
    if time < EARLIEST_TIME:
        raise RefusedError(
            "time_too_early", f"time {time} is before 2000-01-01; is it in epoch seconds?"
        )
    if time > latest:
        hint = "; is it in milliseconds? Epoch seconds are expected" if time > 1e11 else ""
        raise RefusedError("time_too_late", f"time {time} is ahead of the clock{hint}")


def check_size(value: bytes, limit: int) -> None:
    """Refuse a record of more than ``limit`` bytes; raises :class:`RefusedError`."""
    if len(value) > limit:
        raise RefusedError("too_large", f"{len(value)} bytes, at most {limit} are taken")


def event_or_stream(
    value: bytes | None, settings: IngestSettings, latest: float, kind: type[Event]
) -> Event | bytes:
    """Return the event of a record as ``kind``, or the stream of its column batch.

    ``latest`` is the latest event time that can be true. Raises :class:`RefusedError`; of a value
    in an envelope that has none of both, for what is wrong with the value as it stands.
    """
    if not value:
        raise RefusedError("empty", "the record has no value")
    try:
        return _plain(value, settings, latest, kind)
    except RefusedError as refused:
        # Not before: no event has an envelope by chance, and it would cost all of them. Nor by
        # the headers, which can't be read safely from a client's message: see unwrap.
        if refused.reason != "invalid_record":
            raise
        try:
            record = unwrap(value)
        except DecodingError:
            raise refused from None
        if record == value:
            raise
        return _plain(record, settings, latest, kind)


def _plain(
    value: bytes, settings: IngestSettings, latest: float, kind: type[Event]
) -> Event | bytes:
    if value.startswith(ARROW_MAGIC):
        check_size(value, settings.max_batch_bytes)
        return value
    check_size(value, settings.max_event_bytes)
    event = decode_event(value, kind)
    check_time(event.epoch, latest)
    return event


def with_hint(detail: str, payload: bytes) -> str:
    r"""Return the detail of a refusal with what the value seems to be.

    >>> with_hint("not UTF-8", b"\x1f\x8b\x08")
    'not UTF-8; the value is compressed with gzip; leave that to the producer (compression.type)'
    """
    for beginning, hint in _BEGINNINGS:
        if payload.startswith(beginning):
            return f"{detail}; {hint}"
    if payload[:1] == b"\0" and len(payload) > _REGISTRY_BYTES:
        schema = int.from_bytes(payload[1:_REGISTRY_BYTES], "big")
        return (
            f"{detail}; the value begins with the prefix of a schema registry's serializer "
            f"(00 and the id {schema}): send plain JSON, by a serializer without a registry"
        )
    return detail
