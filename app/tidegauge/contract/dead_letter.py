"""Dead letters: records that could not be counted or delivered, their origin, and the reason."""

import base64
from typing import Annotated, Literal, cast, get_args

import msgspec

from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc

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

#: Why a label was not counted: it has no receipt of ours; the model that it names has no baseline
#: that says what its labels are; no prediction has its id; it came too late; it is no class of its
#: model, nor a number where one is expected. Readers of release 0.1.0 know none of them.
LabelProblem = Literal[
    "invalid_receipt",
    "no_target",
    "too_many_variants",
    "unknown_prediction",
    "expired_label",
    "invalid_class",
]

_LABEL_PROBLEMS = frozenset(get_args(LabelProblem))

#: Why a label was refused.
LabelReason = (
    Literal["empty", "too_large", "invalid_utf8", "invalid_json", "invalid_record", "invalid_time"]
    | LabelProblem
)

#: Why an alert was not delivered: the receiver refused it, it failed for too long, or it is none.
NotifyReason = Literal["delivery_refused", "delivery_given_up", "invalid_record"]

#: A dead letter must always fit its topic, whatever was sent; the rest of the payload can be read
#: at the origin it names.
PAYLOAD_LIMIT_BYTES = 64 * 1024

#: Error texts can quote the record; they must not make a letter too large for its topic.
DETAIL_CHARACTERS = 1_000

#: Of a letter without payload; with this it has some 500 bytes, rarely more than 1,500.
_BARE_DETAIL_CHARACTERS = 200


class DeadLetter(Record):
    """A record that was refused."""

    topic: Annotated[str, doc("Topic of the record.")]
    partition: Annotated[int, doc("Partition of the record.")]
    offset: Annotated[int, doc("Offset of the record.")]
    row: Annotated[int | None, doc("Row of an Arrow batch, from 0; null if it was not one.")]
    time: Annotated[float, doc("When it was refused, epoch seconds.")]
    reason: Annotated[Literal[Reason, NotifyReason], doc("Why it was refused.")]
    detail: Annotated[str, doc("What was wrong, in words.")]
    payload: Annotated[
        str | None,
        doc(
            "The record; null if redacted, or, with payload_truncated, if this topic took no more."
        ),
    ]
    payload_encoding: Annotated[
        Literal["utf-8", "base64"] | None, doc("How the payload is written.")
    ]
    payload_bytes: Annotated[int, doc("How large the record was.")]
    payload_truncated: Annotated[bool, doc("Whether the payload is only a part of the record.")]
    receiver: Annotated[str | None, doc("The receiver that an alert was not delivered to.")] = None
    rows: Annotated[
        int | None,
        doc("The letter stands for so many rows of a batch, all refused for this reason."),
    ] = None
    topic_id: Annotated[
        str,
        doc(
            "Kafka's id of the topic, where INGEST refused the record and the brokers tell it. A "
            "topic that was deleted and created again has another one, and its offsets begin "
            "anew."
        ),
    ] = ""
    label_problem: Annotated[
        LabelProblem | msgspec.UnsetType,
        doc("Of a label, what was wrong with it where the reason is but invalid_record."),
    ] = msgspec.UNSET
    schema_version: SchemaVersion = SCHEMA_VERSION


def dead_letter_of(
    *,
    topic: str,
    partition: int,
    offset: int,
    time: float,
    reason: Reason | NotifyReason | LabelReason,
    detail: str,
    payload: bytes,
    row: int | None = None,
    rows: int | None = None,
    redact: bool = False,
    receiver: str | None = None,
) -> DeadLetter:
    """Describe a refused record; its payload as text if it is UTF-8, else in base64.

    The payload of an alert, which names a ``receiver``, is always text: bytes that are no UTF-8
    are replaced. A problem of labels goes into ``label_problem``.
    """
    problem: LabelProblem | msgspec.UnsetType = msgspec.UNSET
    if reason in _LABEL_PROBLEMS:
        problem, reason = cast(LabelProblem, reason), "invalid_record"
    kept = payload[:PAYLOAD_LIMIT_BYTES]
    text: str | None = None
    encoding: Literal["utf-8", "base64"] | None = None
    if not redact:
        try:
            text, encoding = kept.decode(errors="replace" if receiver else "strict"), "utf-8"
        except UnicodeDecodeError:
            text, encoding = base64.b64encode(kept).decode(), "base64"
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=offset,
        row=row,
        rows=rows,
        time=time,
        reason=cast(Reason | NotifyReason, reason),
        # Half a surrogate pair, quoted from a record, can't be encoded.
        detail=detail[:DETAIL_CHARACTERS].encode(errors="backslashreplace").decode(),
        payload=text,
        payload_encoding=encoding,
        payload_bytes=len(payload),
        payload_truncated=not redact and len(payload) > len(kept),
        receiver=receiver,
        label_problem=problem,
    )


def without_payload(letter: DeadLetter) -> DeadLetter:
    """Return what is kept of a letter for a topic that takes but small ones."""
    return msgspec.structs.replace(
        letter,
        detail=letter.detail[:_BARE_DETAIL_CHARACTERS],
        payload=None,
        payload_encoding=None,
        payload_truncated=letter.payload is not None or letter.payload_truncated,
    )
