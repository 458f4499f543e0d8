"""The cell of outcomes: what one tenure of OUTCOMES has counted of a model's labels in one window.

It has all versions, variants and groups of the model as axes, since performance compares them. A
count is what the tenure has added: it is negative where a correction takes back what another tenure
counted.
"""

import zlib
from itertools import islice
from operator import lt
from typing import Annotated, Literal

import msgspec

from tidegauge.contract.record import Record, doc
from tidegauge.contract.target import OutcomeTarget

#: Bins of equal width on [0, 1] for a score; one more, the last, is for no score in that range.
SCORE_BINS = 128

#: Sums of scores and of log losses are integers in this unit, so that any order gives the same.
SUM_UNIT = 2.0**-30

_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600

#: Edges of the delay from prediction to label, seconds: bin i holds edges[i-1] ≤ delay < edges[i],
#: the outer bins are open (the first holds labels that came before their predictions too).
LAG_EDGES = (
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 3 * _DAY, 5 * _DAY, 7 * _DAY, 10 * _DAY, 14 * _DAY, 21 * _DAY, 30 * _DAY,
    45 * _DAY, 60 * _DAY,
)  # fmt: skip

#: Combinations of groups that a model has in a record; further ones are counted without groups.
MOST_GROUPS = 200

#: Strata of a record: an entry names its stratum by two bytes, of which 65535 is kept free.
MOST_STRATA = 65_535

#: No time is later: the year 2100, epoch seconds.
LATEST_TIME = 4_102_444_800

_LONGEST_WINDOW_SECONDS = 31 * _DAY
_MOST_DIMENSIONS = 10
_MOST_CELLS = 10_000
_MOST = 2**62  # a sum of two fits 64 bits

NameText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
NameOrEmpty = Annotated[str, msgspec.Meta(max_length=200)]
Groups = Annotated[
    dict[NameText, NameText],
    msgspec.Meta(
        max_length=_MOST_DIMENSIONS,
        description="Dimension and value of its groups; empty where none are counted.",
    ),
]
StratumIndex = Annotated[int, msgspec.Meta(ge=0, lt=MOST_STRATA)]
WindowStart = Annotated[
    int,
    msgspec.Meta(ge=0, le=LATEST_TIME, description="Start of the window, epoch seconds."),
]
_Integer = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]

#: More bins than the largest histogram here has: classes by classes, or score bins by classes.
_MOST_BINS = 10_000
_Bins = Annotated[
    list[Annotated[int, msgspec.Meta(ge=0, lt=_MOST_BINS)]],
    msgspec.Meta(max_length=_MOST_BINS, description="Bins that are not zero, ascending."),
]
_Integers = Annotated[list[_Integer], msgspec.Meta(max_length=_MOST_BINS)]


def outcome_partition(model: str, partitions: int) -> int:
    """Map a model to one of ``partitions``, where all its versions, variants and groups meet.

    >>> outcome_partition("credit", 8) == outcome_partition("credit", 8)
    True
    """
    return zlib.crc32(msgspec.json.encode([model])) % partitions


class SparseCounts(Record, omit_defaults=True):
    """A histogram by the bins that are not zero."""

    bins: _Bins = msgspec.field(default_factory=list)
    counts: Annotated[_Integers, doc("Count by bin, as many as bins.")] = msgspec.field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        _check(self.bins, self.counts)


class ScoreSums(Record, omit_defaults=True):
    """Counts and exact sums of scores, by the bins that are not zero."""

    bins: _Bins = msgspec.field(default_factory=list)
    counts: Annotated[_Integers, doc("Count by bin.")] = msgspec.field(default_factory=list)
    sums: Annotated[_Integers, doc("Sum of scores by bin, in units of 2^-30.")] = msgspec.field(
        default_factory=list
    )
    squares: Annotated[_Integers, doc("Sum of squared scores by bin, in units of 2^-30.")] = (
        msgspec.field(default_factory=list)
    )

    def __post_init__(self) -> None:
        _check(self.bins, self.counts, self.sums, self.squares)


def _check(bins: list[int], *values: list[int]) -> None:
    if any(len(each) != len(bins) for each in values):
        raise ValueError("bins and the lists beside it must have the same length")
    if not all(map(lt, bins, islice(bins, 1, None))):
        raise ValueError("bins must be ascending")


class BinaryCounts(Record, omit_defaults=True, tag="binary", tag_field="problem"):
    """Labelled predictions of a binary target."""

    outcomes: Annotated[
        SparseCounts,
        doc("By (score bin * 2 + actual) * 3 + predicted; predicted 2 is none."),
    ] = msgspec.field(default_factory=SparseCounts)
    scores: Annotated[
        ScoreSums, doc("Of predictions with a score in [0, 1], by score bin * 2 + actual.")
    ] = msgspec.field(default_factory=ScoreSums)
    log_loss: Annotated[_Integer, doc("Sum of log losses (nats), in units of 2^-30.")] = 0
    log_loss_squared: Annotated[_Integer, doc("Sum of their squares, in units of 2^-16.")] = 0


class MulticlassCounts(Record, omit_defaults=True, tag="multiclass", tag_field="problem"):
    """Labelled predictions of a target with k classes."""

    confusion: Annotated[
        SparseCounts,
        doc("By actual * (k + 2) + predicted; k is another class, and a predicted k + 1 is none."),
    ] = msgspec.field(default_factory=SparseCounts)
    confidence: Annotated[
        ScoreSums,
        doc(
            "Of predictions with a score in [0, 1], that of the predicted class, by score bin * 2 "
            "+ (1 if it was right, else 0)."
        ),
    ] = msgspec.field(default_factory=ScoreSums)
    log_loss: Annotated[
        _Integer,
        doc("Sum of log losses (nats) of whether the predicted class is right, in units of 2^-30."),
    ] = 0
    log_loss_squared: Annotated[_Integer, doc("Sum of their squares, in units of 2^-16.")] = 0


#: A mantissa and an exponent of two, such as 3p-1 for 1.5: no rounding, so that what a correction
#: takes back leaves nothing behind, and every order of the labels gives the same bytes.
ExactSum = Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,700}p-?[0-9]{1,4}$", max_length=710)]


class RegressionCounts(Record, omit_defaults=True, tag="regression", tag_field="problem"):
    """Labelled predictions of a number; e is prediction minus actual, y the actual.

    d is y minus the centre of the target. Sums are exact: "3p-1" is 3 * 2^-1. Those of higher
    powers are for intervals.
    """

    n: Annotated[_Integer, doc("Labelled predictions.")] = 0
    error: Annotated[ExactSum, doc("Σ e.")] = "0p0"
    absolute: Annotated[ExactSum, doc("Σ |e|.")] = "0p0"
    squared: Annotated[ExactSum, doc("Σ e².")] = "0p0"
    fourth: Annotated[ExactSum, doc("Σ e⁴.")] = "0p0"
    relative_n: Annotated[_Integer, doc("How many have a y that is not 0.")] = 0
    relative: Annotated[ExactSum, doc("Σ |e / y| of those.")] = "0p0"
    relative_squared: Annotated[ExactSum, doc("Σ (e / y)² of those.")] = "0p0"
    actual: Annotated[ExactSum, doc("Σ d.")] = "0p0"
    actual_squared: Annotated[ExactSum, doc("Σ d².")] = "0p0"
    actual_cubed: Annotated[ExactSum, doc("Σ d³.")] = "0p0"
    actual_fourth: Annotated[ExactSum, doc("Σ d⁴.")] = "0p0"
    squared_by_actual: Annotated[ExactSum, doc("Σ e² d.")] = "0p0"
    squared_by_actual_squared: Annotated[ExactSum, doc("Σ e² d².")] = "0p0"
    residuals: Annotated[SparseCounts, doc("By the bins of the target's residual_edges.")] = (
        msgspec.field(default_factory=SparseCounts)
    )


OutcomeTally = BinaryCounts | MulticlassCounts | RegressionCounts


class StratumCounts(Record, omit_defaults=True):
    """What a cell has counted of one version, variant and combination of groups."""

    version: Annotated[NameText, doc("Version of the model.")]
    baseline: Annotated[NameText, doc("Id of the baseline that has the target.")]
    target: Annotated[StratumIndex, doc("Index of its target in the targets of the cell.")]
    labelled: Annotated[OutcomeTally, doc("Labelled predictions.")]
    variant: Annotated[NameOrEmpty, doc("Variant of the version; empty if it has none.")] = ""
    groups: Groups = msgspec.field(default_factory=dict)
    lags: Annotated[
        SparseCounts,
        doc("Labelled predictions by how long after the prediction the label arrived."),
    ] = msgspec.field(default_factory=SparseCounts)
    predicted: Annotated[
        SparseCounts,
        doc(
            "All predictions, labelled or not, of a cohort: by score bin * codes of predictions + "
            "code of the predicted class (3 codes if binary, k + 2 of k classes, 1 of a number)."
        ),
    ] = msgspec.field(default_factory=SparseCounts)
    joinable: Annotated[
        _Integer, doc("Predictions of a cohort that are kept, so that a label finds them by id.")
    ] = 0


class OutcomeCell(Record):
    """What one tenure has counted of a model's labels in one window."""

    model: Annotated[NameText, doc("Name of the model.")]
    kind: Annotated[
        Literal["cohort", "arrival"],
        doc("cohort: window of the time of prediction; arrival: of when the label arrived."),
    ]
    window_start: WindowStart
    window_seconds: Annotated[
        int,
        msgspec.Meta(gt=0, le=_LONGEST_WINDOW_SECONDS, description="Length of the window."),
    ]
    targets: Annotated[
        list[OutcomeTarget],
        msgspec.Meta(min_length=1, max_length=_MOST_CELLS, description="What strata refer to."),
    ]
    strata: Annotated[
        list[StratumCounts],
        msgspec.Meta(
            min_length=1,
            max_length=_MOST_CELLS,
            description="Each version, variant and combination of groups once.",
        ),
    ]

    def __post_init__(self) -> None:
        if self.window_start % self.window_seconds:
            raise ValueError("window_start is no multiple of window_seconds")
        for at, stratum in enumerate(self.strata):
            if stratum.target >= len(self.targets):
                raise ValueError(f"strata[{at}] has target {stratum.target} of {len(self.targets)}")
            problem = self.targets[stratum.target].problem
            found = stratum.labelled.__struct_config__.tag
            if problem != found:
                raise ValueError(f"strata[{at}] counts {found}, and its target is {problem}")


OutcomeCells = Annotated[list[OutcomeCell], msgspec.Meta(max_length=_MOST_CELLS)]
