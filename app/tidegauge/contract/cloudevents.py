"""Records as CloudEvents 1.0 on Kafka: the envelope of what consumers read. Pure.

Binary mode: the value is the record, and headers ``ce_…`` tell what it is. Structured mode: the
value is the whole event, and the record is its ``data``. A reader takes both, and a record without
any envelope, by :func:`unwrap`.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md, its JSON format, and
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import quote

import msgspec

from tidegauge.contract.alert import (
    Acknowledgement,
    Action,
    ActionKind,
    Alert,
    AlertEvent,
    Outcome,
)
from tidegauge.contract.performance import PerformanceReport
from tidegauge.contract.prediction import JSON_CONTENT_TYPE
from tidegauge.contract.record import SCHEMA_VERSION, DecodingError, decode, encode
from tidegauge.contract.report import WindowReport
from tidegauge.contract.wording import rfc3339

SPECVERSION = "1.0"
STRUCTURED_CONTENT_TYPE = "application/cloudevents+json"

#: The records that go with an envelope.
Event = WindowReport | PerformanceReport | Alert | Action | Acknowledgement

#: By the name of the schema, what an event of it can be: the middle of its type.
KINDS: Mapping[str, tuple[str, ...]] = {
    "window-report": ("window.closed", "window.revised"),
    "performance-report": ("performance.measured",),
    "alert": tuple(f"alert.{event}" for event in get_args(AlertEvent)),
    "action": tuple(f"action.{kind}" for kind in get_args(ActionKind)),
    "acknowledgement": tuple(f"acknowledgement.{outcome}" for outcome in get_args(Outcome)),
}

Mode = Literal["binary", "structured"]

#: What librdkafka says of a record's headers: pairs, in the order they were written, or none.
Headers = Iterable[tuple[str, str | bytes | None]]


class Sent(NamedTuple):
    """The value of a record, and its headers in the order they are written."""

    value: bytes
    headers: list[tuple[str, bytes]]


class _Structured(msgspec.Struct):
    """What a reader wants of an event in structured mode; another SDK may write its data so."""

    specversion: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: bytes | msgspec.UnsetType = msgspec.UNSET


def type_of(kind: str) -> str:
    """Return the type of an event; the number at its end is that of its schema.

    >>> type_of("alert.firing")
    'io.tidegauge.alert.firing.v1'
    """
    return f"io.tidegauge.{kind}.v{SCHEMA_VERSION}"


def schema_id(name: str) -> str:
    """Return the ``$id`` of a schema, which is what ``dataschema`` of its events names.

    >>> schema_id("alert")
    'urn:tidegauge:schema:alert:1'
    """
    return f"urn:tidegauge:schema:{name}:{SCHEMA_VERSION}"


def source_of(sender: str) -> str:
    """Return the ``source`` of what a sender says: with it, an event's id is unlike all others.

    >>> source_of("tidegauge-detect"), source_of("retrainer@gpu 1")
    ('/tidegauge-detect', '/retrainer%40gpu%201')
    """
    return "/" + quote(sender, safe="")


def attributes(record: Event, source: str) -> dict[str, str]:
    """Return the attributes of an event, all of which follow from the record and the source.

    ``time`` is event time: the end of the window, or when an acknowledgement was said. ``subject``
    is model and version, each quoted as for an address, with a slash between them.
    """
    schema, kind, time = _about(record)
    return {
        "specversion": SPECVERSION,
        "id": record.id,
        "source": source,
        "type": type_of(kind),
        "time": rfc3339(time),
        "subject": f"{quote(record.model, safe='')}/{quote(record.version, safe='')}",
        "dataschema": schema_id(schema),
    }


def wrap(record: Event, source: str, mode: Mode) -> Sent:
    """Encode a record as an event; the same record always gives the same bytes and headers."""
    value, said = encode(record), attributes(record, source)
    if mode == "structured":
        event: dict[str, Any] = {**said, "datacontenttype": JSON_CONTENT_TYPE}
        event["data"] = msgspec.Raw(value)
        return Sent(
            msgspec.json.encode(event), [("content-type", STRUCTURED_CONTENT_TYPE.encode())]
        )
    headers = [("content-type", JSON_CONTENT_TYPE.encode())]
    return Sent(value, headers + [(f"ce_{name}", text.encode()) for name, text in said.items()])


def unwrap(value: bytes | None, headers: Headers | None = None) -> bytes:
    r"""Return the record of a Kafka record's value, in whichever mode it was written.

    An envelope is known by ``headers`` if they are given, and otherwise by its ``specversion``,
    which no record has. Better give none: of a header whose name is no UTF-8, which anybody can
    send, ``confluent_kafka.Message.headers`` makes a list that ends the process.

    Without an envelope the value is the record. Raises :class:`DecodingError` for an envelope that
    can't be read or holds nothing.

    >>> unwrap(b'{"specversion":"1.0","data":{"id":"1"}}')
    b'{"id":"1"}'
    >>> unwrap(b'{"id":"1"}')
    b'{"id":"1"}'
    """
    structured = b'"specversion"' in (value or b"") if headers is None else _is_structured(headers)
    if not value or not structured:
        return value or b""
    event = decode(value, _Structured)
    if headers is None and not event.specversion:  # it is somewhere inside of a record
        return value
    if event.data is not msgspec.UNSET:
        return bytes(event.data)
    if event.data_base64 is not msgspec.UNSET:
        return event.data_base64
    raise DecodingError("a CloudEvent without data; expected a record in `data`")


def _is_structured(headers: Headers | None) -> bool:
    for name, text in headers or ():
        if name.lower() == "content-type" and text is not None:
            said = text if isinstance(text, str) else text.decode(errors="replace")
            return said.partition(";")[0].strip().lower() == STRUCTURED_CONTENT_TYPE
    return False


def _about(record: Event) -> tuple[str, str, float]:
    """Return the schema of a record, what of :data:`KINDS` it is, and its time."""
    if isinstance(record, WindowReport):
        closed = "window.revised" if record.revision else "window.closed"
        return "window-report", closed, record.window_end
    if isinstance(record, PerformanceReport):
        return "performance-report", "performance.measured", record.time
    if isinstance(record, Alert):
        state = record.event
        return "alert", f"alert.{state}", record.window_end
    if isinstance(record, Action):
        return "action", f"action.{record.kind}", record.requested_at
    return "acknowledgement", f"acknowledgement.{record.outcome}", record.time
