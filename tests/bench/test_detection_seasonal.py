"""The month with a daily cycle: its shortcuts against the detector itself, and its bar."""

import numpy as np
import pytest
from scipy import stats

from _detection_seasonal import (
    BUDGET,
    DRIFTS,
    EVENTS,
    LASTS,
    QUICK,
    hours_memory,
    incidents,
    month,
    remembered,
)
from support.days import counted, learned, levels
from tidegauge.sequential.daily import HoursMemory
from tidegauge.sequential.engine import judge_daily
from tidegauge.sequential.ewma import Memory


def test_windows_judged_at_once_are_those_judged_one_by_one() -> None:
    rng = np.random.default_rng(1)
    daily = learned(counted(levels(14, rng, cycle=0.2), EVENTS, rng)).daily
    windows = counted(levels(1, rng, cycle=0.2), EVENTS, rng)[100:900]
    memory, hours = Memory.empty(*daily.pooled.counts.shape), HoursMemory.empty(1)
    at_once = remembered(windows[:, None], minute=100)
    effective, weights = (np.concatenate(its) for its in zip(*at_once, strict=True))
    expected = daily.expected(hours_memory(effective, weights), 60.0, effective)
    found = expected.surprises(effective)
    for number, window in enumerate(windows):
        start = 60.0 * (100 + number)
        verdict = judge_daily(daily, memory, hours, window[None], (start, start + 60), BUDGET)
        assert verdict.hours is not None
        memory, hours = verdict.memory, verdict.hours
        assert found[number] == pytest.approx(verdict.surprises, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("at", "expected"), [([], 0), ([5], 1), ([5, 64], 1), ([5, 65], 2), ([0, 30, 80, 200, 201], 2)]
)
def test_an_incident_ends_with_an_hour_without_alarms(at: list[int], expected: int) -> None:
    alarms = np.zeros(300, dtype=bool)
    alarms[at] = True
    assert incidents(alarms) == expected


def test_a_month_with_a_daily_cycle_has_no_more_than_its_budget_and_every_drift_is_found() -> None:
    found = month(QUICK[0], seed=3)
    # With one allowed, more than three come once in fifty months.
    assert found.by_hour <= int(stats.poisson.ppf(0.98, 1))
    assert found.fixed_share > 0.9
    assert len(found.delays) == DRIFTS
    assert max(found.delays) <= LASTS
