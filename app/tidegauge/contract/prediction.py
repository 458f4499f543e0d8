"""The prediction event, which a serving node publishes, and the signals derived from it."""

from datetime import datetime
from typing import Annotated

import msgspec

from tidegauge.contract.record import SCHEMA_VERSION, SchemaVersion, doc

JSON_CONTENT_TYPE = "application/json"
ARROW_CONTENT_TYPE = "application/vnd.apache.arrow.stream"

#: Every Arrow IPC stream begins with this continuation marker; no JSON text can.
ARROW_MAGIC = b"\xff\xff\xff\xff"

#: JSON has no token for these, so a number that is not finite travels as one of these strings
#: (the convention of the Protocol Buffers JSON mapping).
NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})

#: Names no feature may take.
OUTPUT_SIGNALS = ("prediction", "label", "latency_ms", "status")

#: Bin edges of ``latency_ms``, milliseconds: fixed, so that every window of every model can be
#: added up and shown as one Prometheus histogram. About four bins a factor of ten, with an edge at
#: the 200 ms of the default rule.
LATENCY_EDGES_MS = (
    1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0,
    750.0, 1000.0, 1500.0, 2000.0, 3000.0, 5000.0, 7500.0, 10000.0, 30000.0,
)  # fmt: skip

#: Bins of ``status``; anything else counts as never seen.
STATUS_CATEGORIES = ("ok", "error")

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
