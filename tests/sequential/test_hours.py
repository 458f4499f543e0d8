"""Hours of the day beside the counts that they belong to."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tidegauge.sequential.calendar import HOURS, ProfileCalendar
from tidegauge.sequential.daily import HoursMemory
from tidegauge.sequential.ewma import Memory

DAY = 86_400
hour_weights = ProfileCalendar().weights


@given(start=st.integers(0, 10**9), seconds=st.integers(1, 3 * DAY))
def test_weights_are_shares_of_the_hours(start: int, seconds: int) -> None:
    weights = hour_weights(start, start + seconds)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0


@given(start=st.integers(0, 10**9), days=st.integers(1, 3))
def test_whole_days_have_every_hour_alike(start: int, days: int) -> None:
    assert hour_weights(start, start + days * DAY) == pytest.approx(np.full(HOURS, 1 / HOURS))


@given(start=st.integers(0, 10**6), minutes=st.integers(2, 600))
def test_weights_are_the_mean_of_those_of_the_minutes(start: int, minutes: int) -> None:
    each = [hour_weights(start + 60 * i, start + 60 * (i + 1)) for i in range(minutes)]
    assert hour_weights(start, start + 60 * minutes) == pytest.approx(np.mean(each, axis=0))


def test_hours_are_remembered_exactly_as_the_counts_are() -> None:
    """Each hour as a bin of its own: then what is remembered of both must be the same."""
    rng = np.random.default_rng(1)
    counts, hours = Memory.empty(2, HOURS), HoursMemory.empty(2)
    for number in range(60):
        start = number * 1800.0 + 900  # half an hour around the middle, or the end, of an hour
        weights = hour_weights(start, start + 1800)
        window = rng.integers(20, 400, size=(2, 1)) * weights
        hours = hours.after(counts, window, weights)
        counts = counts.after(window)
        assert hours.events == pytest.approx(counts.counts)
        assert hours.pooled == pytest.approx(counts.pooled)


def test_where_nothing_was_counted_no_hour_stands_out() -> None:
    assert HoursMemory.empty(3).weights() == pytest.approx(np.full((4, 3, HOURS), 1 / HOURS))
