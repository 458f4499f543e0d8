"""Labelled predictions by column: which bins they are of, and what they add to sums.

All of a target are looked at together, whichever counts they go to: it costs as much to begin with
a few rows as to go through a thousand.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.contract import (
    LAG_EDGES,
    SCORE_BINS,
    SUM_UNIT,
    BinaryTarget,
    OutcomeTarget,
    RegressionTarget,
)
from tidegauge.outcomes.exact import surprisal
from tidegauge.stats import Bools, Floats, Places

Integers = NDArray[np.int64]
Codes = NDArray[np.uint16]

#: Squared log losses reach 1,300 a row: their sum is in units of 2^-16.
SQUARED_LOSS_UNIT = 2.0**-16

#: As scikit-learn does, so that no single row has an infinite loss.
_LEAST_SHARE = float(np.finfo(np.float64).eps)

#: Numbers beyond this are no predictions: their fourth power would be infinite.
_MOST_NUMBER = 1e70


class ClassRows(NamedTuple):
    """Labelled predictions of classes, one entry each.

    ``places`` are bins of ``OutcomeCounts.labelled``, ``score_places`` of its scores, where each
    counts ``scored`` (0 without a score in [0, 1]) and adds to the sums; ``losses`` are log losses
    and their squares. All are in the units of the sums.
    """

    places: Places
    score_places: Places
    scored: Integers
    scores: Integers
    squares: Integers
    losses: Integers
    squared_losses: Integers
    lags: Places

    def at(self, its: slice | Places) -> "ClassRows":
        """Return some of them."""
        return ClassRows(*(column[its] for column in self))


class NumberRows(NamedTuple):
    """Labelled predictions of a number, one entry each.

    ``usable`` are those that count, in bins ``places`` of residuals; ``terms`` has the rows of
    ``REGRESSION_SUMS``, 0 where a prediction is not usable, or not ``relative`` to its actual.
    """

    places: Places
    usable: Bools
    relative: Bools
    terms: Floats
    lags: Places

    def at(self, its: slice | Places) -> "NumberRows":
        """Return some of them."""
        return NumberRows(
            self.places[its],
            self.usable[its],
            self.relative[its],
            self.terms[:, its],
            self.lags[its],
        )


LabelledRows = ClassRows | NumberRows


def labelled_rows(
    target: OutcomeTarget, value: Floats, predicted: Codes, actual: Floats, lag: Floats
) -> LabelledRows:
    """Return the columns of labelled predictions, which ``OutcomeCounts.add`` describes.

    Raises ``ValueError`` if an actual is no code of the target.
    """
    lags = np.searchsorted(np.asarray(LAG_EDGES), lag, side="right")
    if isinstance(target, RegressionTarget):
        return _number_rows(target, value, actual, lags)
    classes = np.asarray(actual).astype(np.intp)
    if len(classes) and not 0 <= classes.min() <= classes.max() < target.actual_codes:
        raise ValueError(
            f"actual: found a code of {classes.min()} to {classes.max()}, expected 0 to "
            f"{target.actual_codes - 1}"
        )
    codes = predicted_codes(target, value, predicted)
    none = target.predicted_codes - 1
    bins, scored = _score_bins(value), (value >= 0) & (value <= 1)
    if isinstance(target, BinaryTarget):
        places = (bins * 2 + classes) * target.predicted_codes + codes
        hit = classes
    else:
        places = classes * target.predicted_codes + codes
        # Without a predicted class a score is of none.
        scored &= codes < none
        hit = (codes == classes).astype(np.intp)
    one = scored.astype(np.int64)
    value = np.where(scored, value, 0.0)
    share = np.where(hit == 1, value, 1 - value)
    loss = surprisal(np.clip(share, _LEAST_SHARE, 1 - _LEAST_SHARE))
    return ClassRows(
        places=places,
        score_places=np.where(scored, bins * 2 + hit, 0),
        scored=one,
        scores=_units(value, SUM_UNIT),
        squares=_units(value * value, SUM_UNIT),
        losses=_units(loss, SUM_UNIT) * one,
        squared_losses=_units(loss * loss, SQUARED_LOSS_UNIT) * one,
        lags=lags,
    )


def _units(values: Floats, unit: float) -> Integers:
    return np.rint(values / unit).astype(np.int64)


def _number_rows(
    target: RegressionTarget, value: Floats, actual: Floats, lags: Places
) -> NumberRows:
    usable = (np.abs(value) <= _MOST_NUMBER) & (np.abs(actual) <= _MOST_NUMBER)
    y = np.where(usable, actual, 0.0)
    e = np.where(usable, value, 0.0) - y
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.abs(e / y)
    is_relative = usable & (ratio <= _MOST_NUMBER)
    ratio = np.where(is_relative, ratio, 0.0)
    d = np.where(usable, y - target.centre, 0.0)
    ee, dd = e * e, d * d
    terms = (
        e, np.abs(e), ee, ee * ee, ratio, ratio * ratio,
        d, dd, dd * d, dd * dd, ee * d, ee * dd,
    )  # fmt: skip
    places = np.searchsorted(np.asarray(target.residual_edges), e, side="right")
    return NumberRows(places, usable, is_relative, np.array(terms), lags)


def predicted_codes(target: OutcomeTarget, value: Floats, predicted: Codes) -> Places:
    """Return the code of each predicted class: of 0 … ``target.predicted_codes`` - 1.

    ``predicted`` has codes of classes, or ``NONE``. A binary prediction without a class
    is of the positive one if its score is the threshold or more. The last code is none; a number
    has code 0 alone.
    """
    if isinstance(target, RegressionTarget):
        return np.zeros(len(value), dtype=np.intp)
    none = target.predicted_codes - 1
    if isinstance(target, BinaryTarget) and len(predicted) and predicted.min() >= none:
        # As most are: without a look at each.
        codes = (value >= target.threshold).astype(np.intp)
        finite = np.isfinite(value)
        return codes if finite.all() else np.where(finite, codes, none)
    codes = np.minimum(predicted, none).astype(np.intp)
    if isinstance(target, BinaryTarget):
        scored = (codes == none) & np.isfinite(value)
        codes = np.where(scored, value >= target.threshold, codes)
    return codes


def prediction_bins(target: OutcomeTarget, value: Floats, predicted: Codes) -> Places:
    """Return score bin * codes of predictions + code, by which all predictions are counted.

    The score bin is floor(128 * score), the last but one of a score of 1, and 128 of none in
    [0, 1]; of a number 0.
    """
    codes = predicted_codes(target, value, predicted)
    if isinstance(target, RegressionTarget):
        return codes
    return _score_bins(value) * target.predicted_codes + codes


def _score_bins(value: Floats) -> Places:
    if len(value) and 0 <= value.min() <= value.max() <= 1:
        bins = (value * SCORE_BINS).astype(np.intp)
        return np.minimum(bins, SCORE_BINS - 1, out=bins)
    scored = (value >= 0) & (value <= 1)
    bins = (np.where(scored, value, 0.0) * SCORE_BINS).astype(np.intp)
    return np.where(scored, np.minimum(bins, SCORE_BINS - 1), SCORE_BINS)
