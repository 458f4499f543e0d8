"""Time divided into profiles: hours of local time."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tidegauge.sequential.calendar import HOURS, ProfileCalendar
from tidegauge.sequential.daily import DailyReference, Dispersion, HoursMemory
from tidegauge.sequential.reference import Reference, SignalReference

HOUR, DAY = 3600, 86_400


def _at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


SPRING, AUTUMN = _at(2026, 3, 29, 1), _at(2026, 10, 25, 1)
BERLIN = ProfileCalendar((_at(2025, 10, 26, 1), SPRING, AUTUMN), (HOUR, 2 * HOUR, HOUR))
KOLKATA = ProfileCalendar((0,), (19_800,))


def _hour(calendar: ProfileCalendar, at: int) -> int:
    """Return the hour that has all the weight at a moment."""
    weights = calendar.weights(at, at + 0.01)
    assert weights.max() == pytest.approx(1, abs=1e-4)
    return int(weights.argmax())


def test_hours_are_of_local_time() -> None:
    noon = _at(2026, 1, 15, 12, 30)
    assert _hour(ProfileCalendar(), noon) == 12
    assert _hour(BERLIN, noon) == 13
    assert _hour(BERLIN, _at(2026, 7, 15, 12, 30)) == 14
    assert _hour(BERLIN, _at(2001, 7, 15, 12, 30)) == 13  # before the first change: as after it
    assert _hour(KOLKATA, _at(2026, 1, 15, 12, 0)) == 17  # half past five


def test_an_hour_is_left_out_in_spring_and_comes_twice_in_autumn() -> None:
    around = [_hour(BERLIN, SPRING + it * HOUR + 1800) for it in (-2, -1, 0, 1)]
    assert around == [0, 1, 3, 4]
    around = [_hour(BERLIN, AUTUMN + it * HOUR + 1800) for it in (-2, -1, 0, 1)]
    assert around == [1, 2, 2, 3]
    weights = BERLIN.weights(SPRING - HOUR, SPRING + HOUR)  # from 1 to 4, without 2
    assert weights[[0, 1, 2, 3, 4]] == pytest.approx([1 / 16, 3 / 8, 1 / 8, 3 / 8, 1 / 16])


@given(
    start=st.integers(SPRING - DAY, AUTUMN + DAY),
    pieces=st.lists(st.integers(1, DAY), min_size=2, max_size=4),
)
def test_weights_of_a_span_are_the_mean_of_those_of_its_pieces(
    start: int, pieces: list[int]
) -> None:
    calendar = ProfileCalendar(
        BERLIN.changes, BERLIN.offsets, slots=((2 * HOUR + 300, 2 * HOUR + 900), (DAY - 60, DAY))
    )
    ends = start + np.cumsum([0, *pieces])
    each = [calendar.weights(a, b) for a, b in pairwise(ends)]
    mean = np.average(each, axis=0, weights=pieces)
    whole = calendar.weights(int(ends[0]), int(ends[-1]))
    assert whole == pytest.approx(mean, abs=1e-9)
    assert whole.sum() == pytest.approx(1) and whole.min() >= 0
    assert len(whole) == HOURS + 2


def test_what_is_in_a_slot_is_in_no_hour() -> None:
    calendar = ProfileCalendar(slots=((2 * HOUR + 300, 2 * HOUR + 900),))
    weights = calendar.weights(2 * HOUR + 300, 2 * HOUR + 360)
    assert weights[HOURS] == 1 and weights[:HOURS].sum() == 0
    around = calendar.weights(2 * HOUR, 2 * HOUR + 1200)
    assert around[HOURS] == pytest.approx(0.5)
    assert calendar.hours.tolist() == [*range(HOURS), 2]


@given(start=st.integers(0, 10**9), seconds=st.integers(1, 9 * DAY))
def test_kinds_of_days_share_what_hours_have(start: int, seconds: int) -> None:
    week = ProfileCalendar(kinds=8, holidays=frozenset({1, 5, 1000}), holiday_kind=7)
    by_kind = week.weights(start, start + seconds).reshape(8, HOURS)
    assert by_kind.sum(axis=0) == pytest.approx(ProfileCalendar().weights(start, start + seconds))


def test_sunday_evening_is_half_monday() -> None:
    monday = _at(2026, 11, 30)
    week = ProfileCalendar(kinds=7)
    weights = week.weights(monday - 60, monday + 60).reshape(7, HOURS)
    assert weights[6, 23] == pytest.approx(0.5) and weights[0, 0] == pytest.approx(0.5)
    holiday = ProfileCalendar(kinds=8, holidays=frozenset({monday // DAY}), holiday_kind=7)
    weights = holiday.weights(monday + 12 * HOUR, monday + 13 * HOUR).reshape(8, HOURS)
    assert weights[7, 12] == pytest.approx(0.75) and weights[:7].sum() == 0
    as_sunday = ProfileCalendar(kinds=7, holidays=frozenset({monday // DAY}))
    assert as_sunday.kind_of(monday // DAY) == 6


def test_what_is_certain_of_a_mixture_is_known_from_its_parts() -> None:
    """The variance of Σ u (w · share of the kind + (1 - w) · share of all), by its events."""
    rng = np.random.default_rng(1)
    week = ProfileCalendar(kinds=7)
    counts = rng.integers(300, 900, size=(2, week.profiles, 3)).astype(float)
    zero = np.zeros((2, 1, 6))
    own = rng.random((2, 7))
    daily = DailyReference.of(
        Reference.of([SignalReference([5, 3, 2], 3)] * 2),
        counts,
        Dispersion([60.0], zero, zero + 1, zero, np.ones((2, 24))),
        week,
        own,
    )
    u = rng.random((4, 2, week.profiles))
    u /= u.sum(axis=-1, keepdims=True)
    found = daily.expected(HoursMemory(u, u[0], np.ones((4, 2))), 60.0).events
    assert daily.own is not None
    for signal in range(2):
        e = counts[signal].sum(axis=-1).reshape(7, 24)
        w = daily.own[signal]
        assert w == pytest.approx(own[signal, :, None] * e / (e + 200))
        # How much each kind's own events count, in what is expected of each other one.
        mix = (1 - w)[:, None] * (e / e.sum(axis=0))[None]
        mix[range(7), range(7)] += w
        parts = np.einsum("skh,kjh->sjh", u[:, signal].reshape(4, 7, 24), mix)
        assert 1 / found[:, signal] == pytest.approx((parts**2 / e).sum(axis=(1, 2)))
