"""Intervals of figures: published values, and how often they hold what is true."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from support.labelled_rows import BINARY, LabelledRows, scored
from tidegauge.contract import MulticlassTarget, OutcomeTarget, RegressionTarget
from tidegauge.outcomes import figures_of
from tidegauge.stats import accuracy, newcombe, roc_auc, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 20), (20, 20), (3, 7), (99_999, 100_000)])
def test_wilson_is_that_of_scipy(hits: int, n: int) -> None:
    found = scipy_stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((found.low, found.high), abs=1e-12)
    assert accuracy([[0, n - hits], [0, hits]]).low == wilson(hits, n)[0]


def test_newcombe_gives_the_examples_of_the_paper() -> None:
    published = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (10, 10, 0, 20): (0.6791, 1.0000),
        (10, 10, 0, 10): (0.6075, 1.0000),
    }
    for arguments, ends in published.items():
        assert newcombe(*arguments) == pytest.approx(ends, abs=5e-5)
    assert newcombe(0, 0, 1, 2) == (-1.0, 1.0)


def test_hits_beyond_n_are_refused() -> None:
    for hits in (-1, 3):
        with pytest.raises(ValueError, match="expected 0 to n = 2"):
            wilson(hits, 2)


def test_the_variance_of_an_area_is_delongs() -> None:
    # By DeLong's placements of the rows themselves.
    positives, negatives = np.array([0, 2, 1, 3]), np.array([4, 1, 2, 0])
    high, low = (np.repeat(np.arange(4), side) for side in (positives, negatives))
    wins = (high[:, None] > low) + (high[:, None] == low) / 2
    variance = wins.mean(axis=1).var(ddof=1) / 6 + wins.mean(axis=0).var(ddof=1) / 7
    area = wins.mean()
    found = roc_auc(positives, negatives)
    assert found.value == pytest.approx(area)
    half = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    assert found.low == pytest.approx(1 / (1 + np.exp(half) * (1 - area) / area), rel=1e-6)


def test_classes_that_are_separated_leave_doubt() -> None:
    found = roc_auc([0, 0, 5], [5, 0, 0])
    assert (found.value, found.high, found.method) == (1.0, 1.0, "wilson")
    assert found.low == pytest.approx(wilson(5, 5)[0])


def of_classes(rng: np.random.Generator, n: int) -> LabelledRows:
    actual = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    predicted = np.where(rng.random(n) < 0.7, actual, rng.integers(0, 3, n))
    return LabelledRows(rng.random(n), actual.astype(float), predicted.astype("u2"))


def of_numbers(rng: np.random.Generator, n: int) -> LabelledRows:
    actual = rng.normal(9, 1, n)
    return LabelledRows(actual + rng.standard_t(8, n), actual)


@pytest.mark.parametrize(
    ("draw", "target"),
    [
        (scored, BINARY),
        (lambda rng, n: scored(rng, n, calibrated=False), BINARY),
        (of_classes, MulticlassTarget(classes=("a", "b", "c"))),
        (of_numbers, RegressionTarget(residual_edges=tuple(np.linspace(-6, 6, 97)))),
    ],
    ids=["calibrated", "uncalibrated", "classes", "numbers"],
)
def test_intervals_hold_what_is_true_in_95_of_100(
    draw: Callable[[np.random.Generator, int], LabelledRows], target: OutcomeTarget
) -> None:
    rng = np.random.default_rng(2)
    truth = figures_of(draw(rng, 500_000).counts(target))
    held: Counter[str] = Counter()
    repeats = 300
    for _ in range(repeats):
        for name, figure in figures_of(draw(rng, 600).counts(target)).items():
            true = truth[name].value
            if figure.low is not None and figure.high is not None and true is not None:
                held[name] += figure.low <= true <= figure.high
    del held["label_coverage"], held["label_delay_p50"], held["label_delay_p90"]
    assert len(held) > 9
    for name, count in held.items():
        # Three standard errors of 300 repeats; calibration errors are held at least so often.
        most = 1.0 if "calibration" in name else 0.985
        assert 0.912 <= count / repeats <= most, (name, count / repeats)
