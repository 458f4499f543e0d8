"""Figures of several classes, from the confusion matrix: exact.

Every function takes a square matrix of counts, rows the actual class, columns the predicted one. A
class that a figure isn't defined of, such as precision of one that was never predicted, is left out
of its average, as scikit-learn does with ``zero_division=np.nan``. Raises ``ValueError`` if the
matrix isn't square, or a count is negative.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.contract import Figure, NoFigure, no_figure
from tidegauge.stats._shares import Floats
from tidegauge.stats.intervals import normal_interval, proportion, square_and_add, wilson

Average = Literal["macro", "weighted"]


def class_accuracy(confusion: ArrayLike) -> Figure:
    """Return the share of predictions that were right; it is micro precision, recall and F1, too.

    >>> class_accuracy([[5, 1, 0], [0, 3, 1], [0, 0, 0]]).value
    0.8
    """
    counts = _square(confusion)
    n = counts.sum()
    return proportion(float(np.trace(counts)), float(n)) if n else no_figure("no_labels")


def average_precision_of_classes(confusion: ArrayLike, average: Average) -> Figure:
    """Return the mean precision of classes, plain (macro) or by actual rows (weighted).

    The interval adds up Wilson's of the classes, the weights as they are.

    >>> average_precision_of_classes([[8, 2], [2, 2]], "macro").value
    0.65
    """
    counts = _square(confusion)
    return _average(counts, counts.sum(axis=0), average, "no_predictions")


def average_recall_of_classes(confusion: ArrayLike, average: Average) -> Figure:
    """Return the mean recall of classes; the macro average is the balanced accuracy.

    >>> average_recall_of_classes([[8, 2], [2, 2]], "macro").value
    0.65
    """
    counts = _square(confusion)
    return _average(counts, counts.sum(axis=1), average, "no_labels")


def average_f1_of_classes(confusion: ArrayLike, average: Average) -> Figure:
    """Return the mean F1 of classes. The interval is by the delta method on the matrix.

    Where that has no width, because all is right or all wrong, it is Wilson's of accuracy. The
    delta method takes the F1 of a class with a row or two, all of them wrong, for certain. So each
    end is at least as far as Wilson's of the classes add up to, with F1 = 2 J / (1 + J) of the
    proportion J = right / (actual or predicted); then the method is ``mover_wilson``.

    Source: Takahashi, Yamamoto, Kuchiba & Koyama 2022, "Confidence Interval for Micro-Averaged F1
    and Macro-Averaged F1 Scores".

    >>> average_f1_of_classes([[8, 2], [2, 2]], "macro").value
    0.65
    """
    counts = _square(confusion)
    n = float(counts.sum())
    if not n:
        return no_figure("no_labels")
    actual, right = counts.sum(axis=1), np.diag(counts)
    both = actual + counts.sum(axis=0)
    used = both > 0
    weights = used / used.sum() if average == "macro" else actual / n
    value = float((weights[used] * 2 * right[used] / both[used]).sum())
    f = np.divide(2 * right, both, out=np.zeros_like(both), where=used)
    # By one more row in a place of the matrix: -F / both for either class, + 2 / both if right.
    slope = np.divide(weights, both, out=np.zeros_like(both), where=used)
    gradient = -np.add.outer(slope * f, slope * f)
    gradient[np.diag_indices_from(gradient)] += 2 * slope
    if average == "weighted":
        gradient += ((f - value) / n)[:, np.newaxis]
    mean = float((counts * gradient).sum()) / n
    variance = float((counts * np.square(gradient - mean)).sum())
    if variance * n > 1e-18:
        low, high = normal_interval(value, variance, 0.0, 1.0)
        least, most = square_and_add(
            [
                (float(weights[i]), float(f[i]), *_f1_interval(float(right[i]), float(both[i])))
                for i in np.flatnonzero(used)
            ]
        )
        return Figure(
            n=round(n),
            value=value,
            low=min(low, max(least, 0.0)),
            high=max(high, min(most, 1.0)),
            method="delta" if low <= least and high >= most else "mover_wilson",
        )
    low, high = wilson(float(right.sum()), n)
    return Figure(n=round(n), value=value, low=low, high=high, method="wilson")


def _f1_interval(right: float, both: float) -> tuple[float, float]:
    """Return Wilson's interval of the F1 of a class; ``both`` is its actual + predicted rows."""
    low, high = (2 * j / (1 + j) for j in wilson(right, both - right))
    return low, high


def _average(counts: Floats, of: Floats, average: Average, reason: NoFigure) -> Figure:
    """Average the shares of ``of`` that were right, over the classes that have any."""
    n = counts.sum()
    right, actual = np.diag(counts), counts.sum(axis=1)
    weights = np.where(of > 0, 1.0 if average == "macro" else actual, 0.0)
    if not n or not weights.sum():
        return no_figure(reason if n else "no_labels", round(n))
    weights /= weights.sum()
    terms = [
        (float(weights[i]), right[i] / of[i], *wilson(float(right[i]), float(of[i])))
        for i in np.flatnonzero(weights)
    ]
    low, high = square_and_add(terms)
    return Figure(
        n=round(n),
        value=float(sum(w * p for w, p, _, _ in terms)),
        low=float(max(low, 0.0)),
        high=float(min(high, 1.0)),
        method="mover_wilson",
    )


def _square(confusion: ArrayLike) -> Floats:
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.min(initial=0.0) < 0:
        raise ValueError(
            f"confusion: found shape {counts.shape}, expected counts of classes by classes"
        )
    return counts
