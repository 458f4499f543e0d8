"""Windows judged together by a baseline by hour of day are judged as one after the other."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from support.signals import some_memory, worlds
from tidegauge.sequential import tails
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.calendar import HOURS
from tidegauge.sequential.daily import DailyReference, Dispersion, HoursMemory
from tidegauge.sequential.engine import BatchInput, HourlyInput, Verdict, judge_batch, judge_daily
from tidegauge.sequential.expected import BINS
from tidegauge.sequential.hourly_batch import HourlyBatch
from tidegauge.sequential.reference import Reference

BUDGET = Budget(1.0, 43_200.0)
Floats = npt.NDArray[np.float64]


def _daily(reference: Reference, rng: np.random.Generator) -> DailyReference:
    """Give a reference hours, some of which counted nothing, and levels that vary."""
    signals, bins = reference.counts.shape
    cycle = rng.gamma(5.0, 0.2, size=(signals, HOURS, 1))
    counts = np.floor(cycle * reference.counts[:, None] / HOURS)
    by_span = signals, 3, BINS + bins
    dispersion = Dispersion(
        (60, 900, 3600),
        rng.choice([0.0, 1e-5, 1e-3], by_span),
        rng.choice([1.5, 6.0, 40.0, 10_000.0], by_span),
        rng.normal(size=by_span),
        rng.uniform(1.0, 2.0, (signals, HOURS)),
    )
    named = bool(rng.integers(2))
    return DailyReference.of(reference, counts, dispersion, zone_is_known=named)


def _ends(windows: int) -> list[tuple[float, float]]:
    return [(number * 900.0, number * 900.0 + 900) for number in range(windows)]


def _one_by_one(daily: DailyReference, windows: Floats) -> list[Verdict]:
    memory, found = some_memory(daily.pooled), list[Verdict]()
    hours: HoursMemory | None = HoursMemory.empty(len(daily.pooled.counts))
    for window, its in zip(windows, _ends(len(windows)), strict=True):
        assert hours is not None
        found.append(judge_daily(daily, memory, hours, window, its, BUDGET))
        memory, hours = found[-1].memory, found[-1].hours
    return found


def _batch(daily: DailyReference, windows: Floats) -> HourlyBatch:
    memory, hours = some_memory(daily.pooled), HoursMemory.empty(len(daily.pooled.counts))
    return HourlyBatch(daily, memory, hours, windows, _ends(len(windows)), BUDGET)


@settings(max_examples=60)
@given(worlds(), st.integers(0, 1000), st.sampled_from([-1.0, 0.0, 0.05, 0.5, 1.0, 2.0]))
def test_what_is_beyond_a_level_is_what_the_scores_say(
    world: tuple[Reference, Floats], seed: int, level: float
) -> None:
    reference, windows = world
    daily = _daily(reference, np.random.default_rng(seed))
    batch = _batch(daily, windows)
    verdicts = _one_by_one(daily, windows)
    expected = [it.surprises.max(axis=(0, 2)) > level * it.threshold for it in verdicts]
    assert np.array_equal(batch.beyond(level), expected)
    for at, verdict in enumerate(verdicts):
        memory, hours = batch.after(at), batch.hours_after(at)
        assert verdict.hours is not None
        assert np.array_equal(memory.counts, verdict.memory.counts)
        assert np.array_equal(hours.events, verdict.hours.events)
        assert np.array_equal(hours.squares, verdict.hours.squares)


@settings(max_examples=60)
@given(worlds(), st.integers(0, 1000))
def test_windows_are_judged_together_to_the_bit_as_alone(
    world: tuple[Reference, Floats], seed: int
) -> None:
    reference, windows = world
    daily = _daily(reference, np.random.default_rng(seed))
    alone = _one_by_one(daily, windows)
    memory, turns = some_memory(daily.pooled), list[BatchInput]()
    hours: HoursMemory | None = HoursMemory.empty(len(daily.pooled.counts))
    for window, its, verdict in zip(windows, _ends(len(windows)), alone, strict=True):
        assert hours is not None
        hourly = HourlyInput(daily, hours, its)
        turns.append(BatchInput(reference, memory, window, BUDGET, hourly))
        memory, hours = verdict.memory, verdict.hours
    for turn, together, verdict in zip(turns, judge_batch(turns), alone, strict=True):
        [one] = judge_batch([turn])
        for its in (together.verdict, one.verdict):
            assert (its.threshold, its.looks) == (verdict.threshold, verdict.looks)
            assert np.array_equal(its.surprises, verdict.surprises)
            assert its.expected and verdict.expected
            ours, theirs = its.expected.reference, verdict.expected.reference
            assert np.array_equal(ours.counts, theirs.counts)
            assert np.array_equal(its.expected.excess, verdict.expected.excess)
        for column, expected in zip(together.strongest, one.strongest, strict=True):
            assert np.array_equal(column, expected)


def test_most_of_what_does_not_drift_is_told_without_its_tails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, asked = np.random.default_rng(3), [0]
    shares = np.full(14, 1 / 14)
    counts = rng.multinomial(100_000, shares, size=10).astype(np.float64)
    ordered = np.ones(counts.shape, dtype=bool)
    reference = Reference(counts, ordered, ordered, 0 * counts, 0 * counts, 0 * counts, ~ordered)
    batch = _batch(_daily(reference, rng), rng.multinomial(1_000, shares, size=(40, 10)) * 1.0)

    def counting(a: Floats, b: Floats, x: Floats) -> Floats:
        asked[0] += x.size
        return np.zeros_like(x)

    monkeypatch.setattr(tails, "betainc", counting)
    batch.beyond(1.0)
    assert asked[0] < 40 * 10 * 4
