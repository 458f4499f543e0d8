"""Slices of a cell, coverage, delays, and what has become worse than a reference."""

import numpy as np
import pytest

from support.labelled_rows import BINARY, LabelledRows, scored
from tidegauge.contract import (
    BinaryTarget,
    Figure,
    MulticlassTarget,
    OutcomeTarget,
    Performance,
    RegressionTarget,
    decode,
    encode,
    no_figure,
)
from tidegauge.outcomes import (
    OutcomeCounts,
    coverage,
    figures_of,
    merged,
    performance_of,
    worsening,
)


def test_strata_are_added_up_by_what_is_asked_for_and_targets_stay_apart() -> None:
    rng = np.random.default_rng(1)
    other = BinaryTarget(positive="1", negative="0", threshold=0.9)
    strata = [
        (("3", "EU"), scored(rng, 10).counts()),
        (("3", "US"), scored(rng, 20).counts()),
        (("4", "US"), scored(rng, 40).counts(other)),
    ]
    by_version = merged((key[0], counts) for key, counts in strata)
    assert {key: [int(it.lags.sum()) for it in its] for key, its in by_version.items()} == {
        "3": [30],
        "4": [40],
    }
    by_region = merged((key[1], counts) for key, counts in strata)
    assert [(it.target, int(it.lags.sum())) for it in by_region["US"]] == [
        (BINARY, 20),
        (other, 40),
    ]
    # The strata are as they were.
    assert strata[0][1].lags.sum() == 10


def test_coverage_is_of_predictions_and_may_be_above_one_without_them() -> None:
    assert coverage(30, 40).value == 0.75
    assert coverage(0, 40).value == 0.0
    assert coverage(50, 40) == Figure(n=40, value=1.25)
    assert coverage(0, 0).reason == "no_predictions"
    found = figures_of(LabelledRows(np.full(4, 0.9), np.ones(4)).counts())
    # All labels came after an hour: in the bin of 1 to 2 hours.
    assert 3600 <= found["label_delay_p90"].value <= 7200
    assert found["label_delay_p90"].binning_error <= 3600


def test_a_drop_is_certain_if_its_interval_is_above_zero() -> None:
    reference = Figure(n=10_000, value=0.9, low=0.894, high=0.906, method="wilson")
    worse = worsening("accuracy", Figure(n=500, value=0.8, low=0.763, high=0.833), reference)
    assert worse.value == pytest.approx(0.1 / 0.9)
    assert 0 < worse.low < worse.value < worse.high
    assert worse.method == "square_and_add"
    unsure = worsening("accuracy", Figure(n=10, value=0.8, low=0.49, high=0.94), reference)
    assert unsure.low < 0 < unsure.value
    better = worsening("accuracy", Figure(n=500, value=0.95, low=0.93, high=0.97), reference)
    assert better.high < 0


def test_more_of_an_error_is_worse() -> None:
    reference = Figure(n=100, value=2.0, low=1.9, high=2.1)
    found = worsening("mae", Figure(n=100, value=3.0, low=2.8, high=3.2), reference)
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - np.hypot(0.2, 0.1) / 2)


def test_without_one_of_the_two_there_is_no_drop() -> None:
    known = Figure(n=1, value=0.5, low=0.1, high=0.9)
    for pair in ((no_figure("one_class_only"), known), (known, no_figure("one_class_only"))):
        assert worsening("auc", *pair).reason == "one_class_only"
    assert worsening("r2", known, Figure(n=3, value=0.0)).reason == "too_few"
    for name in ("mean_error", "residual_p95", "squared_calibration_error"):
        assert worsening(name, known, known).reason == "without_direction"
    alone = worsening("r2", known, Figure(n=1, value=0.4))
    assert (alone.low, alone.value) == (None, pytest.approx(-0.25))


@pytest.mark.parametrize(
    "target",
    [
        BINARY,
        MulticlassTarget(classes=("0", "1")),
        RegressionTarget(residual_edges=tuple(np.linspace(-1, 1, 9).tolist())),
    ],
)
def test_what_is_known_of_a_cohort_survives_as_json(target: OutcomeTarget) -> None:
    rows = scored(np.random.default_rng(4), 50)
    rows.predicted = (rows.value > 0.4).astype("u2")
    found = performance_of(rows.counts(target))
    assert decode(encode(found), Performance) == found
    if target is BINARY:
        assert sum(point.n for point in found.reliability) == 50


def _tenure(target: OutcomeTarget, rows: list[tuple[float, int, float, int]]) -> OutcomeCounts:
    """Count rows of value, predicted class, actual and sign."""
    counts = OutcomeCounts(target)
    for value, predicted, actual, sign in rows:
        counts.add(
            np.array([value]), np.array([predicted], "u2"), np.array([actual]), np.zeros(1), sign
        )
    return counts


@pytest.mark.parametrize(
    ("target", "before", "after"),
    [
        # The first row is corrected, the second comes: where they are counted, nothing is below 0.
        (
            MulticlassTarget(classes=("a", "b")),
            [(0.2, 0, 0.0, 1)],
            [(0.2, 0, 0.0, -1), (0.2, 0, 1.0, 1), (0.9, 0, 0.0, 1)],
        ),
        (
            BINARY,
            [(0.704, 1, 1.0, 1)],
            [(0.704, 1, 1.0, -1), (0.704, 1, 0.0, 1), (0.71, 1, 1.0, 1)],
        ),
        (
            RegressionTarget(residual_edges=(-1.0, 0.0, 1.0)),
            [(9.0, 65_535, 0.0, 1)],
            [(9.0, 65_535, 0.0, -1), (9.0, 65_535, 7.0, 1), (5.0, 65_535, 3.0, 1)],
        ),
    ],
)
def test_a_correction_without_what_it_corrects_is_incomplete_though_no_row_is_below_zero(
    target: OutcomeTarget,
    before: list[tuple[float, int, float, int]],
    after: list[tuple[float, int, float, int]],
) -> None:
    correction = _tenure(target, after)
    assert correction.labelled.min() >= 0
    found = performance_of(correction)
    assert {it.reason for it in found.figures.values()} == {"counts_incomplete"}
    assert not found.reliability
    whole = performance_of(correction.merge(_tenure(target, before)))
    assert whole == performance_of(_tenure(target, after[1:]))
    assert "counts_incomplete" not in {it.reason for it in whole.figures.values()}
