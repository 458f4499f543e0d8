"""Predictions and labels on their way to the join, on the topic ``tidegauge.outcomes``.

INGEST writes both, in the transactions that it has, and OUTCOMES reads them. Entries of many
predictions are packed into one text: a record has thousands of them.
"""

from typing import Annotated

import msgspec

from tidegauge.contract.outcome_cell import (
    LATEST_TIME,
    MOST_STRATA,
    Groups,
    NameOrEmpty,
    NameText,
    SparseCounts,
    StratumIndex,
    WindowStart,
)
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc
from tidegauge.contract.target import OutcomeTarget

_Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST_TIME)]


class Stratum(Record, omit_defaults=True):
    """What entries of a record share; they name it by its index."""

    model: Annotated[NameText, doc("Name of the model.")]
    version: Annotated[NameText, doc("Version of the model.")]
    baseline: Annotated[NameText, doc("Id of the baseline that has the target.")]
    target: Annotated[StratumIndex, doc("Index of its target in targets.")]
    variant: Annotated[NameOrEmpty, doc("Variant of the version; empty if it has none.")] = ""
    groups: Groups = msgspec.field(default_factory=dict)


class PredictedCounts(Record, omit_defaults=True):
    """Predictions of one stratum and cohort since the writer's previous record."""

    stratum: Annotated[StratumIndex, doc("Index of the stratum.")]
    cohort_start: WindowStart
    counts: Annotated[
        SparseCounts,
        doc("By score bin and predicted class: bin * codes of predictions + code."),
    ]


_Strata = Annotated[
    list[Stratum], msgspec.Meta(max_length=MOST_STRATA, description="What entries refer to.")
]
_Targets = Annotated[
    list[OutcomeTarget],
    msgspec.Meta(max_length=MOST_STRATA, description="What strata refer to."),
]


class PredictionsRecord(Record, omit_defaults=True, tag="predictions", tag_field="kind"):
    """Predictions that labels may find by their id, and counts of all predictions.

    Entries are in the partition id hash mod partitions; ``predicted`` is in that of
    :func:`outcome_partition` of the model.
    """

    time: Annotated[_Time, doc("When it was written, epoch seconds.")]
    strata: _Strata = msgspec.field(default_factory=list)
    targets: _Targets = msgspec.field(default_factory=list)
    entries: Annotated[
        bytes,
        doc(
            "24 bytes each, little-endian: id hash (u64, XXH3 of UTF-8), value (f64), time (u32, "
            "epoch seconds), predicted class (u16, 65535: none), stratum (u16)."
        ),
    ] = b""
    predicted: Annotated[
        list[PredictedCounts],
        msgspec.Meta(
            max_length=100_000,
            description="All predictions of the strata since the writer's previous record, with "
            "an id or not, whether they can be joined or not.",
        ),
    ] = msgspec.field(default_factory=list)
    schema_version: SchemaVersion = SCHEMA_VERSION


class LabelsRecord(Record, omit_defaults=True, tag="labels", tag_field="kind"):
    """Labels on their way to their predictions, or with them.

    In the partition id hash mod partitions; of a label without id, in :func:`outcome_partition` of
    its model.
    """

    time: Annotated[_Time, doc("When it was written, epoch seconds.")]
    topic: Annotated[NameText, doc("The topic of the labels.")]
    strata: Annotated[_Strata, doc("What predictions refer to.")] = msgspec.field(
        default_factory=list
    )
    targets: _Targets = msgspec.field(default_factory=list)
    texts: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=200)]],
        msgspec.Meta(max_length=65_535, description="Actuals that are texts."),
    ] = msgspec.field(default_factory=list)
    labels: Annotated[
        bytes,
        doc(
            "44 bytes each, little-endian: id hash (u64), actual (f64), arrived (f64, epoch "
            "seconds), offset (u64), revision (u32), partition (u32), text (u16: index in texts, "
            "65535: the number actual), flags (u8: 1 retracted, 2 with its prediction, 4 without "
            "id, 8 of the named model only), 0 (u8)."
        ),
    ] = b""
    predictions: Annotated[
        bytes, doc("Predictions of the labels with flag 2, in their order; as entries.")
    ] = b""
    models: Annotated[
        list[NameText],
        msgspec.Meta(max_length=65_535, description="Models that labels by id name."),
    ] = msgspec.field(default_factory=list)
    model_index: Annotated[
        bytes, doc("Index in models of the labels with flag 8, in their order; u16 each.")
    ] = b""
    schema_version: SchemaVersion = SCHEMA_VERSION


OutcomeInput = PredictionsRecord | LabelsRecord
