"""The column of actuals: which target it makes, and what is refused because it could make two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

from tidegauge.baseline.document import BaselineError
from tidegauge.baseline.io import LabelledColumns, LabelOptions, build
from tidegauge.contract import BinaryTarget, MulticlassTarget, RegressionTarget, class_code
from tidegauge.outcomes import baseline_counts, figures_of, outcomes_of_rows

Read = Callable[..., LabelledColumns]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(columns: dict[str, Any], warnings: tuple[str, ...] = (), **options: Any) -> Any:
        path = tmp_path / "rows.csv"
        if options.pop("typed", False):
            path = tmp_path / "rows.parquet"
            pq.write_table(pa.table(columns), path)
        else:
            rows = zip(*columns.values(), strict=True)
            lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
            path.write_text("\n".join(lines) + "\n")
        found: list[str] = []
        read_by = {"prediction": "score", "types": options.pop("types", None)}
        read_by["confidence"] = options.pop("confidence", None)
        built = build(
            path,
            model="m",
            version="1",
            labels=LabelOptions("actual", **options),
            warn=found.append,
            **read_by,
        )
        assert len(found) == len(warnings), found
        for expected, message in zip(warnings, found, strict=True):
            assert expected in message
        assert "actual" not in built.baseline.signals
        assert {it.kind for it in built.columns if it.column == "actual"} == {"label"}
        return built.labelled

    return read


SCORES = [0.1, 0.9, 0.4, 0.6]


@pytest.mark.parametrize(
    ("actual", "positive", "classes"),
    [
        ([0, 1, 1, 0], "1", ("0", "1")),
        (["0.0", "1.0", "1.0", "0.0"], "1", ("0", "1")),
        ([0, 1, 1, 0], "true", ("0", "1")),
        (["False", "True", "True", "False"], "1", ("false", "true")),
        (["no", "yes", "yes", "no"], "yes", ("no", "yes")),
        (["bad", "good", "good", "bad"], "good", ("bad", "good")),
        ([1, 0, 0, 1], "0", ("1", "0")),
    ],
)
def test_two_classes_are_read_however_they_are_written(
    read: Read, actual: list[Any], positive: str, classes: tuple[str, str]
) -> None:
    its = read({"score": SCORES, "actual": actual}, positive=positive, threshold=0.5)
    assert its.target == BinaryTarget(positive=classes[1], negative=classes[0], threshold=0.5)
    assert its.actual.tolist() == [0, 1, 1, 0]
    assert its.value.tolist() == SCORES
    counts = baseline_counts(
        outcomes_of_rows(its.target, its.value, its.predicted, its.actual, its.rows)
    )
    assert figures_of(counts)["recall"].value == 0.5


def test_typed_columns_of_a_pandas_user_are_read_alike(read: Read) -> None:
    for actual in ([False, True, True, None], [0.0, 1.0, 1.0, None], [0, 1, 1, None]):
        columns = {"score": [0.1, 0.9, None, 0.6], "actual": actual}
        its = read(columns, typed=True, positive="1", threshold=0.5)
        # A row without an actual, and one without a prediction.
        assert its.actual.tolist() == [0, 1]
        assert its.rows == 3


@pytest.mark.parametrize(
    ("actual", "classes"),
    [
        ([0.0, 1.0, 1.0, float("nan")], ("0", "1")),
        (["False", "True", "True", None], ("false", "true")),
        (["FALSE", "true", "TRUE", None], ("false", "true")),
        (["0.0", "1.0", "1", None], ("0", "1")),
        (["01", "1", "1", None], ("01", "1")),
    ],
)
def test_text_and_nan_of_a_typed_file_are_read_as_those_of_a_csv(
    read: Read, actual: list[Any], classes: tuple[str, str]
) -> None:
    its = read({"score": SCORES, "actual": actual}, typed=True, positive="1", threshold=0.5)
    assert its.target == BinaryTarget(positive=classes[1], negative=classes[0], threshold=0.5)
    assert its.actual.tolist() == [0, 1, 1]
    # As JSON has them in labels.
    assert [class_code(its.target, label) for label in (1, 1.0, "1")] == [1, 1, 1]


def test_predicted_classes_are_read_as_such(read: Read) -> None:
    columns = {"score": ["no", "yes", "no", "no"], "actual": ["no", "yes", "yes", "no"]}
    its = read(columns, positive="yes", threshold=0.5)
    assert its.predicted.tolist() == [0, 1, 0, 0]
    assert np.isnan(its.value).all()
    several = {"score": ["a", "b", "c", "d"], "actual": ["a", "b", "c", "a"]}
    its = read(several)
    assert its.target == MulticlassTarget(classes=("a", "b", "c"))
    assert its.predicted.tolist() == [0, 1, 2, 3]  # d is no class that came true: other
    whole = {"score": [0, 1, 2, 1], "actual": [0, 1, 2, 2]}
    its = read(whole, types={"score": "categorical"})
    assert its.target == MulticlassTarget(classes=("0", "1", "2"))


def test_numbers_are_a_regression_with_bins_for_worse_residuals(read: Read) -> None:
    rng = np.random.default_rng(4)
    actual = rng.normal(100, 20, 500).round(3)
    score = (actual + rng.normal(0, 2, 500)).round(3)
    its = read({"score": score, "actual": actual})
    assert isinstance(its.target, RegressionTarget)
    assert its.target.centre == pytest.approx(np.median(actual))
    residuals = score - actual
    assert its.target.residual_edges[0] < 4 * residuals.min()
    assert 60 < len(its.target.residual_edges) <= 80
    counts = baseline_counts(
        outcomes_of_rows(its.target, its.value, its.predicted, its.actual, its.rows)
    )
    assert figures_of(counts)["r2"].value == pytest.approx(metrics.r2_score(actual, score))
    # Whole numbers that are not those of the labels can't be classes.
    assert isinstance(read({"score": [1.5, 2, 3], "actual": [1, 2, 4]}).target, RegressionTarget)


def test_a_perfect_model_has_bins_too(read: Read) -> None:
    its = read({"score": [1.5, 2.5, 3.5], "actual": [1.5, 2.5, 3.5]})
    assert isinstance(its.target, RegressionTarget)
    assert its.target.residual_edges[0] < 0 < its.target.residual_edges[-1]


@pytest.mark.parametrize(
    ("columns", "options", "why"),
    [
        ({"actual": [0, 1, 0, 1]}, {}, "2 different numbers: give --positive CLASS and"),
        ({"actual": [0, 1, 0, 1]}, {"positive": "1"}, "two classes need --threshold"),
        ({"actual": [0, 1, 0, 1]}, {"threshold": 0.5}, "two classes need --positive"),
        ({"actual": list("yynn")}, {}, "'n', 'y': give --positive CLASS and"),
        ({"actual": [0, 1, 0, 2]}, {"positive": "1", "threshold": 0.5}, "two classes are expected"),
        ({"actual": [0, 0, 0, 0]}, {"positive": "0", "threshold": 0.5}, "holds '0', and two"),
        ({"actual": list("yynn")}, {"positive": "Y", "threshold": 0.5}, "--positive Y: column"),
        ({"actual": list("abcd")}, {}, "name the column with the predicted class"),
        ({"actual": list("abcd")}, {"problem": "multiclass"}, "--type score=categorical"),
        ({"actual": list("abcd")}, {"problem": "regression"}, "'actual' holds no numbers"),
        ({"actual": [0, 1, 0, 1]}, {"positive": "1", "threshold": 2.0}, "expected 0 to 1"),
        (
            {"actual": [0, 1, 0, 1], "score": [-3.0, 1, 2, 4]},
            {"positive": "1", "threshold": 0.5},
            "holds -3 to 4, expected the probability",
        ),
        (
            {"actual": list("yynn"), "score": list("YYNN")},
            {"positive": "y", "threshold": 0.5},
            "both must spell them alike",
        ),
        ({"actual": list("yynn"), "score": list("yynn")}, {}, "or --problem multiclass"),
        ({"actual": [1, 2, 3, 4], "score": [1, 2, 3, 4]}, {}, "the same 4 whole numbers"),
        ({"actual": [1, 2, 3, 4]}, {"positive": "1", "problem": "regression"}, "of two classes"),
        ({"actual": ["2026-01-01"] * 4}, {}, "holds dates or times"),
        ({"actual": ["", "", "", ""]}, {}, "has no value"),
        (
            {"actual": ["y", "n", "", ""], "score": ["", "", 0.1, 0.2]},
            {"positive": "y", "threshold": 0.5},
            "no row has both",
        ),
    ],
)
def test_what_could_be_read_in_two_ways_or_in_none_is_refused(
    read: Read, columns: dict[str, Any], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(BaselineError) as refused:
        read({"score": SCORES} | columns, **options)
    assert why in str(refused.value)


def test_columns_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    for options, why in (
        ({"labels": LabelOptions("b")}, "needs --prediction"),
        ({"labels": LabelOptions("a"), "prediction": "a"}, "both --label and --prediction"),
        (
            {"labels": LabelOptions("b"), "prediction": "a", "exclude": ["b"]},
            "both --label and --exclude",
        ),
        ({"labels": LabelOptions("c"), "prediction": "a"}, "no column 'c', which --label names"),
    ):
        with pytest.raises(BaselineError, match=why):
            build(path, model="m", version="1", **options)  # type: ignore[arg-type]


def test_scores_that_are_classes_are_doubtful_and_the_rare_classes_are_one(read: Read) -> None:
    columns = {"score": [0, 1, 1, 0], "actual": [0, 1, 0, 0]}
    read(columns, ("classes rather than scores",), positive="1", threshold=0.5)
    many = {
        "score": [f"c{i % 60}" for i in range(600)],
        "actual": [f"c{i % 60}" for i in range(600)],
    }
    its = read(many, ("60 classes: the commonest 50",))
    assert its.actual.max() == 50


CLASSES = {"score": list("abca"), "actual": list("abcb"), "sure": [0.9, 0.8, 0.5, 0.6]}


def test_several_classes_with_a_confidence_have_brier_log_loss_and_calibration(
    read: Read,
) -> None:
    columns = {name: values * 20 for name, values in CLASSES.items()}
    columns["sure"][4] = ""  # one without it
    its = read(columns, confidence="sure")
    assert its.target == MulticlassTarget(classes=("a", "b", "c"))
    assert np.isnan(its.value).tolist() == [value == "" for value in columns["sure"]]
    counts = baseline_counts(
        outcomes_of_rows(its.target, its.value, its.predicted, its.actual, its.rows)
    )
    figures = figures_of(counts)
    there = ~np.isnan(its.value)
    right = (its.predicted == its.actual)[there]
    sure = its.value[there]
    assert figures["accuracy"].value == 0.75
    assert figures["brier"].value == pytest.approx(metrics.brier_score_loss(right, sure))
    assert figures["log_loss"].value == pytest.approx(metrics.log_loss(right, sure))
    gaps = [abs(np.mean(right[sure == s]) - s) * np.mean(sure == s) for s in np.unique(sure)]
    assert figures["calibration_error"].value == pytest.approx(sum(gaps))


def test_a_confidence_is_the_prediction_of_events_and_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    sure = [0.9, 0.4, "", 0.7] * 10
    rows = [f"{a},{b},{i / 40}" for i, (a, b) in enumerate(zip("abca" * 10, sure, strict=True))]
    path.write_text("\n".join(["class,prediction,age", *rows]) + "\n")
    built = build(path, model="m", version="1", prediction="class", confidence="prediction")
    assert list(built.baseline.signals) == ["label", "prediction", "age"]
    assert built.baseline.features == ["age"]
    assert [it.signal for it in built.columns] == ["label", "prediction", "age"]
    with pytest.raises(BaselineError, match=r"reserved.*--confidence prediction"):
        build(path, model="m", version="1", prediction="class")


def test_one_column_of_probabilities_for_another_class_is_doubtful(read: Read) -> None:
    sure = [0.9, 0.8, 0.1, 0.333]
    read(CLASSES | {"sure": sure}, ("below 1/3 in 1 of 4 rows",), confidence="sure")


@pytest.mark.parametrize(
    ("columns", "options", "why"),
    [
        ({"score": SCORES}, {"confidence": "sure"}, "a score is named by --prediction alone"),
        ({"sure": list("wxyz")}, {"confidence": "sure"}, "'sure', which --confidence names, holds"),
        ({"sure": [90, 80, 50, 60]}, {"confidence": "sure"}, "holds 50 to 90, expected the"),
        ({"sure": [""] * 4}, {"confidence": "sure"}, "no value"),
        ({}, {"confidence": "score"}, "both --confidence and --prediction"),
        ({}, {"confidence": "actual"}, "both --confidence and --label"),
        ({}, {"confidence": "nothing"}, "no column 'nothing', which --confidence names"),
        (
            {"score": list("yyny"), "actual": list("yynn")},
            {"confidence": "sure", "positive": "y", "threshold": 0.5},
            "of two, name the probability of the positive one by --prediction",
        ),
    ],
)
def test_a_confidence_that_is_none_is_refused(
    read: Read, columns: dict[str, Any], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(BaselineError) as refused:
        read(CLASSES | columns, **options)
    assert why in str(refused.value)
