"""A figure of performance: a value with its uncertainty, or the reason why there is none."""

from typing import Annotated, Literal

import msgspec

from tidegauge.contract.record import Record, doc

NoFigure = Literal[
    "no_labels",
    "no_predictions",
    "no_scores",
    "one_class_only",
    "no_actual_positives",
    "no_actual_negatives",
    "no_predicted_positives",
    "constant_actuals",
    "actuals_are_zero",
    "beyond_residual_bins",
    "too_few",
    "no_earlier_cohorts",
    "unfamiliar_scores",
    "counts_incomplete",
    "without_direction",
]

IntervalMethod = Literal[
    "wilson",
    "wilson_jaccard",
    "square_and_add",
    "mover_wilson",
    "delong_logit",
    "logit",
    "normal",
    "log_normal",
    "delta",
    "half_normal_bound",
    "order_statistics",
    "cbpe",
]


class Figure(Record, omit_defaults=True):
    """A figure, or the reason why there is none: never a 0 in its place."""

    n: Annotated[
        int,
        doc("What it is a figure of: labelled predictions, or as many of them as it is about."),
    ]
    value: Annotated[float | None, doc("Null if there is a reason.")] = None
    reason: Annotated[
        NoFigure | msgspec.UnsetType, doc("Why there is no value; absent if there is one.")
    ] = msgspec.UNSET
    low: Annotated[float | None, doc("Lower end of the 95 % interval; null if unknown.")] = None
    high: Annotated[float | None, doc("Upper end of the 95 % interval.")] = None
    method: Annotated[IntervalMethod | msgspec.UnsetType, doc("Of the interval.")] = msgspec.UNSET
    binning_error: Annotated[
        float,
        doc(
            "The figure of the raw rows is at most this far from the value; 0 if it is exact. Not "
            "part of the interval, which is about chance."
        ),
    ] = 0.0
    estimated: Annotated[
        bool, doc("True if it was estimated from scores, before the labels came.")
    ] = False
    interval_n: Annotated[
        int | msgspec.UnsetType,
        doc(
            "Rows that the interval rests on, if fewer than n: of auc those of the smaller class, "
            "of pr_auc the positives."
        ),
    ] = msgspec.UNSET


class ReliabilityBin(Record):
    """One point of the reliability curve: predictions whose scores are in one bin."""

    lower: Annotated[float, doc("Lower edge of the bin.")]
    upper: Annotated[float, doc("Upper edge.")]
    n: Annotated[int, doc("Labelled predictions in it.")]
    mean_score: Annotated[float, doc("Mean of their scores.")]
    rate: Annotated[float, doc("Share of them that is positive, or right if of several classes.")]
    low: Annotated[float, doc("Lower end of the 95 % interval of the rate (Wilson).")]
    high: Annotated[float, doc("Upper end.")]


def no_figure(reason: NoFigure, n: int = 0) -> Figure:
    """Return a figure without a value.

    >>> no_figure("no_labels").value is None
    True
    """
    return Figure(n=n, reason=reason)


class Performance(Record, omit_defaults=True):
    """How good a model's predictions were, by the labels that have come."""

    predicted: Annotated[int, doc("Predictions, with a label or not.")]
    labelled: Annotated[int, doc("Those with a label.")]
    figures: Annotated[dict[str, Figure], doc("By name, such as accuracy, auc or mae.")]
    confusion: Annotated[
        list[list[int]],
        doc(
            "Labelled predictions by actual (rows) and predicted class, in the order of classes; "
            "empty of numbers."
        ),
    ] = msgspec.field(default_factory=list)
    classes: Annotated[
        list[str], doc("Those of the matrix; of a binary target the negative one first.")
    ] = msgspec.field(default_factory=list)
    reliability: Annotated[
        list[ReliabilityBin], doc("The reliability curve; of scores in [0, 1] alone.")
    ] = msgspec.field(default_factory=list)
    without_prediction: Annotated[
        int, doc("Labelled, but no class was predicted and no usable number.")
    ] = 0
    without_score: Annotated[int, doc("Labelled, but without a score in [0, 1].")] = 0
    disagreeing: Annotated[
        int,
        doc(
            "Labelled, with a predicted class that the threshold wouldn't give; rows in the score "
            "bin of the threshold are not looked at."
        ),
    ] = 0


class TrackRecord(Record, omit_defaults=True):
    """How often the interval of an estimate held the figure that the labels showed later."""

    cohorts: Annotated[dict[str, int], doc("Mature cohorts that were compared, by figure.")] = (
        msgspec.field(default_factory=dict)
    )
    held: Annotated[dict[str, int], doc("Those in which the interval held.")] = msgspec.field(
        default_factory=dict
    )


class EstimatedPerformance(Record, omit_defaults=True):
    """Figures of predictions before their labels have come.

    By the rates that the same scores came true with earlier: blind to concept drift, by which the
    same scores come true less often.
    """

    figures: Annotated[
        dict[str, Figure],
        doc("accuracy, f1 and auc of two classes, accuracy of several; none of numbers."),
    ]
    record: Annotated[TrackRecord, doc("How often such intervals held.")]
