"""How good a model is, from counts: figures, coverage, delay, and what has become worse."""

import math
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from fractions import Fraction
from typing import TypeVar

import msgspec
import numpy as np

from tidegauge import stats
from tidegauge.contract import (
    LAG_EDGES,
    SCORE_BINS,
    SUM_UNIT,
    BinaryTarget,
    Figure,
    MulticlassTarget,
    NoFigure,
    Performance,
    RegressionTarget,
    no_figure,
)
from tidegauge.outcomes.counts import REGRESSION_SUMS, OutcomeCounts
from tidegauge.outcomes.exact import EXACT_UNITS
from tidegauge.outcomes.labelled_rows import SQUARED_LOSS_UNIT, Integers

K = TypeVar("K", bound=Hashable)

#: Figures of which neither more nor less is better, or that may be below 0 by chance: no share of
#: them is worse. Quantiles of residuals are more of them.
WITHOUT_DIRECTION = frozenset({"mean_error", "squared_calibration_error"})

#: Figures of which less is better.
LESS_IS_BETTER = frozenset(
    {
        "mae", "rmse", "mape", "log_loss", "brier", "calibration_error", "label_delay_p50",
        "label_delay_p90",
    }
)  # fmt: skip

#: Sums of numbers that aren't negative.
_NEVER_NEGATIVE = (
    "absolute", "squared", "fourth", "relative", "relative_squared", "actual_squared",
    "actual_fourth", "squared_by_actual_squared",
)  # fmt: skip

#: The width of a score bin, in the unit of sums of scores.
_BIN_UNITS = round(1 / SUM_UNIT) // SCORE_BINS

_OTHER = "(other)"


def merged(strata: Iterable[tuple[K, OutcomeCounts]]) -> dict[K, list[OutcomeCounts]]:
    """Add up the counts of each key, such as (version, variant) or a group of a dimension.

    Counts of different targets can't be added up: there is one entry for each target of a key, in
    the order of their first stratum.
    """
    found: dict[K, list[OutcomeCounts]] = {}
    for key, counts in strata:
        held = found.setdefault(key, [])
        for its in held:
            if its.target == counts.target:
                its.merge(counts)
                break
        else:
            held.append(OutcomeCounts(counts.target).merge(counts))
    return found


def performance_of(counts: OutcomeCounts) -> Performance:
    """Return everything about counts that have been added up.

    Where a count is negative, because a correction was read before what it corrects, or counts
    contradict each other, every figure has the reason ``counts_incomplete``.
    """
    target = counts.target
    found = Performance(
        predicted=int(counts.predicted.sum()),
        labelled=int(counts.lags.sum()),
        figures=figures_of(counts),
    )
    if isinstance(target, RegressionTarget):
        found.without_prediction = found.labelled - counts.n
        return found
    matrix = confusion_of(counts)
    found.without_prediction = int(counts.labelled.sum() - matrix.sum())
    found.without_score = int(counts.labelled.sum() - counts.score_counts.sum())
    found.confusion = matrix.tolist()
    found.classes = list(target.texts)
    if isinstance(target, MulticlassTarget):
        found.classes.append(_OTHER)
    else:
        found.disagreeing = _disagreeing(counts, target)
    if _complete(counts):
        with suppress(ArithmeticError, ValueError):  # sums that no scores have; see figures_of
            found.reliability = stats.reliability(probabilities_of(counts))
    return found


def figures_of(counts: OutcomeCounts) -> dict[str, Figure]:
    """Return the figures of labelled predictions, by name.

    - binary: accuracy, precision, recall, f1, specificity, balanced_accuracy, auc, pr_auc
    - multiclass: accuracy (micro precision, recall and F1 are the same), precision, recall
      (balanced_accuracy is the same) and f1, averaged over classes, each ``_weighted`` too
    - of both: log_loss, brier, calibration_error, squared_calibration_error; of several classes
      those of whether the predicted class is right
    - regression: mae, rmse, mape, r2, mean_error, residual_p05 … residual_p95
    - of all: label_coverage, label_delay_p50 and label_delay_p90 (seconds)
    """
    figures: dict[str, Figure] = {}
    if _complete(counts):
        # Of counts and sums that no predictions have, whoever sent them, there may be no figure.
        with suppress(ArithmeticError, ValueError):
            figures = _OF_PROBLEM[type(counts.target)](counts)
    if not figures or not all(map(_is_finite, figures.values())):
        empty = _OF_PROBLEM[type(counts.target)](OutcomeCounts(counts.target))
        return {
            name: no_figure("counts_incomplete")
            for name in [*empty, "label_coverage", "label_delay_p50", "label_delay_p90"]
        }
    return figures | {
        "label_coverage": coverage(int(counts.lags.sum()), int(counts.predicted.sum())),
        "label_delay_p50": delay_quantile(counts.lags, 0.5),
        "label_delay_p90": delay_quantile(counts.lags, 0.9),
    }


def coverage(labelled: int, predicted: int) -> Figure:
    """Return labelled ÷ predicted, with Wilson's interval.

    It is above 1, and has no interval, if labels came for predictions that were never sent.
    """
    if not predicted:
        return no_figure("no_predictions")
    value = labelled / predicted
    if labelled > predicted:
        return Figure(n=predicted, value=value)
    low, high = stats.wilson(labelled, predicted)
    return Figure(n=predicted, value=value, low=low, high=high, method="wilson")


def delay_quantile(lags: Integers, q: float) -> Figure:
    """Return the ``q``-quantile of the seconds from prediction to label, of labels that came."""
    return stats.residual_quantile([0.0, *LAG_EDGES], [0, *lags.tolist()], q)


def confusion_of(counts: OutcomeCounts) -> Integers:
    """Return labelled predictions by actual (rows) and predicted class; those without left out."""
    labelled = counts.labelled
    matrix = labelled.sum(axis=0) if isinstance(counts.target, BinaryTarget) else labelled
    return np.asarray(matrix[:, :-1])


def probabilities_of(counts: OutcomeCounts) -> stats.ProbabilityTable:
    """Return what is known of scores as probabilities: of the positive, or of being right."""
    return stats.ProbabilityTable(
        counts.score_counts,
        np.asarray(counts.score_sums * SUM_UNIT, dtype=np.float64),
        np.asarray(counts.score_squares * SUM_UNIT, dtype=np.float64),
        counts.log_loss[0] * SUM_UNIT,
        counts.log_loss[1] * SQUARED_LOSS_UNIT,
    )


def worsening(name: str, figure: Figure, reference: Figure) -> Figure:
    """Return by which share of the reference a figure is worse; below 0 if it is better.

    (reference - value) / |reference|, the other way round where less is better. The interval is
    that of the difference of two independent figures, by square-and-add of their intervals, as a
    share of the reference: above 0 at its lower end, the figure has become worse beyond chance.
    """
    if name in WITHOUT_DIRECTION or name.startswith("residual_"):
        return no_figure("without_direction", figure.n)
    value, base = figure.value, reference.value
    if value is None or base is None or not base:
        source = reference if value is not None else figure
        return no_figure(source.reason or "too_few", figure.n)
    sign = -1.0 if name in LESS_IS_BETTER else 1.0
    low = high = None
    ends = (figure.low, figure.high, reference.low, reference.high)
    if None not in ends:
        with suppress(OverflowError):
            low, high = stats.square_and_add(
                [
                    (sign / abs(base), base, reference.low or 0.0, reference.high or 0.0),
                    (-sign / abs(base), value, figure.low or 0.0, figure.high or 0.0),
                ]
            )
    return Figure(
        n=figure.n,
        value=sign * (base - value) / abs(base),
        low=low,
        high=high,
        method=msgspec.UNSET if low is None else "square_and_add",
        binning_error=(figure.binning_error + reference.binning_error) / abs(base),
    )


def _is_finite(figure: Figure) -> bool:
    # JSON has no other numbers: they would be written as no value, without a reason.
    return all(
        number is None or math.isfinite(number)
        for number in (figure.value, figure.low, figure.high, figure.binning_error)
    )


def _complete(counts: OutcomeCounts) -> bool:
    """Whether counts and sums can be those of predictions, with nothing taken back of others."""
    if min(int(counts.labelled.min()), int(counts.lags.min()), counts.n, counts.relative_n) < 0:
        return False
    if isinstance(counts.target, RegressionTarget):
        sums = dict(zip(REGRESSION_SUMS, counts.sums, strict=True))
        return min(sums[name] for name in _NEVER_NEGATIVE) >= 0
    held, sums_of = counts.score_counts, counts.score_sums
    if held.min() < 0:
        return False
    # The scores of a bin are in it: a sum of others is no sum of them.
    lower = np.arange(SCORE_BINS)[:, np.newaxis] * _BIN_UNITS
    return bool(((lower * held <= sums_of) & (sums_of <= (lower + _BIN_UNITS) * held)).all())


def _binary(counts: OutcomeCounts) -> dict[str, Figure]:
    table = confusion_of(counts)
    negatives, positives = counts.score_counts.T
    return {
        "accuracy": stats.accuracy(table),
        "precision": stats.precision(table),
        "recall": stats.recall(table),
        "f1": stats.f1(table),
        "specificity": stats.specificity(table),
        "balanced_accuracy": stats.balanced_accuracy(table),
        **_of_scores(
            counts,
            {
                "auc": stats.roc_auc(positives, negatives),
                "pr_auc": stats.average_precision(positives, negatives),
            },
        ),
    }


def _multiclass(counts: OutcomeCounts) -> dict[str, Figure]:
    table = confusion_of(counts)
    return {
        "accuracy": stats.class_accuracy(table),
        "balanced_accuracy": stats.average_recall_of_classes(table, "macro"),
        "precision": stats.average_precision_of_classes(table, "macro"),
        "recall": stats.average_recall_of_classes(table, "macro"),
        "f1": stats.average_f1_of_classes(table, "macro"),
        "precision_weighted": stats.average_precision_of_classes(table, "weighted"),
        "recall_weighted": stats.average_recall_of_classes(table, "weighted"),
        "f1_weighted": stats.average_f1_of_classes(table, "weighted"),
        **_of_scores(counts, {}),
    }


def _of_scores(counts: OutcomeCounts, ranking: dict[str, Figure]) -> dict[str, Figure]:
    table = probabilities_of(counts)
    found = ranking | {
        "log_loss": stats.log_loss(table),
        "brier": stats.brier(table),
        "calibration_error": stats.expected_calibration_error(table),
        "squared_calibration_error": stats.squared_calibration_error(table),
    }
    if table.n:
        return found
    reason: NoFigure = "no_scores" if counts.labelled.any() else "no_labels"
    return {name: no_figure(reason) for name in found}


def _regression(counts: OutcomeCounts) -> dict[str, Figure]:
    assert isinstance(counts.target, RegressionTarget)  # noqa: S101 - by the table below
    sums = stats.RegressionMoments(
        n=counts.n,
        relative_n=counts.relative_n,
        **{
            name: Fraction(total, EXACT_UNITS)
            for name, total in zip(REGRESSION_SUMS, counts.sums, strict=True)
        },
    )
    found = {
        "mae": stats.mean_absolute_error(sums),
        "rmse": stats.root_mean_squared_error(sums),
        "mape": stats.mean_absolute_percentage_error(sums),
        "r2": stats.r_squared(sums),
        "mean_error": stats.mean_error(sums),
    }
    residuals = counts.labelled.tolist()
    return found | {
        f"residual_p{round(q * 100):02}": stats.residual_quantile(
            counts.target.residual_edges, residuals, q
        )
        for q in stats.RESIDUAL_QUANTILES
    }


_OF_PROBLEM: dict[type, Callable[[OutcomeCounts], dict[str, Figure]]] = {
    BinaryTarget: _binary,
    MulticlassTarget: _multiclass,
    RegressionTarget: _regression,
}


def _disagreeing(counts: OutcomeCounts, target: BinaryTarget) -> int:
    """Count the rows whose class is not that of their score, outside the bin of the threshold."""
    at = min(int(target.threshold * SCORE_BINS), SCORE_BINS - 1)
    by_bin = counts.labelled.sum(axis=1)
    return int(by_bin[:at, 1].sum() + by_bin[at + 1 : SCORE_BINS, 0].sum())
