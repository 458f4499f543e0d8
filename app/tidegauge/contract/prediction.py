"""The prediction event: what a serving node publishes."""

from datetime import datetime
from typing import Annotated

import msgspec

from tidegauge.contract._base import SCHEMA_VERSION, SchemaVersion, doc

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
    """One prediction, as published to the predictions topic."""

    time: Annotated[Instant, doc("Event time: epoch seconds, or RFC 3339 with an offset.")]
    model: Annotated[NonEmpty, doc("Name of the model.")]
    version: Annotated[NonEmpty, doc("Version of the model.")]
    id: Annotated[str | None, doc("Names the prediction, so that a late label can find it.")] = None
    variant: Annotated[str, doc('Such as "champion" or "canary".')] = ""
    prediction: Annotated[
        float | str | msgspec.UnsetType | None,
        doc(
            'Score or regression value. A number that is not finite is one of the strings "NaN", '
            '"Infinity", "-Infinity"; any other string is counted as invalid.'
        ),
    ] = msgspec.UNSET
    label: Annotated[str | int | bool | msgspec.UnsetType | None, doc("The predicted class.")] = (
        msgspec.UNSET
    )
    features: Annotated[
        dict[str, float | str | bool | None],
        doc(
            'What the model saw, by name. Absent, null and the string "NaN" are three different '
            "things and are counted as such."
        ),
    ] = {}
    segments: Annotated[
        dict[str, str], doc("Slices of the traffic this prediction belongs to, such as a region.")
    ] = {}
    latency_ms: Annotated[
        float | str | msgspec.UnsetType | None,
        doc('Milliseconds the prediction took; not finite as in "prediction".'),
    ] = msgspec.UNSET
    status: Annotated[
        str | msgspec.UnsetType | None,
        doc('"ok" or "error"; anything else is counted as never seen.'),
    ] = msgspec.UNSET
    traceparent: Annotated[str | None, doc("W3C trace context of the request.")] = None
    schema_version: SchemaVersion = SCHEMA_VERSION


def epoch_seconds(time: float | datetime) -> float:
    """Return event time as seconds since 1970-01-01T00:00:00Z."""
    return time.timestamp() if isinstance(time, datetime) else float(time)
