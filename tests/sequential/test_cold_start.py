"""Levels that vary from window to window, while few windows are remembered: no drift at all."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from support.days import MINUTES, counted, learned, levels
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.daily import DailyReference, Dispersion, HoursMemory
from tidegauge.sequential.engine import Verdict, judge_daily
from tidegauge.sequential.ewma import LAMBDAS, Memory, remembered
from tidegauge.sequential.expected import MEAN
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.tails import carried

Floats = npt.NDArray[np.float64]

MODELS = 6
EVENTS = 1_000
BUDGET = Budget(alarms=float(MODELS), windows=43_200.0)


@cache
def _models() -> DailyReference:
    """Return baselines of 14 days, each of a model with one signal."""
    rng = np.random.default_rng(0)
    drawn = [levels(14, rng, cycle=0.2, noise=0.1) for _ in range(MODELS)]
    each = [learned(counted(it, EVENTS, rng)) for it in drawn]
    known = [it.daily.dispersion for it in each]
    names = ("excess", "degrees", "skewness", "by_hour")
    fields = (np.concatenate([getattr(it, name) for it in known]) for name in names)
    return DailyReference(
        Reference.joined([it.pooled for it in each]),
        np.concatenate([it.daily.shares for it in each]),
        np.concatenate([it.daily.events for it in each]),
        Dispersion(known[0].seconds, *fields),
    )


def _windows(events: list[int], rng: np.random.Generator) -> Floats:
    drawn = [
        [
            counted(level[None], n, rng)[0]
            for level, n in zip(its[: len(events)], events, strict=True)
        ]
        for its in (levels(1, rng, cycle=0.2, noise=0.1) for _ in range(MODELS))
    ]
    return np.array(drawn).swapaxes(0, 1)


def _judged(daily: DailyReference, windows: Floats) -> list[Verdict]:
    memory, hours = Memory.empty(*daily.pooled.counts.shape), HoursMemory.empty(MODELS)
    found = []
    for number, window in enumerate(windows):
        between = number * 60.0, number * 60.0 + 60
        found.append(judge_daily(daily, memory, hours, window, between, BUDGET))
        memory, hours = found[-1].memory, found[-1].hours or hours
    return found


def _in_alarm(verdicts: list[Verdict]) -> int:
    """How many models have ever been in alarm."""
    return int(np.any([it.alarms for it in verdicts], axis=0).sum())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_first_windows_vary_by_as_much_as_few_do(seed: int) -> None:
    windows = _windows([EVENTS] * 64, np.random.default_rng(seed))
    assert _in_alarm(_judged(_models(), windows)) == 0


def test_a_window_of_very_many_events_is_one_window() -> None:
    rng = np.random.default_rng(2)
    bursts = [50 * EVENTS if at % 40 == 39 else EVENTS for at in range(160)]
    found = _judged(_models(), _windows(bursts, rng))
    assert _in_alarm(found) == 0
    assert found[-1].hours is not None
    remembered = found[38].hours.windows(found[38].memory.total)[:, 0]  # type: ignore[union-attr]
    after = found[39].hours.windows(found[39].memory.total)[:, 0]  # type: ignore[union-attr]
    assert remembered[-1] > 35 and after[-1] < 5


def test_a_drift_after_the_first_windows_is_found_as_soon_as_ever() -> None:
    rng = np.random.default_rng(3)
    windows = _windows([EVENTS] * 20, rng)
    windows[8:] = counted(np.full(12 * MODELS, 1.0), EVENTS, rng).reshape(12, MODELS, -1)
    found = _judged(_models(), windows)
    assert not any(it.alarms.any() for it in found[:8])
    assert all(it.alarms.all() for it in found[8:])


def test_many_windows_alike_are_worth_what_the_weights_say() -> None:
    memory, hours = Memory.empty(1, 2), HoursMemory.empty(1)
    window, weights = np.array([[300.0, 200.0]]), np.full(24, 1 / 24)
    steady = np.array([2 / it - 1 for it in LAMBDAS])
    for number in range(1_000):
        hours = hours.after(memory, window, weights)
        memory = memory.after(window)
        found = hours.windows(memory.total)[:, 0]
        assert np.all(found <= np.minimum(steady, number + 1) * (1 + 1e-9))
    assert found == pytest.approx(steady, rel=1e-6)
    alike = HoursMemory.of_alike(hours.events, hours.pooled)
    assert alike.squares == pytest.approx(hours.squares, rel=1e-6)


def test_no_weights_vary_more_than_a_block_of_as_many_windows() -> None:
    """Σ w_j w_k c(j - k), for levels that are alike the more, the nearer their windows are."""
    rng = np.random.default_rng(4)
    apart = np.abs(np.subtract.outer(np.arange(300), np.arange(300)))
    for keep in (0.0, 0.5, 0.9, 0.98, 0.998):
        gamma = keep**apart
        for weight in LAMBDAS[1:]:
            events = np.where(rng.random(300) < 0.02, 50.0, 1.0)
            w = (1 - weight) ** np.arange(300) * events
            w /= w.sum()
            windows = 1 / (w**2).sum()
            block = np.interp(windows, np.arange(1, 301), _of_blocks(gamma))
            assert w @ gamma @ w <= 1.05 * block


def _of_blocks(gamma: Floats) -> Floats:
    return np.array([gamma[:n, :n].mean() for n in range(1, len(gamma) + 1)])


def _mean_degrees(level: Floats, rng: np.random.Generator) -> Floats:
    dispersion = learned(counted(level, EVENTS, rng)).daily.dispersion
    assert dispersion.seconds[:3] == [60, 240, 900]
    return np.asarray(dispersion.degrees[0, :3, MEAN])


def test_outliers_of_the_level_leave_heavy_tails_and_noise_does_not() -> None:
    rng = np.random.default_rng(5)
    level = levels(14, rng, cycle=0.2)
    noise = 0.1 * rng.normal(size=len(level))
    outliers = 0.1 * rng.standard_t(3, len(level)) / np.sqrt(3)
    assert _mean_degrees(level + noise, rng)[0] > 5_000
    assert _mean_degrees(level + outliers, rng)[0] < 6


def test_a_batch_each_night_leaves_heavy_tails() -> None:
    rng = np.random.default_rng(5)
    level = levels(14, rng, cycle=0.2)
    assert _mean_degrees(level, rng)[0] > 5_000
    at = np.arange(len(level)) % MINUTES
    level[(at >= 125) & (at < 135)] += 0.5
    assert _mean_degrees(level, rng).max() < 20


def test_tails_get_lighter_no_faster_than_those_of_independent_blocks() -> None:
    degrees = np.array([[5.0], [10_000.0], [8.0], [10_000.0]])
    found = carried([60, 240, 960, 3_840], degrees).ravel()
    # Kurtosis 6, then 2 · 6/4 = 3, of its own 1.5 and not 0.75, and 1.5/4.
    assert found.tolist() == [5, 6, 8, 20]
    assert carried([60], degrees[:1]).tolist() == [[5]]


def test_a_batch_each_night_is_no_drift_in_the_next_one() -> None:
    rng = np.random.default_rng(6)
    level = levels(15, rng, cycle=0.2)
    at = np.arange(len(level)) % MINUTES
    level[(at >= 125) & (at < 135)] += 0.5
    blocks = counted(level, EVENTS, rng)
    daily = learned(blocks[: 14 * MINUTES]).daily
    memory, hours = Memory.empty(*daily.pooled.counts.shape), HoursMemory.empty(1)
    alarms = 0
    for minute in range(240):
        window, between = blocks[14 * MINUTES + minute][None], (minute * 60.0, minute * 60.0 + 60)
        verdict = judge_daily(daily, memory, hours, window, between, Budget(1.0, 43_200.0))
        memory, hours = verdict.memory, verdict.hours or hours
        alarms += int(verdict.alarms.any())
    assert alarms == 0


def test_a_memory_of_a_day_is_that_of_the_detector() -> None:
    rng = np.random.default_rng(7)
    day = rng.multinomial(400, [0.5, 0.3, 0.2, 0.0], size=MINUTES).astype(float)
    memory = Memory.empty(1, 4)
    for window in np.concatenate([day, day]):  # the day before is taken to be like it
        memory = memory.after(window[None])
    for scale, span in ((1, 7 * 60), (2, 31 * 60)):
        counts, weight = remembered(day[None], span, step=60)
        assert counts[0, -1] == pytest.approx(memory.counts[scale, 0])
        assert counts[0, -1] * weight[0, -1] == pytest.approx(memory.effective()[scale, 0])
