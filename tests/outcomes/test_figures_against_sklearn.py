"""Every figure of counts equals that of the raw rows by scikit-learn, within its binning error."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics

from support.labelled_rows import BINARY, LabelledRows, near, scored
from tidegauge.contract import Figure, MulticlassTarget, RegressionTarget
from tidegauge.outcomes import OutcomeCounts, figures_of, performance_of
from tidegauge.stats import RESIDUAL_QUANTILES


def of_sklearn(rows: LabelledRows) -> dict[str, float]:
    actual, value = rows.actual.astype(int), rows.value
    predicted = (value >= 0.5).astype(int) if rows.predicted is None else rows.predicted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": metrics.accuracy_score(actual, predicted),
            "precision": metrics.precision_score(actual, predicted, zero_division=np.nan),
            "recall": metrics.recall_score(actual, predicted, zero_division=np.nan),
            "specificity": metrics.recall_score(
                actual, predicted, pos_label=0, zero_division=np.nan
            ),
            "f1": metrics.f1_score(actual, predicted, zero_division=np.nan),
            "balanced_accuracy": metrics.balanced_accuracy_score(actual, predicted),
            "log_loss": metrics.log_loss(actual, value, labels=[0, 1]),
            "brier": metrics.brier_score_loss(actual, value, pos_label=1),
            "auc": metrics.roc_auc_score(actual, value),
            "pr_auc": metrics.average_precision_score(actual, value),
            "calibration_error": calibration_error(rows),
        }


def calibration_error(rows: LabelledRows, bins: int = 16) -> float:
    """Of the raw rows; scikit-learn has the curve alone, and leaves out how many rows are where."""
    place = np.minimum((rows.value * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=rows.actual - rows.value, minlength=bins)
    return float(np.abs(gaps).sum() / len(place))


RNG = np.random.default_rng(20240607)

CASES = {
    "random": LabelledRows(RNG.random(2_000), RNG.integers(0, 2, 2_000).astype(float)),
    "calibrated": scored(RNG, 5_000),
    "uncalibrated": scored(RNG, 5_000, calibrated=False),
    "ties": LabelledRows(
        RNG.choice([0.1, 0.101, 0.5, 0.9, 1.0, 0.0], 2_000), RNG.integers(0, 2, 2_000).astype(float)
    ),
    "constant score": LabelledRows(np.full(100, 0.7), np.repeat([0.0, 1.0], 50)),
    "few": LabelledRows(np.array([0.9, 0.2, 0.6]), np.array([1.0, 0.0, 0.0])),
    "separated": LabelledRows(np.linspace(0, 1, 300), np.repeat([0.0, 1.0], 150)),
    "one in 100,000": LabelledRows(
        np.append(RNG.beta(1, 30, 300_000), [0.9, 0.02, 0.4]),
        np.append(np.zeros(300_000), [1.0] * 3),
    ),
    "class beside the score": LabelledRows(
        RNG.random(500),
        RNG.integers(0, 2, 500).astype(float),
        RNG.integers(0, 2, 500).astype("u2"),
    ),
    "certain and wrong": LabelledRows(
        np.array([0.0, 1.0, 1.0, 0.3]), np.array([1.0, 0.0, 1.0, 0.0])
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_figures_of_two_classes_are_those_of_the_raw_rows(name: str) -> None:
    rows = CASES[name]
    found = figures_of(rows.counts())
    for figure, expected in of_sklearn(rows).items():
        assert near(found[figure], expected), (figure, found[figure], expected)
        assert found[figure].binning_error < 0.02 or name != "random"


@given(
    st.lists(
        st.tuples(st.floats(0, 1) | st.sampled_from([0.25, 0.5, 0.50001]), st.booleans()),
        min_size=2,
        max_size=40,
    ).filter(lambda rows: len({label for _, label in rows}) == 2)
)
@settings(max_examples=60)
def test_figures_of_any_rows_are_within_their_binning_error(
    drawn: list[tuple[float, bool]],
) -> None:
    value, actual = (np.array(side, dtype=float) for side in zip(*drawn, strict=True))
    rows = LabelledRows(value, actual)
    found = figures_of(rows.counts())
    for figure, expected in of_sklearn(rows).items():
        if np.isnan(expected):
            assert found[figure].value is None
        else:
            assert near(found[figure], expected), (figure, found[figure], expected)


def test_one_class_only_has_reasons_and_no_zeros() -> None:
    found = figures_of(LabelledRows(np.array([0.1, 0.2, 0.6]), np.zeros(3)).counts())
    reasons = {name: it.reason for name, it in found.items() if it.value is None}
    assert reasons == {
        "recall": "no_actual_positives",
        "balanced_accuracy": "one_class_only",
        "auc": "one_class_only",
        "pr_auc": "one_class_only",
        "squared_calibration_error": "too_few",
    }
    assert (found["accuracy"].value, found["precision"].value) == (pytest.approx(2 / 3), 0.0)
    found = figures_of(LabelledRows(np.array([0.1, 0.2]), np.ones(2)).counts())
    assert found["specificity"].reason == "no_actual_negatives"
    assert found["precision"].reason == "no_predicted_positives"
    assert (found["recall"].value, found["f1"].value) == (0.0, 0.0)


@pytest.mark.parametrize(
    "target", [BINARY, MulticlassTarget(classes=("a", "b")), RegressionTarget(residual_edges=())]
)
def test_no_label_is_a_reason_everywhere(target: BINARY) -> None:
    found = performance_of(OutcomeCounts(target))
    assert found.labelled == found.predicted == 0
    assert {it.value for it in found.figures.values()} == {None}
    assert {it.reason for it in found.figures.values()} == {"no_labels", "no_predictions"}


def test_the_area_of_two_windows_is_not_the_mean_of_their_areas() -> None:
    low = LabelledRows(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 0.0, 1.0, 1.0]))
    high = LabelledRows(np.array([0.6, 0.7, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]))
    both = LabelledRows(np.append(low.value, high.value), np.append(low.actual, high.actual))
    merged = low.counts().merge(high.counts())
    area = figures_of(merged)["auc"]
    assert near(area, metrics.roc_auc_score(both.actual, both.value))
    assert area.value == 0.75
    assert figures_of(low.counts())["auc"].value == figures_of(high.counts())["auc"].value == 1.0


def test_a_monotone_calibration_changes_no_ranking() -> None:
    rows = scored(np.random.default_rng(3), 1_000)
    # Scores at the middles of their bins, and a strictly monotone map of them to other bins.
    rows.value = (np.floor(rows.value * 60) + 0.5) / 128
    calibrated = LabelledRows((rows.value * 128 * 2 - 0.5) / 128, rows.actual)
    found, after = (figures_of(it.counts()) for it in (rows, calibrated))
    for name in ("auc", "pr_auc"):
        assert found[name] == after[name]
    assert found["brier"] != after["brier"]


def test_an_asymmetric_matrix_is_not_transposed() -> None:
    # 1 true negative, 2 false positives, 3 false negatives, 4 true positives.
    actual = np.repeat([0.0, 0.0, 1.0, 1.0], [1, 2, 3, 4])
    predicted = np.repeat([0, 1, 0, 1], [1, 2, 3, 4]).astype("u2")
    found = performance_of(LabelledRows(np.full(10, np.nan), actual, predicted).counts())
    assert (
        found.confusion == [[1, 2], [3, 4]] == metrics.confusion_matrix(actual, predicted).tolist()
    )
    assert found.classes == ["0", "1"]
    assert found.figures["precision"].value == pytest.approx(4 / 6)
    assert found.figures["recall"].value == pytest.approx(4 / 7)
    assert found.without_score == 10
    assert found.figures["auc"].reason == found.figures["brier"].reason == "no_scores"


def test_what_label_and_score_say_differently_is_counted() -> None:
    rows = LabelledRows(
        np.array([0.9, 0.1, 0.9, 0.5]), np.ones(4), np.array([0, 1, 1, 0], dtype="u2")
    )
    found = performance_of(rows.counts())
    # The score of the last is in the bin of the threshold, where it can't be told.
    assert (found.disagreeing, found.without_prediction) == (2, 0)
    # The class that was sent counts.
    assert found.figures["recall"].value == 0.5


def test_counts_that_are_not_all_there_have_no_figure() -> None:
    rows = LabelledRows(np.array([0.1, 0.9]), np.array([0.0, 1.0]))
    counts = OutcomeCounts(BINARY).merge(rows.counts(), -1)
    found = performance_of(counts)
    assert {it.reason for it in found.figures.values()} == {"counts_incomplete"}
    assert set(found.figures) == set(performance_of(rows.counts()).figures)


CLASSES = MulticlassTarget(classes=("a", "b", "c"))


@pytest.mark.parametrize("skew", [None, [0.97, 0.02, 0.01]])
def test_figures_of_several_classes_are_those_of_the_raw_rows(skew: list[float] | None) -> None:
    rng = np.random.default_rng(11)
    actual = rng.choice(3, 2_000, p=skew)
    predicted = np.where(rng.random(2_000) < 0.7, actual, rng.integers(0, 3, 2_000))
    confidence = rng.random(2_000)
    rows = LabelledRows(confidence, actual.astype(float), predicted.astype("u2"))
    found = performance_of(rows.counts(CLASSES))
    expected = {"accuracy": metrics.accuracy_score(actual, predicted)}
    expected["balanced_accuracy"] = metrics.balanced_accuracy_score(actual, predicted)
    for average, end in (("macro", ""), ("weighted", "_weighted")):
        expected |= {
            name + end: score(actual, predicted, average=average, zero_division=np.nan)
            for name, score in (
                ("precision", metrics.precision_score),
                ("recall", metrics.recall_score),
                ("f1", metrics.f1_score),
            )
        }
    right = (actual == predicted).astype(int)
    expected["log_loss"] = metrics.log_loss(right, confidence, labels=[0, 1])
    expected["brier"] = metrics.brier_score_loss(right, confidence)
    for name, value in expected.items():
        assert near(found.figures[name], value), name
    micro = metrics.f1_score(actual, predicted, average="micro")
    assert near(found.figures["accuracy"], micro)
    matrix = metrics.confusion_matrix(actual, predicted)
    assert [row[:3] for row in found.confusion[:3]] == matrix.tolist()
    assert found.classes == ["a", "b", "c", "(other)"]


def test_a_class_that_was_never_predicted_is_left_out_of_its_average() -> None:
    rows = LabelledRows(np.full(4, 0.9), np.array([0.0, 0, 1, 2]), np.array([0, 0, 1, 1], "u2"))
    found = figures_of(rows.counts(CLASSES))
    actual, predicted = [0, 0, 1, 2], [0, 0, 1, 1]
    assert near(
        found["precision"],
        metrics.precision_score(actual, predicted, average="macro", zero_division=np.nan),
    )
    assert found["recall"].value == pytest.approx(2 / 3)
    assert found["f1"].value == pytest.approx(
        metrics.f1_score(actual, predicted, average="macro", zero_division=np.nan)
    )


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_figures_of_numbers_are_those_of_the_raw_rows(offset: float) -> None:
    rng = np.random.default_rng(7)
    actual = rng.normal(offset + 5, 2, 3_000)
    value = actual + rng.standard_t(4, 3_000)
    target = RegressionTarget(residual_edges=tuple(np.linspace(-6, 6, 97)), centre=offset)
    found = figures_of(LabelledRows(value, actual).counts(target))
    expected = {
        "mae": metrics.mean_absolute_error(actual, value),
        "rmse": metrics.root_mean_squared_error(actual, value),
        "mape": metrics.mean_absolute_percentage_error(actual, value),
        "r2": metrics.r2_score(actual, value),
        "mean_error": (value - actual).mean(),
    }
    for name, number in expected.items():
        assert near(found[name], float(number), 1e-9), name
    for q in RESIDUAL_QUANTILES:
        quantile = float(np.quantile(value - actual, q, method="inverted_cdf"))
        figure = found[f"residual_p{round(q * 100):02}"]
        assert near(figure, quantile)
        assert figure.binning_error <= 0.125


def test_numbers_without_a_spread_have_reasons() -> None:
    def of(value: list[float], actual: list[float]) -> dict[str, Figure]:
        target = RegressionTarget(residual_edges=(-1.0, 1.0))
        return figures_of(LabelledRows(np.array(value), np.array(actual)).counts(target))

    found = of([1.0, 2.0], [0.0, 0.0])
    assert found["r2"].reason == "constant_actuals"
    assert found["mape"].reason == "actuals_are_zero"
    assert found["mae"].value == 1.5
    assert found["residual_p50"].reason == "beyond_residual_bins"
    found = of([5.0], [5.0])
    assert (found["mae"].value, found["rmse"].value, found["mape"].value) == (0, 0, 0)
    assert found["mae"].low is None  # of one row nothing is known
    # So large an error against so small a spread is beyond what a float holds.
    assert of([1e70, -1e70], [1e-300, 2e-300])["r2"].reason == "constant_actuals"
