"""Counts against a baseline by hour of day."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings, strategies as st
from scipy import stats

from support.days import counted, learned, levels
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.daily import DailyReference, Dispersion, HoursMemory
from tidegauge.sequential.engine import Verdict, judge, judge_daily
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.expected import MEAN, SPREAD, Expected
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.sequential.scores import SCORES, Score, surprises

Floats = npt.NDArray[np.float64]

BUDGET = Budget(alarms=1.0, windows=43_200.0)
SHARES = np.diff(stats.norm.cdf([-np.inf, *np.arange(-2, 2.1, 0.5), np.inf]))
POOLED = Reference.of([SignalReference(np.round(SHARES * 1e6).astype(int).tolist(), len(SHARES))])
NOTHING = np.zeros(3 + len(SHARES))
SURE = np.full(3 + len(SHARES), 10_000.0)


def _expected(excess: float = 0.0, degrees: float = 10_000.0, skewness: float = 0.0) -> Expected:
    return Expected.of(
        POOLED, POOLED.counts, NOTHING + excess, SURE * 0 + degrees, NOTHING + skewness
    )


def _normal(mean: float, sd: float, events: float = 2_000) -> Floats:
    edges = [-np.inf, *np.arange(-2, 2.1, 0.5), np.inf]
    counts: Floats = np.diff(stats.norm.cdf(edges, mean, sd))[None] * events
    return counts


def _score(expected: Expected, counts: Floats, name: Score) -> float:
    return float(expected.surprises(counts)[0, SCORES.index(name)])


def test_without_dispersion_the_mean_is_that_of_a_fixed_baseline() -> None:
    counts = _normal(0.1, 1.0)
    fixed = surprises(POOLED, counts)[0, 1]
    assert _score(_expected(), counts, "mean") == pytest.approx(fixed, rel=5e-3)


def test_a_moved_mean_is_no_change_of_spread_or_shape() -> None:
    found = _expected().surprises(_normal(0.5, 1.0))[0]
    assert found[1] > 100
    assert found[[0, 2, 3]].max() < 3
    assert surprises(POOLED, _normal(0.5, 1.0))[0, 2] > 10  # about the baseline's mean it is one


def test_a_wider_spread_is_one_and_no_change_of_mean_or_shape() -> None:
    found = _expected().surprises(_normal(0.0, 1.3))[0]
    assert found[2] > 50
    assert found[[0, 1]].max() < 3


def test_a_change_that_is_neither_is_one_of_shape_and_bin() -> None:
    counts = np.round(SHARES * 2_000)[None]
    counts[0, 4] += 90
    counts[0, 5] -= 90
    found = _expected().surprises(counts)[0]
    assert found[0] > 5 and found[3] > 5
    assert found[[1, 2]].max() < 3


def test_what_the_baseline_varied_by_is_no_surprise() -> None:
    counts = _normal(0.1, 1.0)
    widened = _score(_expected(excess=0.01), counts, "mean")
    assert _score(_expected(), counts, "mean") > 10
    # 0.1 is one standard deviation now: p = 0.32
    assert widened == pytest.approx(-np.log(0.35), abs=0.15)


def test_fewer_degrees_of_freedom_have_a_longer_tail() -> None:
    counts = _normal(0.15, 1.0)
    found = [_score(_expected(1e-4, df), counts, "mean") for df in (5, 30, 1_000, 10_000)]
    assert found == sorted(found)
    error = 1 / 2_000 + 1 / 1e6 + 1e-4
    expected = _expected(1e-4, 30)
    linear, _ = expected.moments(counts)
    p = 2 * stats.t.sf(float(linear[0]) / np.sqrt(error), 30)
    assert found[1] == pytest.approx(-np.log(p), rel=0.01)


def test_skewness_takes_from_surprises_and_never_adds() -> None:
    for counts in (_normal(0.0, 1.12), _normal(0.0, 0.9)):
        plain, *skewed = (
            _score(_expected(0.001, 10_000, skewness), counts, "spread") for skewness in (0, 2, -2)
        )
        assert max(skewed) <= plain
        assert min(skewed) < plain - 0.5


def test_categories_have_neither_mean_nor_spread() -> None:
    pooled = Reference.of([SignalReference([600, 300, 90, 10, 0], 0)])
    expected = Expected.of(pooled, pooled.counts, np.zeros(8), np.full(8, 10_000.0), np.zeros(8))
    found = expected.surprises(np.array([[100.0, 150.0, 9.0, 1.0, 0.0]]))[0]
    fixed = surprises(pooled, np.array([[100.0, 150.0, 9.0, 1.0, 0.0]]))[0]
    assert found[[1, 2]].tolist() == [0, 0]
    assert found == pytest.approx(fixed, rel=0.02)


def test_excess_between_spans_lies_between_and_grows_below_the_shortest() -> None:
    excess = np.array([0.04, 0.02, 0.01])[None, :, None]
    ones = np.ones((1, 3, 1))
    known = Dispersion([60, 240, 960], excess, ones * [[[9], [7], [5]]], ones, np.ones((1, 24)))
    found, degrees, _ = known.over(np.array([30.0, 60.0, 120.0, 240.0, 960.0, 5_000.0]))
    assert found.ravel() == pytest.approx([0.08, 0.04, 0.03, 0.02, 0.01, 0.01])
    assert degrees.ravel() == pytest.approx([9, 9, 8, 7, 5, 5])


def test_one_span_is_enough_to_know() -> None:
    ones = np.ones((2, 1, 4))
    known = Dispersion([3600], ones * 0.01, ones * 50, ones * 0, np.ones((2, 24)))
    found, degrees, _ = known.over(np.array([1800.0, 3600.0, 7200.0]))
    assert found[:, 1, 2] == pytest.approx([0.02, 0.01, 0.01])
    assert degrees.shape == (3, 2, 4)


def _watched(daily: DailyReference, windows: Floats) -> list[Verdict]:
    memory, hours = Memory.empty(*daily.pooled.counts.shape), HoursMemory.empty(1)
    found = []
    for number, window in enumerate(windows):
        between = (number * 60.0, number * 60.0 + 60)
        verdict = judge_daily(daily, memory, hours, window[None], between, BUDGET)
        assert verdict.hours is not None
        memory, hours = verdict.memory, verdict.hours
        found.append(verdict)
    return found


def test_a_day_like_any_other_is_no_drift_and_a_quarter_sd_is_one() -> None:
    rng = np.random.default_rng(7)
    daily = learned(counted(levels(14, rng, cycle=0.2), 1_000, rng)).daily
    level = levels(1, rng, cycle=0.2)
    level[700:] += 0.25
    found = _watched(daily, counted(level, 1_000, rng)[:720])
    assert not any(verdict.alarms.any() for verdict in found[:700])
    assert any(verdict.alarms.any() for verdict in found[700:705])


def test_a_fixed_baseline_takes_the_day_for_a_drift() -> None:
    rng = np.random.default_rng(7)
    pooled = learned(counted(levels(14, rng, cycle=0.2), 1_000, rng)).pooled
    memory, alarms = Memory.empty(*pooled.counts.shape), 0
    for window in counted(levels(1, rng, cycle=0.2), 1_000, rng)[200:500]:
        verdict = judge(pooled, memory, window[None], BUDGET)
        memory, alarms = verdict.memory, alarms + int(verdict.alarms.any())
    assert alarms > 0.9 * 300


def test_what_is_expected_follows_the_hour_without_flattening_it() -> None:
    rng = np.random.default_rng(3)
    daily = learned(counted(levels(14, rng, cycle=0.3), 5_000, rng)).daily
    verdicts = _watched(daily, counted(levels(1, rng, cycle=0.3), 5_000, rng)[:362])
    expected = verdicts[-1].expected
    assert expected is not None
    top = expected.reference.counts[0, 0]  # the latest minute: 06:01, the highest of the day
    truth = counted(np.array([0.3]), 10_000_000, rng)[0]
    assert top / top.sum() == pytest.approx(truth / truth.sum(), abs=1e-3)


def test_an_hour_without_events_tells_nothing() -> None:
    hours = np.tile(np.round(SHARES * 10_000), (1, 24, 1))
    hours[0, 12] = 0
    ones = np.ones((1, 1, 3 + len(SHARES)))
    steady = Dispersion([3600], ones * 0, ones * 10_000, ones * 0, np.ones((1, 24)))
    daily = DailyReference.of(POOLED, hours, steady)
    memory = Memory.empty(*POOLED.counts.shape)
    far_off = _normal(2.0, 1.0)
    for at, heard in ((11.5, True), (12.5, False)):
        between = at * 3600 - 30, at * 3600 + 30
        verdict = judge_daily(daily, memory, HoursMemory.empty(1), far_off, between, BUDGET)
        assert bool(verdict.alarms.any()) is heard


def test_more_in_some_hours_is_more_in_these_alone() -> None:
    rng = np.random.default_rng(5)
    daily = learned(counted(levels(14, rng, cycle=0.0), 1_000, rng)).daily
    by_hour = np.ones((1, 24))
    by_hour[0, 3] = 25.0
    daily = replace(daily, dispersion=replace(daily.dispersion, by_hour=by_hour))
    memory = Memory.empty(*daily.pooled.counts.shape)
    window = counted(np.zeros(1), 1_000, rng)
    found = []
    for at in (3.5, 12.5):
        between = at * 3600 - 30, at * 3600 + 30
        verdict = judge_daily(daily, memory, HoursMemory.empty(1), window, between, BUDGET)
        assert verdict.expected is not None
        found.append(verdict.expected.excess[:, 0, [MEAN, SPREAD]])
    plain = daily.dispersion.over(np.array([60.0]))[0][0, 0, [MEAN, SPREAD]]
    assert found[1][0] == pytest.approx(plain, rel=0.01)
    assert found[0][0] == pytest.approx(plain * 25, rel=0.05)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.floats(0, 1e6), min_size=len(SHARES), max_size=len(SHARES)),
    baseline=st.lists(st.integers(0, 10**6), min_size=len(SHARES), max_size=len(SHARES)),
    excess=st.floats(0, 1),
    degrees=st.floats(1, 10_000),
    skewness=st.integers(-100, 100),
    ordered=st.integers(0, len(SHARES)),
)
def test_every_score_of_any_counts_is_a_number_not_below_zero(
    counts: list[float],
    baseline: list[int],
    excess: float,
    degrees: float,
    skewness: int,
    ordered: int,
) -> None:
    """Also where the hours expect nothing of what the whole baseline has, and the reverse."""
    pooled = Reference.of([SignalReference([it + 1 for it in baseline], ordered)])
    hours = np.array([baseline], dtype=np.float64)
    assume(hours.sum() > 0)
    filled = np.full(3 + len(SHARES), 1.0)
    expected = Expected.of(pooled, hours, filled * excess, filled * degrees, filled * skewness)
    found = expected.surprises(np.array([counts]))
    assert found.shape == (1, 4)
    assert np.isfinite(found).all() and found.min() >= 0


def test_a_surprise_is_a_number_whatever_a_baseline_says_of_its_days() -> None:
    with np.errstate(all="ignore"):
        found = _expected(degrees=5e-324).surprises(_normal(0.1, 1.0))
    assert np.isfinite(found).all()


def test_the_fit_keeps_to_bins_in_which_something_is_expected() -> None:
    """At night nearly all is in one bin, which makes the scores of the others very large."""
    night = np.zeros_like(POOLED.counts)
    night[0, 4:6] = [9_999, 1]
    expected = Expected.of(POOLED, night, NOTHING, SURE, NOTHING)
    elsewhere = np.zeros_like(night)
    elsewhere[0, [0, 5]] = [500, 500]
    with np.errstate(all="raise", under="ignore"):
        fitted = expected.fitted(elsewhere).counts[0]
        scores = expected.surprises(elsewhere)[0]
    assert fitted.sum() == pytest.approx(10_000)
    assert not fitted[[0, 1, 2, 3, 6]].any()
    assert scores[SCORES.index("bin")] > 100
