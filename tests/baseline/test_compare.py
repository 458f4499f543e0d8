"""A window beside its baseline, bin by bin."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tidegauge.baseline.compare import (
    bin_labels,
    current_counts,
    distribution,
    reference_counts,
    vectors,
)
from tidegauge.baseline.document import CategoricalSignal, NumericSignal, Signal
from tidegauge.baseline.io.signals import categorical_signal, numeric_signal
from tidegauge.contract.histogram import SignalHistogram

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200)
names = st.dictionaries(st.text(max_size=8), st.integers(1, 9), min_size=1, max_size=40)
signals = st.one_of(
    numbers.map(lambda values: numeric(values)),
    names.map(lambda counts: categorical(counts)),
)
few = st.integers(0, 1000)


def numeric(values: list[float], missing: int = 0, nan: int = 0) -> NumericSignal:
    return numeric_signal(np.sort(np.array(values) + 0.0), missing=missing, nan=nan)


def categorical(counts: dict[str, int], missing: int = 0) -> Signal:
    return categorical_signal(Counter(counts), kind="string", are_text=False, missing=missing)


@given(signals, few, few, few, few)
def test_labels_reference_and_current_have_one_length_and_lose_no_event(
    signal: Signal, absent: int, null: int, nan: int, invalid: int
) -> None:
    histogram = SignalHistogram(
        counts=signal.counts, absent=absent, null=null, nan=nan, invalid=invalid
    )
    found = distribution(signal, histogram)
    reference, current, ordered = vectors(signal, histogram)
    assert len(found.bins) == len(found.reference) == len(found.current) == len(signal.counts) + 3
    assert found.reference == reference.tolist()
    assert found.current == current.tolist()
    assert current.sum() == sum(signal.counts) + absent + null + nan + invalid
    assert ordered == (len(signal.counts) if isinstance(signal, NumericSignal) else 0)


@given(signals)
def test_no_two_bins_have_the_same_label(signal: Signal) -> None:
    labels = bin_labels(signal)
    assert len(set(labels)) == len(labels)


def test_labels_of_numbers_read_like_intervals() -> None:
    assert bin_labels(numeric([1.0, 2.0, 3.0]))[:3] == ["< 1.5", "1.5 \u2013 2.5", "≥ 2.5"]


def test_a_value_with_a_bin_of_its_own_is_named() -> None:
    assert bin_labels(numeric([4.0]))[:3] == ["< 4", "= 4", "> 4"]
    values = [*[0.0] * 60, *np.linspace(1, 40, 40).tolist()]
    assert bin_labels(numeric(values))[:3] == ["< 0", "= 0", "> 0 \u2013 1"]


def test_neighbouring_edges_are_written_as_long_as_they_can_be_told_apart() -> None:
    a = 1.0
    b = math.nextafter(math.nextafter(a, 2), 2)
    labels = bin_labels(numeric([a, b, b + 1]))
    assert len(set(labels)) == len(labels)


def test_missing_is_absent_and_null_together() -> None:
    signal = categorical({"a": 3, "b": 2})
    histogram = SignalHistogram(counts=[1, 0, 0, 5], absent=10, null=1, nan=2, invalid=3)
    found = distribution(signal, histogram)
    assert dict(zip(found.bins, zip(found.reference, found.current, strict=True), strict=True)) == {
        "a": (3, 1),
        "b": (2, 0),
        "other": (0, 0),
        "never seen": (0, 5),
        "missing": (0, 11),
        "not finite": (0, 2),
        "invalid type": (0, 3),
    }


def test_a_category_called_other_is_told_from_the_bin_for_others() -> None:
    assert bin_labels(categorical({"other": 1}))[:2] == ['"other"', "other"]


def test_a_histogram_of_another_binning_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bins and the baseline's signal 3"):
        vectors(numeric([1.0, 2.0, 3.0]), SignalHistogram(counts=[1, 2]))


def number(missing: int, nan: int) -> NumericSignal:
    return NumericSignal(
        edges=[1.0], counts=[30, 50], missing=missing, nan=nan,
        mean=0.0, std=1.0, minimum=0.0, maximum=2.0,
    )  # fmt: skip


@pytest.mark.parametrize(("missing", "nan"), [(20, 0), (0, 20), (5, 15)])
@pytest.mark.parametrize(("absent", "null", "not_finite"), [(0, 20, 0), (0, 0, 20), (3, 7, 10)])
def test_missing_null_and_nan_of_the_same_rows_are_the_same(
    missing: int, nan: int, absent: int, null: int, not_finite: int
) -> None:
    signal = number(missing=missing, nan=nan)
    window = SignalHistogram(counts=[30, 50], absent=absent, null=null, nan=not_finite)
    assert current_counts(signal, window) == reference_counts(signal) == [30, 50, 20, 0, 0]


def test_not_finite_is_a_bin_of_its_own_where_the_baseline_has_nothing_missing() -> None:
    signal = number(missing=0, nan=0)
    window = SignalHistogram(counts=[30, 50], null=5, nan=15)
    assert current_counts(signal, window) == [30, 50, 5, 15, 0]


def test_a_category_that_is_missing_in_the_baseline_may_come_as_nan() -> None:
    signal = CategoricalSignal(
        dtype="string", categories=["a"], known=[], known_complete=True, counts=[80, 0, 0],
        missing=20,
    )  # fmt: skip
    window = SignalHistogram(counts=[80, 0, 0], nan=20)
    assert current_counts(signal, window) == reference_counts(signal)
