"""Rows of predictions with their labels, and the counts of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.contract import BinaryTarget, Figure, OutcomeTarget
from tidegauge.outcomes import NONE, OutcomeCounts, prediction_bins

BINARY = BinaryTarget(positive="1", negative="0", threshold=0.5)


@dataclass
class LabelledRows:
    """Raw rows: scores or numbers, predicted classes, actuals."""

    value: NDArray[np.float64]
    actual: NDArray[np.float64]
    predicted: NDArray[np.uint16] | None = None

    def counts(self, target: OutcomeTarget = BINARY) -> OutcomeCounts:
        """Count them, labelled an hour after the prediction."""
        n = len(self.value)
        codes = np.full(n, NONE, dtype=np.uint16) if self.predicted is None else self.predicted
        found = OutcomeCounts(target)
        found.add(self.value, codes, self.actual, np.full(n, 3600.0))
        bins, counts = np.unique(prediction_bins(target, self.value, codes), return_counts=True)
        found.add_predicted(bins, counts)
        return found


def scored(
    rng: np.random.Generator, n: int, *, rate: float = 0.5, calibrated: bool = True
) -> LabelledRows:
    """Draw scores and their actuals; uncalibrated ones are pushed to the ends."""
    truth = rng.beta(4 * rate, 4 * (1 - rate), n)
    actual = (rng.random(n) < truth).astype(float)
    value = truth if calibrated else truth**3 / (truth**3 + (1 - truth) ** 3)
    return LabelledRows(value, actual)


def near(figure: Figure, expected: float, rounding: float = 1e-9) -> bool:
    """Whether a figure is what is expected, within its binning error and rounding."""
    assert figure.value is not None, figure
    return abs(figure.value - expected) <= figure.binning_error + rounding * max(1, abs(expected))
