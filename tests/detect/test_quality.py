"""How much of a signal is unusable, beyond its baseline and what sampling makes of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.counting import categorical, numeric
from support.sampled import sampled_histogram, sampled_signal
from tidegauge.baseline.document import CategoricalSignal, NumericSignal
from tidegauge.baseline.signals import numeric_signal
from tidegauge.contract import SignalHistogram
from tidegauge.detect.quality import quality_of

VALUES = np.sort(np.random.default_rng(5).normal(size=10_000))


def signal(missing: int = 0, nan: int = 0, rows: int = 10_000) -> NumericSignal:
    return numeric_signal(VALUES[:: 10_000 // (rows - missing - nan)], missing=missing, nan=nan)


def counted(values: int, **beside: int) -> SignalHistogram:
    return sampled_histogram(VALUES[:values], signal(), **beside)


def test_a_signal_that_is_whole_has_nothing_to_say() -> None:
    assert quality_of(counted(1000), signal()) is None


def test_what_is_lost_is_a_share_of_what_should_be_there() -> None:
    found = quality_of(counted(1, absent=999), signal(missing=2_000, rows=10_000))
    assert found is not None
    assert found.absent_excess == found.missing_excess > 0.9
    assert found.not_finite_excess == found.invalid_excess == 0.0


@pytest.mark.parametrize(
    ("beside", "field"),
    [
        ({"absent": 300}, "absent_excess"),
        ({"null": 300}, "missing_excess"),
        ({"nan": 300}, "not_finite_excess"),
        ({"invalid": 300}, "invalid_excess"),
    ],
)
def test_each_way_of_being_unusable_has_its_own_figure(beside: dict[str, int], field: str) -> None:
    found = quality_of(counted(700, **beside), signal())
    assert found is not None
    assert 0.2 < getattr(found, field) < 0.3
    others = {"not_finite_excess", "invalid_excess", "unseen_excess"} - {field}
    assert [getattr(found, it) for it in sorted(others)] == [0.0] * len(others)


def test_what_the_baseline_lacks_too_is_expected_and_so_is_a_malformed_value_now_and_then() -> None:
    assert quality_of(counted(800, null=200), signal(missing=2_000)) is None
    assert quality_of(counted(999, invalid=1), signal()) is None
    few = quality_of(counted(3300, invalid=13), signal())
    assert few is None or few.invalid_excess < 0.01


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 30, 100, 1000, 10_000]))
def test_sampling_alone_loses_nothing_however_small_the_baseline(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    share = float(rng.beta(0.5, 2))
    missing = int(rng.binomial(rows, share))
    null = int(rng.binomial(1000, share))
    reference = numeric([0.0], [rows - missing, 0])
    reference.missing = missing
    found = quality_of(SignalHistogram(counts=[1000 - null, 0], null=null), reference)
    assert found is None or found.missing_excess < 0.05


def test_new_categories_are_told_from_those_that_a_small_baseline_has_not_met() -> None:
    reference = categorical("string", ["a", "b"])
    reference.counts = [4000, 3000, 0, 0]
    found = quality_of(SignalHistogram(counts=[400, 400, 0, 200]), reference)
    assert found is not None and found.unseen_excess > 0.01
    # All that it has it has met once: another sample will have others.
    once = CategoricalSignal(
        dtype="string", categories=[f"c{it}" for it in range(20)],
        known=[f"k{it}" for it in range(80)], known_complete=True,
        counts=[*[1] * 20, 80, 0], missing=0,
    )  # fmt: skip
    assert quality_of(SignalHistogram(counts=[*[0] * 21, 1000]), once) is None


@pytest.mark.parametrize(
    ("value", "reference", "constant"),
    [
        (0.0, sampled_signal(VALUES), True),
        (1.0, sampled_signal(np.array([1.0] * 9_990 + [2.0] * 10)), False),
        (1.0, sampled_signal(np.array([1.0] * 9_000 + [2.0] * 1_000)), True),
        (3.0, sampled_signal(np.array([3.0] * 100)), False),
        (1.0, sampled_signal(np.array([1.0, 2.0, 2.0])), False),
    ],
)
def test_values_are_constant_where_that_is_no_chance(
    value: float, reference: NumericSignal, constant: bool
) -> None:
    histogram = sampled_histogram(np.full(1000, value), reference)
    found = quality_of(histogram, reference)
    assert (found is not None and found.constant) == constant


def test_categories_are_constant_in_a_bin_of_their_own_only() -> None:
    reference = categorical("string", ["a", "b"])
    for counts, constant in (
        ([1000, 0, 0, 0], True),
        ([0, 0, 1000, 0], False),
        ([0, 0, 0, 1000], False),
    ):
        found = quality_of(SignalHistogram(counts=counts), reference)
        assert (found is not None and found.constant) == constant
