"""How good scores are as probabilities, from counts, sums and sums of squares by score bin.

``ProbabilityTable`` has them; Brier score and log loss are exact, and so is calibration in the
bins of ``CALIBRATION_BINS``, since every one of these is made of whole score bins.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from tidegauge.contract import Figure, ReliabilityBin, no_figure
from tidegauge.stats._shares import Floats
from tidegauge.stats.intervals import Z, log_interval, normal_interval, wilson

#: Bins of equal width for calibration: the error that is expected of none grows with the bins.
CALIBRATION_BINS = 16


@dataclass(frozen=True)
class ProbabilityTable:
    """Counts, Σ s and Σ s² of scores, each of shape (score bins, 2): actual negative, positive.

    The bins are of equal width on [0, 1]. ``resolution`` is how far the score of one row may be
    from what was added up, and ``loss_sum`` and ``loss_squares`` are Σ and Σ of squares of -ln of
    the share that was given to the actual class.
    """

    counts: NDArray[np.int64]
    sums: Floats
    squares: Floats
    loss_sum: float
    loss_squares: float
    resolution: float = 2.0**-31

    @property
    def n(self) -> int:
        """Rows with a score in [0, 1]."""
        return int(self.counts.sum())


def brier(table: ProbabilityTable) -> Figure:
    """Return Σ (s - y)² / n = (Σ s² - 2 Σ_{y=1} s + n₁) / n. 0 = certain and right; 1 = wrong.

    Exact but for the unit of the sums. The interval is normal on the logarithm; the variance takes
    every row as one of the mean score of its bin and class.

    Source: Brier 1950, "Verification of Forecasts Expressed in Terms of Probability".

    >>> table = ProbabilityTable(np.array([[1, 0], [0, 1]]), np.array([[0.2, 0], [0, 0.6]]),
    ...     np.array([[0.04, 0], [0, 0.36]]), 0.734, 0.311)
    >>> round(brier(table).value, 9)
    0.1
    """
    n = table.n
    if not n:
        return no_figure("no_scores")
    positives = float(table.counts[:, 1].sum())
    value = float(table.squares.sum() - 2 * table.sums[:, 1].sum() + positives) / n
    held = table.counts > 0
    means = table.sums[held] / table.counts[held]
    errors = np.square(means - np.nonzero(held)[1])
    spread = float((table.counts[held] * np.square(errors - value)).sum()) / n
    return _skewed(n, min(max(value, 0.0), 1.0), spread / n, 3 * table.resolution)


def log_loss(table: ProbabilityTable) -> Figure:
    """Return -Σ ln(share given to the actual class) / n, in nats. 0 = certain and right.

    Shares are cut off at 2.2e-16 and as near to 1, as scikit-learn does. The interval is
    normal on the logarithm.

    >>> table = ProbabilityTable(np.array([[1, 0], [0, 1]]), np.array([[0.2, 0], [0, 0.6]]),
    ...     np.array([[0.04, 0], [0, 0.36]]), 0.734, 0.311)
    >>> log_loss(table).value
    0.367
    """
    n = table.n
    if not n:
        return no_figure("no_scores")
    value = max(table.loss_sum / n, 0.0)
    return _skewed(n, value, (table.loss_squares / n - value**2) / n, table.resolution)


def reliability(table: ProbabilityTable) -> list[ReliabilityBin]:
    """Return the reliability curve: mean score and rate of positives, by bins that are not empty.

    The rates have Wilson's interval.
    """
    found = []
    for at, (n, positives, score) in enumerate(
        zip(*(it.tolist() for it in _coarse(table)), strict=True)
    ):
        if n:
            low, high = wilson(positives, n)
            found.append(
                ReliabilityBin(
                    lower=at / CALIBRATION_BINS,
                    upper=(at + 1) / CALIBRATION_BINS,
                    n=round(n),
                    mean_score=score / n,
                    rate=positives / n,
                    low=low,
                    high=high,
                )
            )
    return found


def expected_calibration_error(table: ProbabilityTable) -> Figure:
    """Return ECE = Σ_b n_b |rate_b - mean score_b| / n over 16 bins of equal width.

    Of few rows it is above 0 by chance, however calibrated the scores. The interval reaches as far
    as Σ_b n_b |noise_b| / n does in 95 % of cases, with half a normal for each bin: it is at least
    as far as ECE can be from that of all rows that might have come, so it covers 95 % or more.

    Source: Naeini, Cooper & Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning".
    """
    n, positives, scores = _coarse(table)
    total = n.sum()
    if not total:
        return no_figure("no_scores")
    value = float(np.abs(positives - scores).sum() / total)
    # Half a count more of each class: a bin of which all are of one class has a rate to doubt, too.
    rate = (positives + 0.5) / (n + 1)
    noise = np.sqrt(n * rate * (1 - rate)) / total
    mean, spread = noise.sum() * sqrt(2 / pi), sqrt(float((noise**2).sum()) * (1 - 2 / pi))
    low, high = normal_interval(value, (mean / Z + spread) ** 2, 0.0, 1.0)
    return Figure(
        n=round(total),
        value=value,
        low=low,
        high=high,
        method="half_normal_bound",
        binning_error=table.resolution,
    )


def squared_calibration_error(table: ProbabilityTable) -> Figure:
    """Return Σ_b n_b/n [(rate_b - mean score_b)² - rate_b (1 - rate_b) / (n_b - 1)], over 16 bins.

    What chance adds to the square is subtracted, so it is 0 on average of calibrated scores, and
    may be negative. Bins of one row are left out. The interval is normal.

    Source: Kumar, Liang & Ma 2019, "Verified Uncertainty Calibration".
    """
    n, positives, scores = _coarse(table)
    if not n.sum():
        return no_figure("no_scores")
    enough = n > 1
    n, positives, scores = n[enough], positives[enough], scores[enough]
    total = float(n.sum())
    if not total:
        return no_figure("too_few", table.n)
    rate, gap = positives / n, (positives - scores) / n
    noise = rate * (1 - rate) / (n - 1)
    value = float((n * (np.square(gap) - noise)).sum() / total)
    smooth = (positives + 0.5) / (n + 1)
    v = smooth * (1 - smooth) / n
    variance = float((np.square(n / total) * (4 * np.square(gap) * v + 2 * v * v)).sum())
    # How many rows a bin has is chance, too.
    variance += float((n * np.square(np.square(gap) - noise - value)).sum()) / total**2
    low, high = normal_interval(value, variance)
    return Figure(
        n=round(total),
        value=value,
        low=low,
        high=high,
        method="normal",
        binning_error=2 * table.resolution,
    )


def _skewed(n: int, value: float, variance: float, binning_error: float) -> Figure:
    """Return a mean of losses: a few rows make most of it, so its logarithm is nearer to normal."""
    if value <= 0 or n < 2:
        return Figure(n=n, value=value, binning_error=binning_error)
    low, high = log_interval(value, sqrt(max(variance, 0.0)))
    return Figure(
        n=n, value=value, low=low, high=high, method="log_normal", binning_error=binning_error
    )


def _coarse(table: ProbabilityTable) -> tuple[Floats, Floats, Floats]:
    """Return rows, positives and Σ s by the bins of calibration."""
    counts = table.counts.reshape(CALIBRATION_BINS, -1, 2).sum(axis=1).astype(np.float64)
    scores = table.sums.sum(axis=1).reshape(CALIBRATION_BINS, -1).sum(axis=1)
    return counts.sum(axis=1), counts[:, 1], scores
