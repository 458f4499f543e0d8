"""Figures of two classes at the threshold, from the four counts of actual and predicted: exact.

Every function takes a table [[TN, FP], [FN, TP]]: rows are the actual class, columns the predicted
one, the negative class first (as ``sklearn.metrics.confusion_matrix`` gives it). Each returns a
value with its interval, or the reason why there is none. Raises ``ValueError`` if the table isn't
two by two, or a count is negative.
"""

import numpy as np
from numpy.typing import ArrayLike

from tidegauge.contract import Figure, no_figure
from tidegauge.stats.intervals import proportion, square_and_add, wilson


def accuracy(table: ArrayLike) -> Figure:
    """Return (TP + TN) / n: the share of predictions that were right.

    >>> accuracy([[50, 10], [5, 35]]).value
    0.85
    """
    tn, fp, fn, tp = _four(table)
    n = tn + fp + fn + tp
    return proportion(tp + tn, n) if n else no_figure("no_labels")


def precision(table: ArrayLike) -> Figure:
    """Return TP / (TP + FP): the share of positive predictions that were right.

    >>> precision([[50, 5], [5, 15]]).value, precision([[50, 0], [5, 0]]).reason
    (0.75, 'no_predicted_positives')
    """
    tn, fp, fn, tp = _four(table)
    if tn + fp + fn + tp == 0:
        return no_figure("no_labels")
    return proportion(tp, tp + fp) if tp + fp else no_figure("no_predicted_positives")


def recall(table: ArrayLike) -> Figure:
    """Return TP / (TP + FN): the share of actual positives that were found.

    >>> recall([[50, 10], [5, 15]]).value
    0.75
    """
    tn, fp, fn, tp = _four(table)
    if tn + fp + fn + tp == 0:
        return no_figure("no_labels")
    return proportion(tp, tp + fn) if tp + fn else no_figure("no_actual_positives")


def specificity(table: ArrayLike) -> Figure:
    """Return TN / (TN + FP): the share of actual negatives that were left alone.

    >>> specificity([[45, 15], [5, 15]]).value
    0.75
    """
    tn, fp, fn, tp = _four(table)
    if tn + fp + fn + tp == 0:
        return no_figure("no_labels")
    return proportion(tn, tn + fp) if tn + fp else no_figure("no_actual_negatives")


def f1(table: ArrayLike) -> Figure:
    """Return 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    With J = TP / (TP + FP + FN), F1 = 2 J / (1 + J) is a monotone function of a proportion: the
    interval is Wilson's of J, carried over.

    >>> round(f1([[50, 10], [5, 15]]).value, 4), f1([[9, 0], [0, 0]]).reason
    (0.6667, 'no_actual_positives')
    """
    tn, fp, fn, tp = _four(table)
    n = tp + fp + fn
    if tn + n == 0:
        return no_figure("no_labels")
    if n == 0:
        return no_figure("no_actual_positives")
    value, low, high = (2 * j / (1 + j) for j in (tp / n, *wilson(tp, n)))
    return Figure(n=round(n), value=value, low=low, high=high, method="wilson_jaccard")


def balanced_accuracy(table: ArrayLike) -> Figure:
    """Return (recall + specificity) / 2: accuracy as if both classes were equally common.

    The interval adds up those of the two independent proportions.

    >>> balanced_accuracy([[45, 15], [10, 10]]).value
    0.625
    """
    tn, fp, fn, tp = _four(table)
    if tn + fp + fn + tp == 0:
        return no_figure("no_labels")
    if not (tp + fn and tn + fp):
        return no_figure("one_class_only", round(tn + fp + fn + tp))
    sides = [(0.5, hits / n, *wilson(hits, n)) for hits, n in ((tp, tp + fn), (tn, tn + fp))]
    low, high = square_and_add(sides)
    return Figure(
        n=round(tn + fp + fn + tp),
        value=sum(w * p for w, p, _, _ in sides),
        low=max(low, 0.0),
        high=min(high, 1.0),
        method="mover_wilson",
    )


def _four(table: ArrayLike) -> tuple[float, float, float, float]:
    counts = np.asarray(table)
    if counts.shape != (2, 2) or counts.min() < 0:
        raise ValueError(f"table: found {counts.tolist()}, expected [[TN, FP], [FN, TP]]")
    (tn, fp), (fn, tp) = counts.tolist()
    return tn, fp, fn, tp
