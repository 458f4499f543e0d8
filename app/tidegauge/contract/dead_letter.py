"""Dead letters: records that could not be counted or delivered, whence they came, and why."""

from typing import Literal

import msgspec

from tidegauge.contract._base import SCHEMA_VERSION, Record

Reason = Literal[
    "invalid_utf8",
    "invalid_json",
    "invalid_record",
    "invalid_arrow",
    "invalid_time",
    "time_too_early",
    "time_too_late",
    "too_large",
    "empty",
]

#: Why an alert was not delivered: the receiver refused it, it failed for too long, or it is none.
NotifyReason = Literal["delivery_refused", "delivery_given_up", "invalid_record"]

#: A dead letter must always fit its topic, whatever was sent; the rest of the payload can be read
#: at the origin it names.
PAYLOAD_LIMIT_BYTES = 64 * 1024

#: Of a letter without payload; with this it has some 500 bytes, rarely more than 1,500.
_BARE_DETAIL_CHARACTERS = 200


class DeadLetter(Record):
    """One refused record. ``row`` is set if it was a row of an Arrow batch (0-based).

    ``rows`` is set if the letter stands for so many rows of a batch, all refused for this reason.
    ``payload`` is null if redacted, or, with ``payload_truncated``, if this topic took no more;
    ``payload_bytes`` always says how large the record was. ``receiver`` is the one that an
    alert was not delivered to. ``topic_id`` is Kafka's id of the topic, where ingest refused the
    record and the brokers tell it: a topic that was deleted and made again has another one, and its
    offsets begin anew.
    """

    topic: str
    partition: int
    offset: int
    row: int | None
    time: float
    reason: Literal[Reason, NotifyReason]
    detail: str
    payload: str | None
    payload_encoding: Literal["utf-8", "base64"] | None
    payload_bytes: int
    payload_truncated: bool
    receiver: str | None = None
    rows: int | None = None
    topic_id: str = ""
    schema_version: int = SCHEMA_VERSION


def without_payload(letter: DeadLetter) -> DeadLetter:
    """Return what is kept of a letter for a topic that takes but small ones."""
    return msgspec.structs.replace(
        letter,
        detail=letter.detail[:_BARE_DETAIL_CHARACTERS],
        payload=None,
        payload_encoding=None,
        payload_truncated=letter.payload is not None or letter.payload_truncated,
    )
