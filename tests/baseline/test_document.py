"""The document: named by its content, refused if its counts don't follow its binning."""

from typing import Any

import msgspec
import pytest

from tidegauge.baseline.document import Baseline, CategoricalSignal, Dependence, NumericSignal
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.baseline.validation import UnusableBaseline, read_baseline
from tidegauge.contract import (
    BinaryCounts,
    BinaryTarget,
    DecodingError,
    RegressionCounts,
    RegressionTarget,
    SparseCounts,
    decode,
    encode,
)

NUMERIC = {
    "edges": [1.0, 2.0],
    "counts": [1, 2, 3],
    "missing": 0,
    "nan": 0,
    "mean": 1.5,
    "std": 0.5,
    "minimum": 0.0,
    "maximum": 3.0,
}


def test_decoding_gives_back_the_same_content_and_id() -> None:
    baseline = Baseline(
        model="m",
        version="1",
        rows=6,
        source="x.csv",
        signals={
            "b": NumericSignal(**NUMERIC),
            "a": CategoricalSignal(
                dtype="string",
                categories=["x"],
                known=[],
                known_complete=True,
                counts=[6, 0, 0],
                missing=0,
            ),
        },
    )
    again = read_baseline(baseline.to_json())
    assert again == baseline
    assert again.id == baseline.id
    assert len(baseline.id) == 64


def _baseline(**fields: object) -> Baseline:
    signals = {name: NumericSignal(**NUMERIC) for name in ("a", "b", "prediction")}
    given = {"model": "m", "version": "1", "rows": 6, "source": "x.csv", "signals": signals}
    return Baseline(**given | fields)  # type: ignore[arg-type]


def test_a_baseline_without_importances_has_the_bytes_and_the_id_it_had_before_there_were_any() -> (
    None
):
    before = "0b6d0b8e14726825"
    for baseline in (_baseline(), _baseline(importances={})):
        assert b"importances" not in baseline.to_json()
        assert b"outcomes" not in baseline.to_json()
        assert baseline.id.startswith(before)
        assert not read_baseline(baseline.to_json()).importances


def test_importances_are_part_of_the_content() -> None:
    baseline = _baseline(importances={"b": 2.0, "a": 0.0})
    again = read_baseline(baseline.to_json())
    assert again.importances == {"b": 2.0, "a": 0.0}
    assert again.id == baseline.id != _baseline().id


@pytest.mark.parametrize(
    ("importances", "message"),
    [
        ({"c": 1.0}, "importances names 'c', which is no feature"),
        ({"prediction": 1.0}, "importances names 'prediction', which is no feature"),
        ({"a": -1.0}, "importances has -1.0 for 'a', expected 0 or more"),
        ({"a": "much"}, "Expected `float`"),
    ],
)
def test_importances_that_make_no_sense_are_refused(
    importances: dict[str, object], message: str
) -> None:
    document = msgspec.json.decode(_baseline().to_json()) | {"importances": importances}
    with pytest.raises(UnusableBaseline, match=message):
        read_baseline(msgspec.json.encode(document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": [1, 2]}, "counts has 2 entries, expected 3"),
        ({"counts": [1, 2, -3]}, "negative"),
        ({"edges": [2.0, 1.0]}, "strictly increasing"),
        ({"edges": [2.0, 2.0]}, "strictly increasing"),
        ({"edges": [None, 2.0]}, "Expected `float`"),
    ],
)
def test_a_document_whose_bins_make_no_sense_is_refused(
    change: dict[str, object], message: str
) -> None:
    document = {
        "model": "m",
        "version": "1",
        "rows": 6,
        "source": "x.csv",
        "schema_version": 1,
        "signals": {"a": {"kind": "numeric", **NUMERIC, **change}},
    }
    with pytest.raises(UnusableBaseline, match=message) as error:
        read_baseline(msgspec.json.encode(document))
    assert "$.signals" in str(error.value)


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"amount": 0.5}, "dependence has 0.5 for 'amount', expected 1 or more"),
        ({"amount": float("inf")}, "dependence has inf for 'amount', expected 1 or more"),
        ({"age": 2.0}, "dependence names 'age', which is no signal of the baseline"),
    ],
)
def test_design_effects_that_make_no_sense_are_refused(
    effects: dict[str, float], message: str
) -> None:
    signal = NumericSignal(
        edges=[0.0], counts=[5, 5], missing=0, nan=0, mean=0.0, std=1.0, minimum=-1.0, maximum=1.0
    )
    with pytest.raises(ValueError, match=message):
        Baseline(
            model="m", version="1", rows=10, source="t", signals={"amount": signal},
            dependence=Dependence(found_by="entity", entity="user", design_effects=effects),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"performance": RegressionCounts()}, "counts regression, and its target is binary"),
        (
            {"performance": BinaryCounts(outcomes=SparseCounts(bins=[774], counts=[1]))},
            "bin 774 of outcomes, which has 774",
        ),
        (
            {
                "target": RegressionTarget(residual_edges=()),
                "performance": RegressionCounts(error="1p-1075"),
            },
            "the sum 1p-1075, which no float has",
        ),
        ({"labelled": -1}, "labelled"),
    ],
)
def test_outcomes_that_do_not_fit_their_target_are_refused(
    changes: dict[str, Any], why: str
) -> None:
    target = BinaryTarget(positive="1", negative="0", threshold=0.5)
    fits = BaselineOutcomes(target=target, predicted=1, labelled=1, performance=BinaryCounts())
    assert decode(encode(fits), BaselineOutcomes) == fits
    with pytest.raises(DecodingError, match=why):
        decode(encode(msgspec.to_builtins(fits) | msgspec.to_builtins(changes)), BaselineOutcomes)
