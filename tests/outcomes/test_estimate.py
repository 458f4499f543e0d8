"""Estimates before labels: how often their interval holds, and what they can't see."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from msgspec import UNSET

from support.labelled_rows import BINARY, LabelledRows
from tidegauge.contract import (
    BinaryTarget,
    EstimatedPerformance,
    MulticlassTarget,
    OutcomeTarget,
    RegressionTarget,
    TrackRecord,
    decode,
    encode,
)
from tidegauge.outcomes import (
    OutcomeCounts,
    estimate_held,
    estimate_of,
    estimated_figures,
    figures_of,
    realised_rates,
    share_held,
    with_results,
)

CLASSES = MulticlassTarget(classes=("a", "b", "c"))

#: How often each score comes true, which is not what it says.
Truth = Callable[[np.ndarray], np.ndarray]


def overconfident(scores: np.ndarray) -> np.ndarray:
    return 0.15 + 0.7 * scores


def binary_rows(
    rng: np.random.Generator, n: int, *, shape: tuple[float, float], truth: Truth = overconfident
) -> LabelledRows:
    scores = rng.beta(*shape, n)
    return LabelledRows(scores, (rng.random(n) < truth(scores)).astype(float))


def class_rows(rng: np.random.Generator, n: int, *, shape: tuple[float, float]) -> LabelledRows:
    scores, predicted = rng.beta(*shape, n), rng.integers(0, 3, n)
    right = rng.random(n) < overconfident(scores)
    actual = np.where(right, predicted, (predicted + 1) % 3)
    return LabelledRows(scores, actual.astype(float), predicted.astype("u2"))


@pytest.mark.parametrize(
    ("draw", "target", "earlier", "n"),
    [
        # Few earlier labels: most of the doubt is in their rates.
        (binary_rows, BinaryTarget(positive="1", negative="0", threshold=0.4), 3_000, 3_000),
        # Many earlier labels: most of it is in what will come true.
        (binary_rows, BINARY, 6_000, 300),
        (class_rows, CLASSES, 5_000, 1_000),
    ],
)
def test_the_band_holds_in_95_of_100_although_the_scores_have_drifted(
    draw: Callable[..., LabelledRows], target: OutcomeTarget, earlier: int, n: int
) -> None:
    rng = np.random.default_rng(8)
    held: Counter[str] = Counter()
    repeats = 1_000
    for _ in range(repeats):
        # Scores of another distribution, which come true as often as they did.
        rates = realised_rates(draw(rng, earlier, shape=(2, 2)).counts(target))
        counts = draw(rng, n, shape=(2, 3)).counts(target)
        realised = figures_of(counts)
        for name, figure in estimated_figures(counts, rates).items():
            assert figure.estimated
            held[name] += figure.low <= realised[name].value <= figure.high
    assert set(held) == ({"accuracy", "f1", "auc"} if draw is binary_rows else {"accuracy"})
    for name, count in held.items():
        assert 0.93 <= count / repeats <= 0.97, (name, count / repeats)


def test_an_estimate_cannot_see_that_the_same_scores_come_true_less_often() -> None:
    rng = np.random.default_rng(9)
    rates = realised_rates(binary_rows(rng, 20_000, shape=(2, 2)).counts())
    fine = binary_rows(rng, 3_000, shape=(2, 2)).counts()
    turned = binary_rows(rng, 3_000, shape=(2, 2), truth=lambda it: 1 - overconfident(it)).counts()
    estimate, blind = (estimated_figures(it, rates)["accuracy"] for it in (fine, turned))
    assert blind.value == pytest.approx(estimate.value, abs=0.02)
    assert figures_of(turned)["accuracy"].value < 0.45 < 0.6 < blind.low
    # Its track record shows it, once the labels have come.
    assert estimate_held(fine, rates) == {"accuracy": True, "f1": True, "auc": True}
    assert estimate_held(turned, rates) == {"accuracy": False, "f1": False, "auc": False}
    record = TrackRecord()
    for results in (estimate_held(fine, rates), estimate_held(turned, rates)):
        record = with_results(record, results)
    assert share_held(record, "auc").value == 0.5
    assert share_held(TrackRecord(), "auc").reason == "no_earlier_cohorts"
    shown = estimate_of(fine, rates, record)
    assert decode(encode(shown), EstimatedPerformance) == shown


def test_rates_are_of_the_predicted_class_where_it_is_not_the_scores() -> None:
    # A rule beside the model decides: the class says more than the score.
    n = 4_000
    rng = np.random.default_rng(3)
    scores, predicted = rng.random(n), rng.integers(0, 2, n).astype("u2")
    actual = (rng.random(n) < np.where(predicted == 1, 0.8, 0.1)).astype(float)
    rows = LabelledRows(scores, actual, predicted)
    rates = realised_rates(rows.counts())
    found = estimated_figures(rows.counts(), rates)
    assert found["accuracy"].value == pytest.approx(0.85, abs=0.02)


def test_where_there_is_nothing_to_estimate_by_there_is_a_reason() -> None:
    rng = np.random.default_rng(1)
    rows = binary_rows(rng, 500, shape=(2, 2))
    rates = realised_rates(rows.counts())

    def reasons(counts: OutcomeCounts, by: object = rates) -> set[str]:
        return {it.reason for it in estimated_figures(counts, by).values()}  # type: ignore[arg-type]

    assert reasons(OutcomeCounts(BINARY)) == {"no_predictions"}
    assert reasons(binary_rows(rng, 19, shape=(2, 2)).counts()) == {"too_few"}
    assert reasons(rows.counts(), None) == {"no_earlier_cohorts"}
    assert reasons(rows.counts(), realised_rates(OutcomeCounts(BINARY))) == {"no_earlier_cohorts"}
    other = BinaryTarget(positive="1", negative="0", threshold=0.7)
    assert reasons(rows.counts(), realised_rates(rows.counts(other))) == {"no_earlier_cohorts"}
    # Scores where no label ever came.
    low = LabelledRows(rng.random(500) / 3, np.tile([0.0, 1.0], 250))
    assert reasons(rows.counts(), realised_rates(low.counts())) == {"unfamiliar_scores"}
    # Numbers have no scores.
    numbers = RegressionTarget(residual_edges=())
    assert estimated_figures(rows.counts(numbers), None) == {}
    assert realised_rates(rows.counts(numbers)) is None
    assert estimate_held(rows.counts(numbers), None) == {}


def test_one_class_only_has_an_accuracy_with_doubt_and_no_area() -> None:
    rows = LabelledRows(np.full(200, 0.1), np.zeros(200))
    found = estimated_figures(rows.counts(), realised_rates(rows.counts()))
    assert found["accuracy"].value == 1.0
    assert found["accuracy"].low < 1.0
    assert found["auc"].reason == found["f1"].reason == "one_class_only"


def test_the_share_of_unfamiliar_scores_counts_each_prediction_once() -> None:
    # Nobody was predicted negative before, and 15 of 1,000 are now: less than 2 %.
    rates = realised_rates(LabelledRows(np.full(200, 0.9), np.arange(200) % 5 > 0).counts())
    for strange, reason in ((15, UNSET), (25, "unfamiliar_scores")):
        scores = np.where(np.arange(1_000) < strange, 0.1, 0.9)
        counts = LabelledRows(scores, np.ones(1_000)).counts()
        assert estimated_figures(counts, rates)["accuracy"].reason == reason


def test_scores_of_one_bin_leave_the_area_open() -> None:
    rng = np.random.default_rng(4)
    counts = LabelledRows(np.full(400, 0.9), rng.random(400) < 0.8).counts()
    area = estimated_figures(counts, realised_rates(counts))["auc"]
    assert (area.value, area.binning_error) == (0.5, 0.5)
    spread = binary_rows(rng, 5_000, shape=(2, 2)).counts()
    area = estimated_figures(spread, realised_rates(spread))["auc"]
    assert area.binning_error == pytest.approx(figures_of(spread)["auc"].binning_error, rel=0.05)


def test_predictions_below_0_have_no_estimate() -> None:
    counts = binary_rows(np.random.default_rng(6), 500, shape=(2, 2)).counts()
    rates = realised_rates(counts)
    counts.predicted[5, 0] = -40
    assert {it.reason for it in estimated_figures(counts, rates).values()} == {"counts_incomplete"}
