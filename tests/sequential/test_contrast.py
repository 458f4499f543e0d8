"""Means over spans that are contrasted with what the longest span remembers."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st
from scipy.special import ndtr, ndtri

from tidegauge.sequential.budget import Budget
from tidegauge.sequential.contrast import AT_LEAST, CARRIED, CONTRASTED, Contrast
from tidegauge.sequential.engine import judge
from tidegauge.sequential.ewma import KEEP, LAMBDAS, Memory
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.sequential.scores import SCORES

Floats = npt.NDArray[np.float64]

EDGES = ndtri(np.array([0.01, 0.05, *np.arange(1, 10) / 10, 0.95, 0.99]))


def shares(mean: float) -> Floats:
    return np.append(np.diff(ndtr(EDGES - mean), prepend=0.0, append=1.0), 0.0)


def reference(rows: int) -> Reference:
    return Reference.of([SignalReference((rows * shares(0.0)).round().astype(int).tolist(), 14)])


@pytest.mark.parametrize(("span", "coefficients"), list(zip(CONTRASTED, AT_LEAST, strict=True)))
def test_what_is_not_remembered_is_bounded_by_what_is_at_any_age(
    span: int, coefficients: tuple[float, ...]
) -> None:
    known = np.array([0.0, *(KEEP[at] ** power for at in (1, 2, 3) for power in (2, 1))])
    ages = np.arange(5_000)
    least = known ** ages[:, None] @ np.array(coefficients)
    exact = (KEEP[span] * KEEP[-1]) ** ages
    assert (least <= exact + 1e-15).all()
    assert least.sum() > 0.98 * exact.sum()  # and windows of one size by little


@given(
    st.lists(st.sampled_from([250, 1_000, 1_000, 1_000, 50_000]), min_size=1, max_size=200),
    st.sampled_from([50, 2_000, 100_000]),
)
def test_no_windows_are_taken_for_more_certain_than_they_are(sizes: list[int], rows: int) -> None:
    memory = Memory.empty(1, 15)
    for size in sizes:
        memory = memory.after(size * shares(0.0)[None])
    found = Contrast.of(memory, np.array([float(rows)]))
    n = np.array(sizes[::-1], dtype=np.float64)
    ages = np.arange(len(n))
    for span in CONTRASTED:
        weights = [keep**ages * n for keep in KEEP]
        u = weights[span] / weights[span].sum()
        u = u - found.weights[span, 0] * weights[-1] / weights[-1].sum()
        assert 1 / found.events[span, 0] >= (u**2 / n).sum() * (1 - 1e-9)
        assert 0 <= found.weights[span, 0] <= 1


def test_a_contrast_starts_no_more_often_than_it_is_taken_to() -> None:
    ages = np.arange(2_000)
    for span, carried in zip(CONTRASTED, CARRIED, strict=True):
        for c in (0.0, 0.5, 0.8, 1.0):
            u = LAMBDAS[span] * KEEP[span] ** ages - c * LAMBDAS[-1] * KEEP[-1] ** ages
            assert (u[1:] * u[:-1]).sum() / (u**2).sum() >= carried - 1e-12


def test_a_small_baseline_does_not_hide_a_step_that_the_windows_show() -> None:
    """Of 2,000 rows the mean is off by 0.022: a step of 0.1 is 4.5 of that, whatever comes."""
    rows, memory, budget = reference(2_000), Memory.empty(1, 15), Budget(1.0, 20 * 43_200.0)
    for number in range(108):
        step = 0.1 if number >= 100 else 0.0
        verdict = judge(rows, memory, 1_000 * shares(step)[None], budget)
        memory = verdict.memory
        assert not verdict.alarms[0] or number >= 100
    by_mean = verdict.surprises[:, 0, SCORES.index("mean")]
    assert verdict.alarms[0] and by_mean[list(CONTRASTED)].max() > verdict.threshold
    assert by_mean[-1] < verdict.threshold / 2  # against the baseline alone it would be none


def test_a_drift_that_was_always_there_is_seen_by_the_longest_span() -> None:
    rows, memory, budget = reference(100_000), Memory.empty(1, 15), Budget(1.0, 20 * 43_200.0)
    for _ in range(300):
        verdict = judge(rows, memory, 1_000 * shares(0.05)[None], budget)
        memory = verdict.memory
    assert verdict.alarms[0]


def test_a_level_that_the_baseline_missed_by_chance_is_no_step() -> None:
    """Windows that are all alike have no contrast, however far they are from a small baseline."""
    rows, memory, budget = reference(200), Memory.empty(1, 15), Budget(1.0, 43_200.0)
    for _ in range(200):
        verdict = judge(rows, memory, 5_000 * shares(0.1)[None], budget)
        memory = verdict.memory
    assert verdict.surprises[:, 0, SCORES.index("mean")].max() < 4
