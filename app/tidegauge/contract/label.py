"""The label event: what became of a prediction, sent whenever it is known."""

from typing import Annotated

import msgspec

from tidegauge.contract.prediction import Instant, NonEmpty
from tidegauge.contract.record import SCHEMA_VERSION, SchemaVersion, doc

#: Longest id of a prediction that a label can name, and longest receipt.
ID_CHARACTERS, RECEIPT_CHARACTERS = 1_000, 8_000

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

    actual: str | float | None  # canonical text or number; None if retracted
    id: str | None
    model: str | None  # beside an id without prediction: of this model only
    prediction: LabelledPrediction | None
    revision: int
    retracted: bool
