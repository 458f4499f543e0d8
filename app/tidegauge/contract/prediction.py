"""The prediction event: what a serving node publishes."""

from datetime import datetime
from typing import Annotated

import msgspec

from tidegauge.contract._base import SCHEMA_VERSION

JSON_CONTENT_TYPE = "application/json"
ARROW_CONTENT_TYPE = "application/vnd.apache.arrow.stream"

#: Every Arrow IPC stream begins with this continuation marker; no JSON text can.
ARROW_MAGIC = b"\xff\xff\xff\xff"

#: JSON has no token for these, so a number that is not finite travels as one of these strings
#: (the convention of the Protocol Buffers JSON mapping).
NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})

Instant = float | Annotated[datetime, msgspec.Meta(tz=True)]

NonEmpty = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class PredictionEvent(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag=False):
    """One prediction, as published to the predictions topic.

    ``time`` is the event time: epoch seconds or RFC 3339 with an offset. A feature that is absent,
    ``null`` or ``"NaN"`` is three different things and is counted as such.
    """

    time: Instant
    model: NonEmpty
    version: NonEmpty
    id: str | None = None
    variant: str = ""
    prediction: float | str | msgspec.UnsetType | None = msgspec.UNSET
    label: str | int | bool | msgspec.UnsetType | None = msgspec.UNSET
    features: dict[str, float | str | bool | None] = {}
    segments: dict[str, str] = {}
    latency_ms: float | str | msgspec.UnsetType | None = msgspec.UNSET
    status: str | msgspec.UnsetType | None = msgspec.UNSET
    traceparent: str | None = None
    schema_version: int = SCHEMA_VERSION


def epoch_seconds(time: float | datetime) -> float:
    """Return event time as seconds since 1970-01-01T00:00:00Z."""
    return time.timestamp() if isinstance(time, datetime) else float(time)
