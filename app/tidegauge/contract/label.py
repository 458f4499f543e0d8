"""The label event: what became of a prediction, sent whenever it is known; and how it is read."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import msgspec

from tidegauge.contract.dead_letter import LabelReason
from tidegauge.contract.prediction import NON_FINITE, Instant, NonEmpty, epoch_seconds
from tidegauge.contract.receipt import RECEIPT_CHARACTERS, read_receipt
from tidegauge.contract.record import (
    SCHEMA_VERSION,
    DecodingError,
    SchemaVersion,
    doc,
)
from tidegauge.contract.target import CLASS_CHARACTERS, class_text

#: Longest id of a prediction that a label can name.
ID_CHARACTERS = 1_000

#: No time is later: the year 2100, epoch seconds.
_LATEST = 4_102_444_800.0

#: Up to here a float holds every integer.
_EXACT = 2**53

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS)]
_Receipt = Annotated[str, msgspec.Meta(min_length=1, max_length=RECEIPT_CHARACTERS)]
_NameOrNone = Annotated[str, msgspec.Meta(max_length=200)]


class LabelEvent(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag=False):
    """The actual outcome of one prediction, as published to the labels topic.

    It names its prediction in one of three ways: by ``id``, by ``receipt``, or by its own
    ``model``, ``version``, ``time`` and ``prediction`` or ``label``, with an ``id`` or without.
    """

    actual: Annotated[
        float | int | str | bool | msgspec.UnsetType,
        doc("What was true: a class, or the number of a regression. May be absent if retracted."),
    ] = msgspec.UNSET
    id: Annotated[_Id | None, doc("Id of the prediction event.")] = None
    receipt: Annotated[_Receipt | None, doc("What the logger of the prediction returned.")] = None
    model: Annotated[
        NonEmpty | None,
        doc("Name of the model; beside an id, only its predictions with that id are meant."),
    ] = None
    version: Annotated[NonEmpty | None, doc("Version of the model.")] = None
    variant: Annotated[_NameOrNone | None, doc("Variant of the version.")] = None
    time: Annotated[Instant | None, doc("Event time of the prediction.")] = None
    prediction: Annotated[float | None, doc("Its score or regression value.")] = None
    label: Annotated[str | int | bool | None, doc("The class that it predicted.")] = None
    segments: Annotated[dict[str, str] | None, doc("Segments of the prediction.")] = None
    observed_at: Annotated[
        Instant | None, doc("When the outcome was seen; for your own use, it decides nothing.")
    ] = None
    source: Annotated[_NameOrNone | None, doc("Where the label comes from; for your own use.")] = (
        None
    )
    revision: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            lt=2**32,
            description="A label replaces those of the same prediction with smaller revisions.",
        ),
    ] = 0
    retracted: Annotated[bool, doc("Whether the prediction has no known outcome any more.")] = False
    schema_version: SchemaVersion = SCHEMA_VERSION


class LabelledPrediction(msgspec.Struct, kw_only=True, frozen=True):
    """The prediction that a label brings with it, by receipt or by its own fields."""

    model: str
    version: str
    variant: str
    time: float  # epoch seconds
    prediction: float | None
    label: str | None  # canonical text of the predicted class
    segments: dict[str, str]


class Label(msgspec.Struct, kw_only=True, frozen=True):
    """A label as read: it has an id, or its prediction, or both."""

    actual: str | float | None  # a text or a number; None if it is retracted without one
    id: str | None
    model: str | None  # beside an id, if only the predictions of this model are meant
    prediction: LabelledPrediction | None
    revision: int
    retracted: bool


class LabelError(DecodingError):
    """These bytes are no label; ``reason`` is that of its dead letter.

    ``field`` is the field that is wrong, "" if it is the record as a whole.
    """

    def __init__(self, reason: LabelReason, why: str, field: str = "") -> None:
        super().__init__(why)
        self.reason: LabelReason = reason
        self.field = field


#: What a label that names its prediction by id or receipt doesn't have: they would contradict it.
_OF_A_PREDICTION = ("version", "variant", "time", "prediction", "label", "segments")


def read_label(
    value: bytes | None, keys: Sequence[bytes] = (), *, latest: float = _LATEST
) -> Label:
    """Read a label event; raises :class:`LabelError` and nothing else.

    ``keys`` are those that receipts must be signed by, if there are any. ``latest`` is the latest
    time, in epoch seconds, that a prediction can have. A CloudEvent in structured mode is opened.

    >>> read_label(b'{"id": "a", "actual": true}').actual
    'true'
    >>> read_label(b'{"actual": 1}')
    Traceback (most recent call last):
    tidegauge.contract.label.LabelError: it names no prediction: expected id, or receipt, or model,\
 version and time
    """
    try:
        return _read(value, keys, latest)
    except LabelError as refused:
        # Not before: no label is in an envelope by chance, and it would cost all of them.
        if not value or refused.reason != "invalid_record" or b'"specversion"' not in value:
            raise
        from tidegauge.contract.cloudevents import unwrap

        try:
            record = unwrap(value)
        except DecodingError:
            raise refused from None
        if record == value:
            raise
        return _read(record, keys, latest)


def _read(value: bytes | None, keys: Sequence[bytes], latest: float) -> Label:
    event = _decode(value)
    actual = _actual(event)
    prediction = None
    name: str | None = event.id
    if event.receipt is not None:
        _refuse(event, ("id", "model", *_OF_A_PREDICTION), "a receipt")
        prediction, name = _of_receipt(event.receipt, keys)
    elif any(getattr(event, field) is not None for field in _OF_A_PREDICTION):
        prediction = _own_prediction(event)
    elif event.id is None:
        raise LabelError(
            "invalid_record",
            "it names no prediction: expected id, or receipt, or model, version and time",
        )
    if prediction is not None and not 0 <= prediction.time <= latest:
        raise LabelError(
            "invalid_time",
            f"the prediction's time is {prediction.time}, expected epoch seconds up to {latest}",
            "time" if event.receipt is None else "receipt",
        )
    if name is None and (event.retracted or event.revision):
        raise LabelError(
            "invalid_record", "without an id a label can't be retracted or have a revision", "id"
        )
    return Label(
        actual=actual,
        id=name,
        model=event.model if prediction is None else None,
        prediction=prediction,
        revision=event.revision,
        retracted=event.retracted,
    )


#: Where msgspec says that something is wrong.
_PATH = re.compile(r" - at `\$\.(\w+)")


@lru_cache(maxsize=1)
def _decoder() -> "msgspec.json.Decoder[LabelEvent]":
    return msgspec.json.Decoder(LabelEvent)


def _decode(value: bytes | None) -> LabelEvent:
    if not value:
        raise LabelError("empty", "the record has no value")
    try:
        return _decoder().decode(value)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        raise LabelError("invalid_record", str(error), found[1] if found else "") from error
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            value.decode()
        except UnicodeDecodeError as other:
            raise LabelError("invalid_utf8", str(other)) from error
        raise LabelError("invalid_json", str(error) or "nested too deeply") from error
    except ValueError as error:  # a text that is not UTF-8, or half a surrogate pair
        raise LabelError("invalid_utf8", str(error)) from error


def _actual(event: LabelEvent) -> str | float | None:
    actual = event.actual
    if isinstance(actual, float):
        return actual
    if isinstance(actual, bool):
        return class_text(actual)
    if isinstance(actual, int):
        return float(actual) if abs(actual) <= _EXACT else _checked(str(actual))
    if isinstance(actual, str):
        return _checked(actual.strip())
    if not event.retracted:
        raise LabelError(
            "invalid_record", "actual is missing, expected a number, text or boolean", "actual"
        )
    return None


def _checked(text: str) -> str:
    if not text or len(text) > CLASS_CHARACTERS:
        raise LabelError(
            "invalid_record",
            f"actual has {len(text)} characters, expected 1 to {CLASS_CHARACTERS}",
            "actual",
        )
    if text in NON_FINITE:
        raise LabelError(
            "invalid_record", f"actual is {text}, expected a class or a finite number", "actual"
        )
    return text


def _refuse(event: LabelEvent, fields: Sequence[str], beside: str) -> None:
    for field in fields:
        if getattr(event, field) is not None:
            raise LabelError(
                "invalid_record",
                f"{field} stands beside {beside}, which has it: leave one out",
                field,
            )


def _of_receipt(text: str, keys: Sequence[bytes]) -> tuple[LabelledPrediction, str | None]:
    try:
        found = read_receipt(text, keys)
    except DecodingError as error:
        raise LabelError("invalid_receipt", str(error), "receipt") from error
    return LabelledPrediction(
        model=found.model,
        version=found.version,
        variant=found.variant,
        time=found.time,
        prediction=found.prediction,
        label=None if found.label is None else class_text(found.label),
        segments=found.segments or {},
    ), found.id


def _own_prediction(event: LabelEvent) -> LabelledPrediction:
    if event.model is None or event.version is None or event.time is None:
        missing = [name for name in ("model", "version", "time") if getattr(event, name) is None]
        given = next(field for field in _OF_A_PREDICTION if getattr(event, field) is not None)
        raise LabelError(
            "invalid_record",
            f"{given} is given, and not {', '.join(missing)}: a label by id or receipt has none of "
            "these, one that brings its prediction has all",
            given,
        )
    if event.prediction is None and event.label is None:
        raise LabelError(
            "invalid_record", "prediction and label are missing, expected one of them", "prediction"
        )
    return LabelledPrediction(
        model=event.model,
        version=event.version,
        variant=event.variant or "",
        time=epoch_seconds(event.time),
        prediction=event.prediction,
        label=None if event.label is None else class_text(event.label),
        segments=event.segments or {},
    )
