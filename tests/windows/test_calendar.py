"""Baselines whose hours are of local time: nothing changes with the clocks."""

from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from support.days import CUTS
from support.hourly import SIGNAL
from support.weekly import DAY, alarms, at, baseline_of, judged, reports
from tidegauge.baseline import DayCalendar, SignalHours
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.calendar import calendar_of, read_holidays
from tidegauge.contract import decode
from tidegauge.sequential import (
    MEAN,
    DailyReference,
    Dispersion,
    HoursMemory,
    Memory,
    ProfileCalendar,
    Reference,
    SignalReference,
)
from tidegauge.windows.drift_detector import DriftDetector, pack
from tidegauge.windows.hours import pack_hours, unpack_hours

Floats = npt.NDArray[np.float64]

FIRST = at(2026, 3, 9) // DAY
CHANGE = at(2026, 3, 29, 1)
NOON = CHANGE + 9 * 3600  # when the sine falls fastest


def _sine(local: Floats) -> Floats:
    return np.asarray(0.3 * np.sin(2 * np.pi * local / DAY))


_BERLIN = calendar_of("Europe/Berlin", (FIRST, FIRST + 13), read_holidays("none", print))


@cache
def _in_berlin() -> Baseline:
    return baseline_of(_sine, FIRST, 14, _BERLIN)


def test_a_change_of_clocks_is_no_drift() -> None:
    baseline = _in_berlin()
    after = [
        *reports(_sine, CHANGE - 1800, 3600, 30, baseline.id),
        *reports(_sine, CHANGE, 7200, 60, baseline.id),
        *reports(_sine, NOON, 7200, 90, baseline.id),
    ]
    parts = judged(baseline, after)
    assert not any(alarms(parts))
    assert {tuple(part.alarm_budget.reasons) for part in parts if part.alarm_budget} == {()}


def test_by_hours_that_were_said_to_be_of_utc_it_is_one() -> None:
    utc = baseline_of(lambda it: _sine(it + 3600), FIRST, 14)
    after = list(reports(_sine, NOON, 7200, 90, utc.id))
    assert sum(alarms(judged(utc, after))) > 60


@cache
def _of_nobodys_zone() -> Baseline:
    return baseline_of(lambda it: _sine(it + 3600), FIRST, 14, DayCalendar())


@pytest.mark.parametrize("ahead", [7200, 0])
def test_by_hours_of_no_time_zone_it_is_none_and_the_budget_says_why(ahead: int) -> None:
    """Where the day is steepest, clocks change: first memories hold some of each, then all."""
    baseline = _of_nobodys_zone()
    steep = NOON - 3600
    after = [
        *reports(_sine, steep - 1800, 3600, 30, baseline.id),
        *reports(_sine, steep, ahead, 90, baseline.id, seed=3),
        *reports(_sine, steep + 43_200, ahead, 30, baseline.id, seed=4),
    ]
    parts = judged(baseline, after)
    assert not any(alarms(parts))
    budgets = [part.alarm_budget for part in parts]
    assert {tuple(it.reasons) for it in budgets if it} == {("no_time_zone", "no_holidays")}
    assert not any(it.guaranteed for it in budgets if it)


def test_by_hours_of_no_time_zone_a_drift_is_found_where_the_day_is_steepest() -> None:
    baseline = _of_nobodys_zone()
    windows = reports(lambda it: _sine(it) + 0.25, NOON, 3600, 6, baseline.id)
    [*_, part] = judged(baseline, list(windows))
    evidence = part.signals[SIGNAL].evidence
    assert all(alarms([part])) and evidence and evidence.expectation
    expected = np.array(evidence.expectation.expected)
    normal = np.array([*np.diff(stats.norm.cdf([-np.inf, *CUTS, np.inf])), 0, 0, 0])
    assert expected.shape == normal.shape


def test_a_window_after_the_last_known_change_is_not_promised() -> None:
    baseline = _in_berlin()
    assert baseline.daily and baseline.daily.calendar and baseline.daily.calendar.until
    until = baseline.daily.calendar.until
    one, other = (
        next(reports(_sine, start, 3600, 1, baseline.id)) for start in (until - 60, until)
    )
    for report, reasons in ((one, []), (other, ["calendar_ended"])):
        [part] = judged(baseline, [report])
        assert part.alarm_budget and part.alarm_budget.reasons == reasons
        assert part.alarm_budget.guaranteed is (not reasons)


# -- days of the week ------------------------------------------------------------------------------

MONDAY = at(2026, 3, 2) // DAY


def _with_weekends(local: Floats) -> Floats:
    weekend = (local // DAY + 3) % 7 >= 5
    return np.asarray(0.2 * np.sin(2 * np.pi * local / DAY) + 0.3 * weekend)


@cache
def _of_four_weeks() -> Baseline:
    return baseline_of(_with_weekends, MONDAY, 28, kinds=7)


def _hours(baseline: Baseline) -> SignalHours:
    assert baseline.daily
    return baseline.daily.signals[SIGNAL]


def test_four_weeks_give_weekends_hours_of_their_own() -> None:
    week = _of_four_weeks()
    kinds = _hours(week).kinds
    assert kinds and min(kinds.own) > 0.95
    assert np.array_equal(np.sum(kinds.counts, axis=0), _hours(week).counts)
    all_alike = baseline_of(_with_weekends, MONDAY, 28)
    # The variation of the mean: a tenth of what it is if weekends count as that.
    assert _hours(week).excess[0][MEAN] * 100 < _hours(all_alike).excess[0][MEAN]
    assert decode(week.to_json(), Baseline) == week


def test_a_weekend_is_no_drift_and_one_on_a_tuesday_is() -> None:
    baseline = _of_four_weeks()
    begin = (MONDAY + 28) * DAY
    friday = begin + 5 * DAY - 5400  # and the begin of Saturday
    assert not any(
        alarms(judged(baseline, list(reports(_with_weekends, friday, 0, 180, baseline.id))))
    )
    tuesday = list(reports(lambda it: _with_weekends(it) + 0.3, begin + DAY, 0, 3, baseline.id))
    assert all(alarms(judged(baseline, tuesday)))


def test_the_end_of_a_weekend_by_other_clocks_is_no_drift_by_hours_of_no_time_zone() -> None:
    baseline = baseline_of(_with_weekends, MONDAY, 28, DayCalendar(), kinds=7)
    sunday = (MONDAY + 35) * DAY - 5400
    for ahead in (3600, -3600):
        windows = list(reports(_with_weekends, sunday, ahead, 180, baseline.id))
        assert not any(alarms(judged(baseline, windows)))


def test_two_weeks_or_alike_days_leave_the_hours_of_the_day() -> None:
    for level, days in ((_with_weekends, 14), (_sine, 28)):
        known = baseline_of(level, MONDAY, days, kinds=7)
        assert known.to_json() == baseline_of(level, MONDAY, days).to_json()
        assert not _hours(known).kinds


def test_what_is_remembered_of_many_profiles_comes_back_to_the_bit() -> None:
    week, rng = ProfileCalendar(kinds=7), np.random.default_rng(3)
    counts = rng.integers(100, 900, size=(5, week.profiles, 3)).astype(float)
    nothing, spans = np.zeros((5, 1, 6)), [60.0]
    dispersion = Dispersion(spans, nothing, nothing + 1, nothing, np.ones((5, 24)))
    pooled = Reference.of([SignalReference([500, 300, 200], 3)] * 5)
    daily = DailyReference.of(pooled, counts, dispersion, week, np.full((5, 7), 0.7))
    memory, hours = Memory.empty(5, 3), HoursMemory.empty(5, week.profiles)
    for number in range(70):
        window = rng.integers(20, 90, size=(5, 3)).astype(float)
        window[1:4] = window[0]
        between = number * 1800.0, number * 1800.0 + 1800
        hours = hours.after(memory, window, week.weights(*between))
        memory = memory.after(window)
        packed = pack(memory, 60, "b", hours)
        again = unpack_hours(packed, 5, daily)
        assert again is not None
        for name in ("events", "pooled", "squares"):
            assert np.array_equal(getattr(again, name), getattr(hours, name))
    assert len(packed.by_row) <= 3 * 5 * 8 * len(packed.profiles) // 2  # three of the five differ
    assert len(packed.profiles) // 2 < 60  # of 168


def test_profiles_without_a_weight_change_nothing_by_a_bit() -> None:
    week, rng = ProfileCalendar(kinds=7), np.random.default_rng(4)
    counts = rng.integers(100, 900, size=(3, week.profiles, 3)).astype(float)
    nothing = np.zeros((3, 1, 6))
    dispersion = Dispersion([60.0], nothing, nothing + 1, nothing, np.ones((3, 24)))
    pooled = Reference.of([SignalReference([500, 300, 200], 3)] * 3)
    daily = DailyReference.of(pooled, counts, dispersion, week, np.full((3, 7), 0.7))
    events = np.zeros((4, 3, week.profiles))
    events[:, :, 3:9] = rng.random((4, 3, 6))
    squares = (events.sum(axis=-1) ** 2) / 10
    one = daily.expected(HoursMemory(events, np.zeros((3, week.profiles)), squares), 60.0)
    events = events.copy()
    events[:, 2, 100:160] = 0.5
    squares = (events.sum(axis=-1) ** 2) / 10
    other = daily.expected(HoursMemory(events, np.zeros((3, week.profiles)), squares), 60.0)
    assert np.array_equal(one.reference.counts[:, :2], other.reference.counts[:, :2])
    assert not np.array_equal(one.reference.counts[:, 2], other.reference.counts[:, 2])


# -- the cycle itself ------------------------------------------------------------------------------

PEAK = at(2026, 4, 1, 5, 30)  # of a sine by UTC


@pytest.mark.parametrize(("amplitude", "in_alarm"), [(0.33, False), (0.45, True)])
def test_a_cycle_that_is_a_tenth_larger_is_no_drift_and_by_half_it_is(
    amplitude: float, in_alarm: bool
) -> None:
    baseline = baseline_of(_sine, FIRST, 14)
    windows = reports(lambda it: amplitude / 0.3 * _sine(it), PEAK, 0, 80, baseline.id)
    found = alarms(judged(baseline, list(windows)))
    assert all(found[40:]) if in_alarm else not any(found)


def test_categories_whose_shares_follow_the_day_may_do_so_a_little_more() -> None:
    pooled = Reference.of([SignalReference([500, 300, 200, 0], 0)])
    counts = np.tile(pooled.counts, (24, 1)) * 1e6
    counts[:12] += np.array([100, -100, 0, 0]) * 1e6
    counts[12:] -= np.array([100, -100, 0, 0]) * 1e6
    nothing = np.zeros((1, 1, 7))
    dispersion = Dispersion([60.0], nothing, nothing + 1e4, nothing, np.ones((1, 24)))
    daily = DailyReference.of(pooled, counts[None], dispersion)
    hours = HoursMemory.empty(1).after(
        Memory.empty(1, 4), np.full((1, 4), 1e3), daily.calendar.weights(6 * 3600, 7 * 3600)
    )
    excess = daily.expected(hours, 60.0).excess[0, 0]
    by_bin = [(0.05 * off) ** 2 / (p * (1 - p)) for off, p in ((0.1, 0.6), (0.1, 0.2))]
    assert excess[3:] == pytest.approx([*by_bin, 0, 0])
    assert excess[0] == pytest.approx((0.005**2 / 0.6 + 0.005**2 / 0.2) / 3)
    assert excess[1] == excess[2] == 0


# -- what recurs within the hour -------------------------------------------------------------------


def _with_batch(local: Floats, size: float = 0.5) -> Floats:
    minute = local % DAY // 60
    return np.asarray(_sine(local) + size * ((minute >= 125) & (minute < 135)))


@cache
def _of_nights() -> Baseline:
    return baseline_of(_with_batch, FIRST, 14, recurring=True)


def test_a_batch_of_each_night_has_a_slot_and_no_heavy_tails() -> None:
    baseline = _of_nights()
    assert baseline.daily and baseline.daily.calendar
    [slot] = baseline.daily.calendar.slots
    assert (slot.begin_seconds, slot.end_seconds) == (125 * 60, 135 * 60)
    assert len(_hours(baseline).counts) == 25
    without = _hours(baseline_of(_with_batch, FIRST, 14))
    assert _hours(baseline).excess[0][MEAN] * 20 < without.excess[0][MEAN]
    assert decode(baseline.to_json(), Baseline) == baseline


def test_the_next_night_is_no_drift_and_another_batch_is() -> None:
    baseline, begin = _of_nights(), (FIRST + 14) * DAY + 110 * 60
    night = judged(baseline, list(reports(_with_batch, begin, 0, 60, baseline.id)))
    assert not any(alarms(night))
    assert {it for part in night if part.alarm_budget for it in part.alarm_budget.reasons} == set()
    late = reports(lambda it: _with_batch(it - 1200), begin, 0, 60, baseline.id)
    found = alarms(judged(baseline, list(late)))
    assert all(found[36:45]) and not any(found[:15])


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_night_of_other_clocks_is_no_drift_by_hours_of_no_time_zone(ahead: int) -> None:
    baseline = baseline_of(_with_batch, FIRST, 14, DayCalendar(), recurring=True)
    begin = (FIRST + 14) * DAY + 50 * 60
    night = list(reports(_with_batch, begin, ahead, 170, baseline.id))
    assert not any(alarms(judged(baseline, night)))
    other = reports(lambda it: _with_batch(it) + 0.8 * (it % DAY < 7200), begin, 0, 20, baseline.id)
    assert any(alarms(judged(baseline, list(other))))


def test_a_cycle_or_noise_alone_has_no_slot() -> None:
    rng = np.random.default_rng(5)
    for noise in (0.0, 0.1):
        noisy = noise * rng.normal(size=14 * 1440)
        baseline = baseline_of(lambda it, noisy=noisy: _sine(it) + noisy, FIRST, 14, recurring=True)
        assert baseline.daily and baseline.daily.calendar and not baseline.daily.calendar.slots


def test_a_batch_of_working_days_has_a_slot_too() -> None:
    def level(local: Floats) -> Floats:
        return np.asarray(np.where((local // DAY + 3) % 7 < 5, _with_batch(local), _sine(local)))

    baseline = baseline_of(level, MONDAY, 14, recurring=True)
    assert baseline.daily and baseline.daily.calendar and len(baseline.daily.calendar.slots) == 1


# -- what is remembered and can't be used ----------------------------------------------------------


def test_a_memory_in_which_nothing_was_counted_comes_back() -> None:
    baseline = _of_four_weeks()
    begin = (MONDAY + 28) * DAY
    first, second = reports(_with_weekends, begin, 0, 2, baseline.id)
    [part] = first.parts
    empty = msgspec.structs.replace(first, parts=[msgspec.structs.replace(part, signals={})])
    detector, known = DriftDetector(lambda model: 1.0), {baseline.id: baseline}
    memory, _ = detector.take(None, empty, known)
    _, found = detector.take(memory, second, known)
    assert found == detector.take(None, second, known).report


def _cut(written: bytes) -> bytes:
    return written[:-8]


def _half_a_number(written: bytes) -> bytes:
    return written[:-4]


def _no_number(written: bytes) -> bytes:
    return np.array([np.nan]).tobytes() + written[8:]


def _far_away(written: bytes) -> bytes:
    return b"\xff" * len(written)


_FLOATS = ("counts", "total", "squared", "pooled", "squares", "by_row")
_DAMAGE = [
    *((name, how) for name in _FLOATS for how in (_cut, _half_a_number, _no_number)),
    *((name, how) for name in ("profiles", "rows") for how in (_half_a_number, _far_away)),
    ("onsets", lambda written: bytes(8 * 3)),
]


@pytest.mark.parametrize(("name", "how"), _DAMAGE)
def test_a_damaged_memory_begins_anew_and_is_told_once(
    name: str, how: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    baseline = _of_four_weeks()
    begin = (MONDAY + 28) * DAY
    windows = list(reports(_with_weekends, begin, 0, 4, baseline.id))
    detector, known = DriftDetector(lambda model: 1.0), {baseline.id: baseline}
    memory, _ = detector.take(None, windows[0], known)
    assert memory is not None
    broken = msgspec.structs.replace(memory, **{name: how(getattr(memory, name))})
    # Late events don't mend it, and don't fail either.
    assert detector.take_late(broken, windows[1], None, known) == broken
    memory, report = detector.take(broken, windows[2], known)
    assert (memory, report) == detector.take(None, windows[2], known)
    detector.take(memory, windows[3], known)
    [record] = caplog.records
    assert record.getMessage().startswith("the drift detector begins anew with model credit 3")


def test_releases_with_24_hours_and_with_more_begin_anew_with_what_the_other_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    baseline = _of_four_weeks()
    first, second = reports(_with_weekends, (MONDAY + 28) * DAY, 0, 2, baseline.id)
    detector, known = DriftDetector(lambda model: 1.0), {baseline.id: baseline}
    memory, _ = detector.take(None, first, known)
    assert memory is not None
    # The other one looks at these fields, and takes it that nothing is known if they are empty.
    assert not memory.hours and not memory.pooled_hours
    day = HoursMemory.empty(1).after(Memory.empty(1, 1), np.ones((1, 1)), np.full(24, 1 / 24))
    of_earlier = msgspec.structs.replace(
        memory, **{"profiles": b"", "rows": b"", "by_row": b""} | pack_hours(day)
    )
    assert detector.take(of_earlier, second, known) == detector.take(None, second, known)
    assert "begins anew" in caplog.text
