"""How well scores rank positives above negatives, from how many of each every score bin has.

Both functions take the counts of actual positives and of actual negatives by score bin, ascending.
Inside a bin the order is unknown, so that a figure is known up to ``binning_error``; what it would
be of the raw rows, ties or not, is within it. Raises ``ValueError`` if the bins don't pair up or a
count is negative.
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from tidegauge.contract import Figure, IntervalMethod, no_figure
from tidegauge.stats._shares import Floats, paired
from tidegauge.stats.intervals import logit_interval, wilson


def roc_auc(positives: ArrayLike, negatives: ArrayLike) -> Figure:
    """Return the area under the ROC curve: how often a positive has the higher score.

    It lies in [L, L + T], L = Σ_{b>b'} n⁺_b n⁻_b' / (n⁺ n⁻), T = Σ_b n⁺_b n⁻_b / (n⁺ n⁻): the value
    is L + T/2, the binning error T/2. The interval is DeLong's on the bins, on the logit scale; of
    scores that separate the classes, Wilson's of as many pairs as the smaller class has rows.
    It doesn't depend on what the scores of the bins are, so no monotone calibration changes it. The
    area of two windows together is not the mean of their areas: add up the counts.

    Source: DeLong, DeLong & Clarke-Pearson 1988, "Comparing the Areas under Two or More Correlated
    Receiver Operating Characteristic Curves".

    >>> found = roc_auc([0, 1, 3], [3, 1, 0])
    >>> found.value, found.binning_error, roc_auc([2, 3], [0, 0]).reason
    (0.96875, 0.03125, 'one_class_only')
    """
    p, q = paired(positives, negatives)
    n, m = p.sum(), q.sum()
    if not n or not m:
        return _one_class(n + m)
    # The placement of a row: the share of the other class that it is on the right side of.
    of_positives = (np.cumsum(q) - q / 2) / m
    of_negatives = (n - np.cumsum(p) + p / 2) / n
    value = float((p * of_positives).sum() / n)
    fewer = float(min(n, m))
    variance = _variance(p, of_positives, value) / n + _variance(q, of_negatives, value) / m
    if variance > 0 and 0 < value < 1:
        method: IntervalMethod = "delong_logit"
        low, high = logit_interval(value, sqrt(variance))
    else:
        method = "wilson"
        low, high = wilson(min(value * fewer, fewer), fewer)
    return Figure(
        n=round(n + m),
        value=value,
        low=low,
        high=high,
        method=method,
        binning_error=float((p * q).sum() / (n * m) / 2),
        interval_n=round(fewer),
    )


def average_precision(positives: ArrayLike, negatives: ArrayLike) -> Figure:
    """Return the area under the precision-recall curve, as the mean precision over positives.

    Σ_k (R_k - R_{k-1}) P_k over the scores from the highest on. Of a bin with p positives and q
    negatives, after t and f above it, the positives add at most p (t + p) / (t + p + f), if they
    come first and tie, and at least Σ_{i≤p} (t + i) / (t + i + f + q), if they come last: the value
    is the middle, the binning error half of the difference. The interval is normal on the logit
    scale with the variance AP (1 - AP) / n⁺.

    Source: Boyd, Eng & Page 2013, "Area Under the Precision-Recall Curve: Point Estimates and
    Confidence Intervals".

    >>> found = average_precision([0, 1, 3], [3, 1, 0])
    >>> round(found.value, 3), round(found.binning_error, 3)
    (0.975, 0.025)
    """
    p, q = (side[::-1] for side in paired(positives, negatives))
    n, m = p.sum(), q.sum()
    if not n or not m:
        return _one_class(n + m)
    t, f = np.cumsum(p) - p, np.cumsum(q) - q
    hit = p > 0
    p, q, t, f = p[hit], q[hit], t[hit], f[hit]
    most = p * (t + p) / (t + p + f)
    below = f + q
    # Σ_{i≤p} (t + i) / (t + i + c) = p - c (ψ(t + c + p + 1) - ψ(t + c + 1))
    least = p - below * (digamma(t + below + p + 1) - digamma(t + below + 1))
    low, high = float(least.sum() / n), float(most.sum() / n)
    value = (low + high) / 2
    if 0 < value < 1:
        ends = logit_interval(value, sqrt(value * (1 - value) / n))
    else:
        ends = wilson(min(value * n, n), n)
    return Figure(
        n=round(n + m),
        value=value,
        low=ends[0],
        high=ends[1],
        method="logit" if 0 < value < 1 else "wilson",
        binning_error=max(high - low, 0.0) / 2,
        interval_n=round(n),
    )


def _variance(counts: Floats, placements: Floats, mean: float) -> float:
    n = float(counts.sum())
    squares = float((counts * np.square(placements - mean)).sum())
    return squares / (n - 1) if n > 1 else squares / n


def _one_class(n: float) -> Figure:
    return no_figure("one_class_only", round(n)) if n else no_figure("no_labels")
