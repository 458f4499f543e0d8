"""Shifts of mean and quantile from counts between edges."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tidegauge.stats.divergences import g_two_sample, js_distance
from tidegauge.stats.values import (
    histogram_quantile,
    mean_shift,
    quantile_shift,
    standardised_mean_shift,
)

Shift = Callable[[Any, Any, Any], np.ndarray]


def median_shift(edges: Any, current: Any, reference: Any) -> np.ndarray:
    return quantile_shift(edges, current, reference, 0.5)


SHIFTS: list[Shift] = [mean_shift, standardised_mean_shift, median_shift]

two_sides = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(
        *(st.lists(st.integers(0, 4), min_size=bins, max_size=bins).filter(any) for _ in range(2))
    )
)


@given(two_sides, st.sampled_from([0, 0.25, 0.5, 0.75, 1]) | st.floats(0, 1))
def test_a_quantile_shift_is_the_difference_of_the_quantiles_of_both_histograms(
    sides: tuple[list[int], list[int]], q: float
) -> None:
    edges = [float(i * i) for i in range(len(sides[0]) + 1)]
    current, reference = (
        histogram_quantile(edges[1:-1], side, q, minimum=edges[0], maximum=edges[-1])
        for side in sides
    )
    assert current is not None
    assert reference is not None
    assert float(quantile_shift(edges, *sides, q)) == current - reference


def test_shifts_of_binned_values_are_near_those_of_the_values() -> None:
    generator = np.random.default_rng(11)
    reference, current = generator.normal(50, 4, 40_000), generator.normal(51, 4, 10_000)
    both = np.concatenate([reference, current])
    inner = np.quantile(reference, [0.01, 0.05, *np.arange(0.1, 0.95, 0.1), 0.95, 0.99])
    edges = [both.min(), *inner, both.max()]
    c, r = (np.histogram(side, edges)[0] for side in (current, reference))
    assert float(mean_shift(edges, c, r)) == pytest.approx(1.0, abs=0.15)
    assert float(standardised_mean_shift(edges, c, r)) == pytest.approx(0.25, abs=0.04)
    for q in (0.1, 0.5, 0.9):
        expected = np.quantile(current, q) - np.quantile(reference, q)
        assert float(quantile_shift(edges, c, r, q)) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("shift", SHIFTS)
def test_every_signal_may_have_edges_of_its_own(shift: Shift) -> None:
    edges = np.array([[0.0, 1.0, 2.0, 4.0], [-1e6, 0.0, 1e6, 2e6]])
    current, reference = [[1, 2, 3], [5, 0, 1]], [4, 4, 1]
    together = shift(edges, current, reference)
    assert together.shape == (2,)
    for row in range(2):
        alone = shift(edges[row], current[row], reference)
        assert float(together[row]) == pytest.approx(float(alone), rel=1e-12)
    one_pair = shift(edges, [1, 2, 3], reference)
    assert float(one_pair[1]) == pytest.approx(float(shift(edges[1], [1, 2, 3], reference)))


@pytest.mark.parametrize("shift", SHIFTS)
def test_growing_values_shift_up_and_swapped_sides_down(shift: Shift) -> None:
    edges = [0.0, 1.0, 2.0, 3.0]
    assert float(shift(edges, [1, 2, 9], [9, 2, 1])) > 0
    assert float(shift(edges, [9, 2, 1], [1, 2, 9])) < 0


def test_a_reference_of_one_value_has_no_deviation_to_measure_in() -> None:
    edges = [0.0, 5.0, 5.0, 9.0]
    assert float(standardised_mean_shift(edges, [0, 0, 3], [0, 7, 0])) == math.inf
    assert float(standardised_mean_shift(edges, [3, 0, 0], [0, 7, 0])) == -math.inf
    assert math.isnan(float(standardised_mean_shift(edges, [0, 3, 0], [0, 7, 0])))
    assert float(mean_shift(edges, [0, 0, 3], [0, 7, 0])) == 2.0
    assert float(median_shift(edges, [0, 0, 3], [0, 7, 0])) == 2.0


def test_edges_near_the_largest_and_the_smallest_float_neither_overflow_nor_vanish() -> None:
    edges = np.array([1.0, 1.6, 1.7])
    for unit in (1e308, 1e-300):
        assert float(mean_shift(edges * unit, [0, 1], [1, 0])) == pytest.approx(0.35 * unit)
        found = standardised_mean_shift(edges * unit, [0, 1], [1, 3])
        assert float(found) == pytest.approx(float(standardised_mean_shift(edges, [0, 1], [1, 3])))


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([0.0, 1.0], r"edges: found shape \(2,\) for 2 bins, expected 3"),
        ([0.0, 1.0, 2.0, 3.0], r"edges: found shape \(4,\) for 2 bins, expected 3"),
        (1.0, r"edges: found shape \(\) for 2 bins"),
        ([0.0, 2.0, 1.0], "never descend"),
        ([0.0, 1.0, math.inf], "finite"),
        ([math.nan, 1.0, 2.0], "finite"),
    ],
)
def test_edges_that_do_not_bound_the_bins_are_refused(
    shift: Shift, edges: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        shift(edges, [1, 2], [3, 4])


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_share_outside_0_to_1_has_no_quantile(q: float) -> None:
    with pytest.raises(ValueError, match="q: found"):
        quantile_shift([0.0, 1.0], [1], [1], q)


def test_a_distance_in_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unit: found 'base 2', expected one of nats, bits"):
        js_distance([1, 2], [2, 1], unit="base 2")  # type: ignore[arg-type]


def test_effective_counts_may_be_fractions() -> None:
    current, reference = np.array([3.0, 5.0, 2.0]), np.array([40.0, 30.0, 30.0])
    assert float(g_two_sample(current / 8, reference / 8)) == pytest.approx(
        float(g_two_sample(current, reference)) / 8
    )
