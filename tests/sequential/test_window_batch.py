"""Windows judged together are judged as one after the other."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st

from support.signals import some_memory, worlds
from tidegauge.sequential.bounds import may_exceed
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.engine import Verdict, WindowBatch, judge
from tidegauge.sequential.ewma import LAMBDAS, LEAST_EVENTS, Memory
from tidegauge.sequential.onset import counts_since
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.sequential.scores import surprises
from tidegauge.stats.divergences import psi_corrected

BUDGET = Budget(1.0, 43_200.0)
Floats = npt.NDArray[np.float64]


def _same(found: Memory, expected: Memory) -> bool:
    return all(
        np.array_equal(getattr(found, name), getattr(expected, name))
        for name in ("counts", "total", "squared", "pooled")
    )


def _one_by_one(reference: Reference, memory: Memory, windows: Floats) -> list[Verdict]:
    found = []
    for window in windows:
        found.append(judge(reference, memory, window, BUDGET))
        memory = found[-1].memory
    return found


@given(worlds())
def test_memory_after_a_window_is_the_weighted_sums(world: tuple[Reference, Floats]) -> None:
    reference, windows = world
    memory = some_memory(reference)
    keep = 1 - np.array(LAMBDAS)[:, None]
    for window in windows:
        pooled = memory.pooled + window
        n = pooled.sum(axis=-1)
        moved = n >= LEAST_EVENTS
        expected = Memory(
            np.where(moved[:, None], keep[..., None] * memory.counts + pooled, memory.counts),
            np.where(moved, keep * memory.total + n, memory.total),
            np.where(moved, keep**2 * memory.squared + n, memory.squared),
            np.where(moved[:, None], 0.0, pooled),
        )
        memory = memory.after(window)
        assert _same(memory, expected)


@given(worlds())
def test_together_they_are_what_the_fold_says_of_each(world: tuple[Reference, Floats]) -> None:
    reference, windows = world
    before = some_memory(reference)
    expected = _one_by_one(reference, before, windows)
    batch = WindowBatch(reference, before, windows, [BUDGET])
    np.testing.assert_allclose(batch.events, [it.events for it in expected], rtol=1e-12)
    np.testing.assert_allclose(
        batch.thresholds[:, 0], [it.threshold for it in expected], rtol=1e-12
    )
    np.testing.assert_allclose(batch.looks[:, 0], [it.looks for it in expected], rtol=1e-12)
    assert _same(batch.memory, expected[-1].memory)


def test_thresholds_are_to_the_bit_those_of_each_window_alone() -> None:
    rng = np.random.default_rng(5)
    shares = np.full(5, 0.2)
    reference = Reference.of([SignalReference([100.0] * 5, 5 * (it % 2)) for it in range(12)])
    # Of a signal that is missing in some windows another is like in the others.
    events = rng.choice([200, 500, 700], size=(20, 12))
    windows = rng.multinomial(events, shares).astype(np.float64)
    before = some_memory(reference)
    expected = _one_by_one(reference, before, windows)
    batch = WindowBatch(reference, before, windows, [BUDGET])
    assert batch.thresholds[:, 0].tolist() == [it.threshold for it in expected]
    assert batch.looks[:, 0].tolist() == [it.looks for it in expected]


@given(worlds())
def test_the_strongest_sign_is_the_largest_of_the_scores(world: tuple[Reference, Floats]) -> None:
    reference, windows = world
    before = some_memory(reference)
    expected = _one_by_one(reference, before, windows)
    batch = WindowBatch(reference, before, windows, [BUDGET])
    asked = np.random.default_rng(len(windows)).random(batch.moved.shape) < 0.6
    asked[0, 0] = True
    places = np.nonzero(asked)
    strongest = batch.strongest(*places)
    for number, (at, signal) in enumerate(zip(*places, strict=True)):
        verdict, span = expected[at], strongest.spans[number]
        surprise = verdict.surprises[span, signal, strongest.scores[number]]
        assert surprise == verdict.surprises[:, signal].max()
        assert strongest.surprises[number] == pytest.approx(surprise, rel=1e-12, abs=1e-12)
        assert strongest.events[number] == pytest.approx(verdict.events[span, signal], rel=1e-12)
        counts = verdict.memory.effective()[span, signal]
        assert bool(strongest.ages[number]) == (surprise > verdict.threshold)
        if strongest.ages[number]:
            rows = np.array([signal])
            its = strongest.ages[number : number + 1]
            counts = counts_since(verdict.memory.of(rows), reference.counts[rows], its)[0]
        size = psi_corrected(counts, reference.counts[signal])
        np.testing.assert_allclose(strongest.sizes[number], size, rtol=1e-12, atol=1e-12)


@given(worlds(), st.sampled_from([0.05, 0.5, 1.0, 2.0]))
def test_what_is_beyond_a_level_is_what_the_scores_say(
    world: tuple[Reference, Floats], level: float
) -> None:
    reference, windows = world
    before = some_memory(reference)
    found = WindowBatch(reference, before, windows, [BUDGET]).beyond(level)
    expected = [
        verdict.surprises.max(axis=(0, 2)) > level * verdict.threshold
        for verdict in _one_by_one(reference, before, windows)
    ]
    assert np.array_equal(found, expected)


@given(worlds(), st.floats(-1.0, 60.0))
def test_no_score_above_a_level_is_overlooked(
    world: tuple[Reference, Floats], level: float
) -> None:
    reference, windows = world
    remembered_ = some_memory(reference).path(windows)
    above = surprises(reference, remembered_.effective()).max(axis=-1) > max(level, 0.0)
    assert not (above & ~may_exceed(reference, remembered_, level)).any()


def test_most_of_what_does_not_drift_is_told_without_its_scores() -> None:
    rng = np.random.default_rng(3)
    shares = np.full(14, 1 / 14)
    reference = Reference.of([SignalReference((shares * 1e5).astype(int).tolist(), 14)] * 20)
    windows = rng.multinomial(1_000, shares, (100, 20)).astype(np.float64)
    left = may_exceed(reference, Memory.empty(20, 14).path(windows), 15.0)
    assert left.mean() < 0.03


def test_a_batch_goes_on_where_another_ended() -> None:
    rng = np.random.default_rng(4)
    reference = Reference.of([SignalReference([500, 300, 200], 3)] * 2)
    windows = rng.multinomial(150, [0.5, 0.3, 0.2], (11, 2)).astype(np.float64)
    memory = Memory.empty(2, 3)
    for some in (windows[:4], windows[4:]):
        memory = WindowBatch(reference, memory, some, [BUDGET]).memory
    assert _same(memory, Memory.empty(2, 3).path(windows).at(-1))
