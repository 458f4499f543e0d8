"""Counts moved between bins, held against values that were moved before they were binned."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st

from support.sampled import sampled_signal
from tidegauge.backtest.inject import moves
from tidegauge.baseline.binning import numeric_counts
from tidegauge.baseline.document import NumericSignal

Floats = npt.NDArray[np.float64]


WORLDS = {
    "normal": lambda rng, n: rng.normal(3.0, 2.0, n),
    "skewed": lambda rng, n: rng.gamma(2.0, 10.0, n),
    "heavy-tailed": lambda rng, n: rng.standard_t(4, n),
    "uniform": lambda rng, n: rng.uniform(-5.0, 1.0, n),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("shift", "stretch"), [(0.1, 1.0), (0.5, 1.0), (-1.0, 1.0), (0.0, 1.3), (0.0, 0.7)]
)
def test_moved_counts_are_near_those_of_moved_values(
    world: str, shift: float, stretch: float
) -> None:
    values = WORLDS[world](np.random.default_rng(1), 200_000)
    signal = sampled_signal(values)
    assert signal.mean is not None and signal.std is not None
    by = shift * signal.std
    moved = signal.mean + stretch * (values - signal.mean) + by
    expected = numeric_counts(moved, signal.edges) / len(values)
    table = moves(signal, shift=by, stretch=stretch, centre=signal.mean)
    found = np.array(signal.counts) @ table / len(values)
    # What a bin holds is not spread as evenly as it is taken to be.
    assert np.abs(found - expected).max() < 0.025
    change = np.abs(np.array(signal.counts) / len(values) - expected).sum()
    assert np.abs(found - expected).sum() < 0.25 * change + 0.01


@given(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=40),
    st.floats(-3.0, 3.0),
    st.floats(0.1, 5.0),
)
def test_each_value_goes_somewhere(values: list[float], shift: float, stretch: float) -> None:
    signal = sampled_signal(np.array(values))
    by = shift * (signal.std or 1.0)
    table = moves(signal, shift=by, stretch=stretch, centre=signal.mean or 0.0)
    assert (table >= 0).all()
    assert table.sum(axis=1) == pytest.approx(np.ones(len(signal.counts)))


def test_to_move_by_nothing_changes_nothing() -> None:
    signal = sampled_signal(np.random.default_rng(2).normal(size=10_000))
    table = moves(signal, shift=0.0, stretch=1.0, centre=0.0)
    assert table == pytest.approx(np.eye(len(signal.counts)), abs=1e-9)


def test_a_signal_of_one_bin_stays_in_it() -> None:
    signal = NumericSignal(
        edges=[], counts=[5], missing=0, nan=0, mean=1.0, std=1.0, minimum=0.0, maximum=2.0
    )
    assert moves(signal, shift=9.0, stretch=2.0, centre=1.0).tolist() == [[1.0]]


def test_far_enough_all_values_are_in_the_last_bin() -> None:
    signal = sampled_signal(np.random.default_rng(3).normal(size=10_000))
    table = moves(signal, shift=100.0, stretch=1.0, centre=0.0)
    assert table[:, -1] == pytest.approx(np.ones(len(signal.counts)))
    assert not math.isnan(table.sum())
