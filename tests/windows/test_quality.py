"""How much of a signal is unusable, beyond its baseline and what sampling makes of it."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

from support.counting import categorical, numeric
from support.sampled import Floats, sampled_histogram, sampled_signal
from tidegauge.baseline.document import CategoricalSignal, NumericSignal
from tidegauge.baseline.io.signals import numeric_signal
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.windows.quality import quality_of

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


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 30, 100, 1000, 10_000]),
    st.sampled_from([20, 50, 1000]),
)
def test_sampling_alone_loses_nothing_however_small_the_baseline_or_the_window(
    seed: int, rows: int, events: int
) -> None:
    rng = np.random.default_rng(seed)
    share = float(rng.beta(0.5, 2))
    missing = int(rng.binomial(rows, share))
    null = int(rng.binomial(events, share))
    reference = numeric([0.0], [rows - missing, 0])
    reference.missing = missing
    found = quality_of(SignalHistogram(counts=[events - null, 0], null=null), reference)
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


@pytest.mark.parametrize(
    ("factor", "constant"), [(1.0, False), (0.2, False), (0.01, True), (0.001, True)]
)
def test_values_are_constant_too_where_what_is_left_of_their_spread_is_next_to_nothing(
    factor: float, constant: bool
) -> None:
    amounts = np.random.default_rng(1).lognormal(size=5_000)
    found = quality_of(
        sampled_histogram(amounts[:1000] * factor, its := sampled_signal(amounts)), its
    )
    assert (found is not None and found.constant) == constant


#: Ways in which values are spread, and the ways of sound and of broken ones to change.
SPREADS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda rng, n: rng.normal(50.0, 10.0, n),
    "normal around 0": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "counts": lambda rng, n: rng.poisson(3.0, n).astype(np.float64),
    "mostly 0": lambda rng, n: np.where(rng.random(n) < 0.8, 0.0, rng.lognormal(size=n)),
    "a tail without a mean": lambda rng, n: rng.pareto(1.0, n),
}


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("rows", [30, 500, 2_000, 100_000])
def test_no_sample_is_out_of_range_by_chance_nor_what_doubles_or_shifts(
    spread: str, rows: int
) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(25):
        values = SPREADS[spread](rng, rows)
        known, sample = sampled_signal(values), SPREADS[spread](rng, 1000)
        deviation = 0.0 if "tail" in spread else float(values.std())
        for now in (sample, sample * 2.0, sample + 0.5 * deviation, sample + 2.0 * deviation):
            found = quality_of(sampled_histogram(now, known), known)
            assert found is None or (found.out_of_range_share, found.constant) == (0.0, False)


@pytest.mark.parametrize("spread", [it for it in SPREADS if "tail" not in it])
@pytest.mark.parametrize("rows", [500, 2_000, 100_000])
def test_a_thousand_times_the_values_are_out_of_range(spread: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    known = sampled_signal(SPREADS[spread](rng, rows))
    found = quality_of(sampled_histogram(1000.0 * SPREADS[spread](rng, 2000), known), known)
    assert found is not None and found.out_of_range_share > 0.01


def test_a_baseline_of_one_value_has_every_other_value_out_of_range() -> None:
    known = sampled_signal(np.full(10_000, 7.0))
    for value, share in ((7.0, 0.0), (8.0, 1.0), (6.9, 1.0)):
        found = quality_of(sampled_histogram(np.full(200, value), known), known)
        assert (found.out_of_range_share if found else 0.0) == share
    few = np.array([7.0] * 999 + [8.0])
    assert quality_of(sampled_histogram(few, known), known) is None


def test_categories_are_constant_in_a_bin_of_their_own_only() -> None:
    reference = categorical("string", ["a", "b"])
    for counts, constant in (
        ([1000, 0, 0, 0], True),
        ([0, 0, 1000, 0], False),
        ([0, 0, 0, 1000], False),
    ):
        found = quality_of(SignalHistogram(counts=counts), reference)
        assert (found is not None and found.constant) == constant
