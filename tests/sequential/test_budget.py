"""The threshold keeps the budget: by its own arithmetic, and in a simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from tidegauge.sequential.budget import Budget, correlations, starts
from tidegauge.sequential.engine import judge
from tidegauge.sequential.ewma import LAMBDAS, LEAST_EVENTS, Memory
from tidegauge.sequential.reference import Reference, SignalReference

SHARES = np.array([0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05])
MONTH = 43_200.0


def _reference(signals: int, m: int = 10_000, rng: np.random.Generator | None = None) -> Reference:
    counts = (
        np.tile(SHARES * m, (signals, 1)) if rng is None else rng.multinomial(m, SHARES, signals)
    )
    return Reference.of([SignalReference(row.tolist(), len(SHARES)) for row in counts])


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("threshold", [5.0, 10.0, 15.0])
def test_starts_are_what_two_correlated_normals_say(threshold: float, correlation: float) -> None:
    level = stats.norm.isf(np.exp(-threshold) / 2)
    rest = np.sqrt(1 - correlation**2)
    both, _ = integrate.quad(
        lambda x: stats.norm.pdf(x) * stats.norm.sf((level - correlation * x) / rest),
        level,
        level + 8,
    )
    expected = 1 - both / stats.norm.sf(level)
    assert float(starts(threshold, np.array(correlation))) == pytest.approx(expected, rel=0.01)


def test_the_threshold_splits_the_budget_over_every_look() -> None:
    reference = _reference(3)
    events = np.full((4, 3), 1_000.0)
    threshold, looks = Budget(1.0, MONTH).threshold(reference, events)
    assert threshold == pytest.approx(np.log(MONTH * looks), abs=1e-3)
    assert 3 * 4 < looks < 3 * 16
    share = starts(threshold, correlations(reference, events)).sum() * 4
    assert looks == pytest.approx(share, rel=1e-3)


def test_more_signals_and_a_smaller_budget_raise_it_and_silence_costs_nothing() -> None:
    events = np.full((4, 2), 1_000.0)
    one = Budget(1.0, MONTH).threshold(_reference(2), events)[0]
    shared = Budget(1.0, MONTH, slices=10).threshold(_reference(2), events)[0]
    assert shared == pytest.approx(Budget(0.1, MONTH).threshold(_reference(2), events)[0])
    assert Budget(0.1, MONTH).threshold(_reference(2), events)[0] == pytest.approx(
        one + np.log(10), abs=0.1
    )
    assert Budget(1.0, MONTH).threshold(_reference(20), np.tile(events, 10))[0] > one
    events[:, 1] = 0.0
    alone = Budget(1.0, MONTH).threshold(_reference(1), np.full((4, 1), 1_000.0))
    assert Budget(1.0, MONTH).threshold(_reference(2), events) == pytest.approx(alone)


def test_a_budget_without_bounds_still_has_a_threshold() -> None:
    threshold, _ = Budget(1e9, 30.0).threshold(_reference(1), np.full((4, 1), 1_000.0))
    assert threshold == pytest.approx(np.log(2))


def test_an_unordered_signal_has_half_the_looks() -> None:
    ordered = _reference(1)
    unordered = Reference.of([SignalReference((SHARES * 10_000).tolist(), 0)])
    events = np.full((4, 1), 1_000.0)
    looks = [Budget(1.0, MONTH).threshold(it, events)[1] for it in (ordered, unordered)]
    assert looks[1] == pytest.approx(looks[0] / 2, rel=0.02)


def test_as_many_false_alarms_start_as_are_allowed() -> None:
    rng = np.random.default_rng(7)
    models, windows, allowed = 400, 150, 60.0
    reference, memory = _reference(models, rng=rng), Memory.empty(models, len(SHARES))
    firing, seen = np.zeros(models, dtype=bool), 0
    for _ in range(windows):
        window = rng.multinomial(500, SHARES, models).astype(np.float64)
        verdict = judge(reference, memory, window, Budget(allowed, float(windows)))
        memory = verdict.memory
        seen += int((verdict.alarms & ~firing).sum())
        firing = verdict.alarms
    assert 0.3 * allowed < seen < 1.2 * allowed


def test_a_drift_is_seen_and_stays_seen() -> None:
    rng = np.random.default_rng(8)
    reference, memory = _reference(20), Memory.empty(20, len(SHARES))
    drifted = np.roll(SHARES, 1)
    alarms = []
    for number in range(30):
        window = rng.multinomial(300, SHARES, 20).astype(np.float64)
        if number >= 10:
            window[3] = rng.multinomial(300, 0.7 * SHARES + 0.3 * drifted)
        verdict = judge(reference, memory, window, Budget(1.0, MONTH))
        memory = verdict.memory
        alarms.append(np.flatnonzero(verdict.alarms).tolist())
    assert alarms[:10] == [[]] * 10
    assert alarms[20:] == [[3]] * 10


def test_windows_are_pooled_until_there_are_enough_events() -> None:
    memory = Memory.empty(1, 2)
    for _ in range(3):
        memory = memory.after(np.array([[LEAST_EVENTS / 5, LEAST_EVENTS / 10]]))
        assert not memory.total.any()
    memory = memory.after(np.array([[LEAST_EVENTS / 10, 0.0]]))
    assert memory.total.tolist() == [[LEAST_EVENTS]] * 4 and not memory.pooled.any()


def test_a_memory_is_the_weighted_sum_of_its_windows() -> None:
    rng = np.random.default_rng(9)
    windows = rng.integers(100, 400, (40, 1, 3)).astype(np.float64)
    memory = Memory.empty(1, 3)
    for window in windows:
        memory = memory.after(window)
    for scale, weight in enumerate(LAMBDAS):
        weights = (1 - weight) ** np.arange(40)[::-1]
        n = windows.sum(axis=(1, 2))
        effective = (weights @ n) ** 2 / (weights**2 @ n)
        shares = weights @ windows[:, 0] / (weights @ n)
        assert memory.effective()[scale, 0] == pytest.approx(effective * shares)
