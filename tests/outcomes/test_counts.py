"""Counts of outcomes: exact, mergeable, taken back without a trace, and read from hostile input."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from tidegauge.contract import (
    BinaryCounts,
    BinaryTarget,
    DecodingError,
    MulticlassTarget,
    OutcomeTarget,
    RegressionCounts,
    RegressionTarget,
    ScoreSums,
    SparseCounts,
    StratumCounts,
    decode,
    encode,
)
from tidegauge.outcomes import NONE, OutcomeCounts, prediction_bins
from tidegauge.outcomes.exact import exact_of, exact_sum, exact_text, exact_value, surprisal

BINARY = BinaryTarget(positive="1", negative="0", threshold=0.5)
MULTICLASS = MulticlassTarget(classes=("cat", "dog"))
REGRESSION = RegressionTarget(residual_edges=(-1.0, 0.0, 1.0))
TARGETS = (BINARY, MULTICLASS, REGRESSION)

ONE_SCORE = ScoreSums(bins=[256], counts=[1], sums=[1], squares=[1])

Rows = list[tuple[float, int, float, float]]


def added(target: OutcomeTarget, rows: Rows, sign: int = 1) -> OutcomeCounts:
    counts = OutcomeCounts(target)
    value, predicted, actual, lag = zip(*rows, strict=True) if rows else ((), (), (), ())
    counts.add(
        np.array(value, dtype=float),
        np.array(predicted, dtype=np.uint16),
        np.array(actual, dtype=float),
        np.array(lag, dtype=float),
        sign,
    )
    return counts


def bytes_of(counts: OutcomeCounts) -> bytes:
    return encode(counts.to_record(version="1", baseline="b", target=0))


def rows_of(target: OutcomeTarget) -> st.SearchStrategy[Rows]:
    wild = st.sampled_from([math.nan, math.inf, -math.inf, -0.1, 1.5, 0.0, 1.0, 5e-324, 1e300])
    value = st.floats(0, 1) | wild
    codes = st.sampled_from([0, 1, NONE])
    actual: Any = st.sampled_from([0.0, 1.0])
    if target is REGRESSION:
        actual = st.floats(-1e80, 1e80) | st.sampled_from([0.0, 5e-324])
        value = st.floats(-1e80, 1e80) | wild
    return st.lists(st.tuples(value, codes, actual, st.floats(-1e4, 1e8)), max_size=12)


@pytest.mark.parametrize("target", TARGETS, ids=lambda it: it.problem)
@given(data=st.data())
@settings(max_examples=40)
def test_any_order_and_any_parts_give_the_same_bytes(
    target: OutcomeTarget, data: st.DataObject
) -> None:
    rows = data.draw(rows_of(target))
    at = data.draw(st.integers(0, len(rows)))
    other = data.draw(st.permutations(rows))
    whole = added(target, rows)
    assert bytes_of(added(target, rows[:at]).merge(added(target, rows[at:]))) == bytes_of(whole)
    assert bytes_of(added(target, other)) == bytes_of(whole)
    record = decode(bytes_of(whole), StratumCounts)
    assert bytes_of(OutcomeCounts.from_record(target, record)) == bytes_of(whole)
    # A tenure that takes back what another one counted has the opposite of it, also as a record.
    negative = decode(bytes_of(added(target, rows, -1)), StratumCounts)
    nothing = OutcomeCounts.from_record(target, negative).merge(whole)
    assert not nothing
    assert bytes_of(nothing) == bytes_of(OutcomeCounts(target))
    assert bool(whole) is bool(rows)


def test_what_is_subtracted_leaves_the_rest() -> None:
    first, second = added(REGRESSION, [(0.1, 0, 1e16, 5)]), added(REGRESSION, [(0.3, 0, 0.1, 5)])
    both = added(REGRESSION, [(0.1, 0, 1e16, 5), (0.3, 0, 0.1, 5)])
    assert bytes_of(both.merge(first, -1)) == bytes_of(second)


def test_a_binary_row_has_its_place() -> None:
    counts = added(
        BINARY,
        [
            (0.5, NONE, 1, 59),  # at the threshold: positive
            (0.499, NONE, 0, 60),
            (1.0, 0, 1, 10**9),  # a class that was sent is taken, whatever the score says
            (math.nan, 1, 1, -5),
            (math.nan, NONE, 0, 0),
            (7.0, NONE, 0, 0),  # above the threshold, but no probability
        ],
    )
    assert {tuple(map(int, at)) for at in np.argwhere(counts.labelled)} == {
        (64, 1, 1), (63, 0, 0), (127, 1, 0), (128, 1, 1), (128, 0, 2), (128, 0, 1),
    }  # fmt: skip
    assert counts.score_counts.sum() == 3
    assert counts.lags[0] == 4
    assert counts.lags[1] == counts.lags[-1] == 1


def test_a_class_among_several_has_its_place() -> None:
    counts = added(MULTICLASS, [(0.9, 0, 0, 1), (0.8, 1, 2, 1), (0.8, NONE, 1, 1), (0.7, 2, 2, 1)])
    assert counts.labelled.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    # A confidence without a class is of none.
    assert counts.score_counts.sum(axis=0).tolist() == [1, 2]


def test_numbers_that_are_none_are_left_out_and_still_labelled() -> None:
    rows = [(math.nan, NONE, 1.0, 1), (1e80, NONE, 1.0, 1), (1.5, NONE, 0.0, 1), (2.0, 0, 4.0, 1)]
    counts = added(REGRESSION, rows)
    assert (counts.n, counts.relative_n, counts.lags.sum()) == (2, 1, 4)
    assert counts.labelled.tolist() == [1, 0, 0, 1]


def test_all_predictions_are_counted_by_bin_and_class() -> None:
    value = np.array([0.0, 1.0, 0.6, math.nan, 0.2])
    codes = np.array([NONE, NONE, 0, NONE, 1], dtype=np.uint16)
    assert prediction_bins(BINARY, value, codes).tolist() == [0, 382, 228, 386, 76]
    assert prediction_bins(REGRESSION, value, codes).tolist() == [0] * 5
    assert prediction_bins(MULTICLASS, value, codes).tolist() == [3, 511, 304, 515, 101]
    counts = OutcomeCounts(BINARY)
    counts.add_predicted(np.array([386, 386, 0]), np.array([2, 3, 1]))
    assert counts.predicted[128, 2] == 5
    with pytest.raises(ValueError, match="expected 0 to 386"):
        counts.add_predicted(np.array([387]), np.array([1]))


def test_what_is_no_code_and_what_has_another_length_is_refused() -> None:
    for actual in (2.0, -1.0):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            added(BINARY, [(0.5, 1, actual, 1)])
    with pytest.raises(ValueError, match="as many of each"):
        OutcomeCounts(BINARY).add(
            np.zeros(2), np.zeros(2, dtype=np.uint16), np.zeros(2), np.zeros(1)
        )
    with pytest.raises(ValueError, match="different targets"):
        OutcomeCounts(BINARY).merge(OutcomeCounts(MULTICLASS))


def one_in(place: int) -> SparseCounts:
    return SparseCounts(bins=[place], counts=[1])


@pytest.mark.parametrize(
    ("target", "changes", "why"),
    [
        (
            BINARY,
            {"labelled": BinaryCounts(outcomes=one_in(774))},
            "found bin 774",
        ),
        (
            BINARY,
            {"labelled": BinaryCounts(scores=ONE_SCORE)},
            "found bin 256",
        ),
        (BINARY, {"lags": one_in(21)}, "lags: found bin 21"),
        (BINARY, {"predicted": one_in(387)}, "predicted: found bin 387"),
        (MULTICLASS, {"labelled": BinaryCounts()}, "the target is multiclass, and the counts"),
        (REGRESSION, {"labelled": RegressionCounts(error="1p1000")}, None),
        (REGRESSION, {"labelled": RegressionCounts(error="1p-1075")}, "no exact sum"),
        (REGRESSION, {"labelled": RegressionCounts(error="x")}, "no exact sum"),
        (
            REGRESSION,
            {"labelled": RegressionCounts(residuals=one_in(4))},
            "bin 4",
        ),
    ],
)
def test_counts_that_do_not_fit_the_target_are_refused(
    target: OutcomeTarget, changes: dict[str, Any], why: str | None
) -> None:
    fits: StratumCounts = OutcomeCounts(target).to_record(version="1", baseline="b", target=0)
    record = msgspec.structs.replace(fits, **changes)
    if why is None:
        OutcomeCounts.from_record(target, record)
        return
    with pytest.raises(DecodingError, match=why):
        OutcomeCounts.from_record(target, record)


@example([1e308, 1e308])
@example([-1e308, -1e308])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
@settings(max_examples=50)
def test_an_exact_sum_is_that_of_fsum_and_survives_as_text(numbers: list[float]) -> None:
    total = exact_sum(np.array(numbers, dtype=float))
    assert exact_of(exact_text(total)) == total
    try:
        assert exact_value(total) == math.fsum(numbers)
    except OverflowError:
        assert math.isinf(exact_value(total))


def test_the_logarithm_is_that_of_the_library() -> None:
    shares = np.concatenate([np.random.default_rng(5).random(1000), [1.0, 2**-52, 0.5, 0.75]])
    assert surprisal(shares) == pytest.approx(-np.log(shares), rel=1e-13, abs=1e-16)
