"""Baselines whose hours are of local time: nothing changes with the clocks."""

from functools import cache

import numpy as np
import numpy.typing as npt

from support.weekly import DAY, alarms, at, baseline_of, judged, reports
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.calendar import calendar_of

Floats = npt.NDArray[np.float64]

FIRST = at(2026, 3, 9) // DAY
CHANGE = at(2026, 3, 29, 1)


def _sine(local: Floats) -> Floats:
    return np.asarray(0.3 * np.sin(2 * np.pi * local / DAY))


@cache
def _in_berlin() -> Baseline:
    return baseline_of(_sine, FIRST, 14, calendar_of("Europe/Berlin", (FIRST, FIRST + 13)))


def test_a_change_of_clocks_is_no_drift() -> None:
    baseline = _in_berlin()
    after = list(reports(_sine, CHANGE, 7200, 180, baseline.id))
    parts = judged(baseline, after)
    assert not any(alarms(parts))
    assert {tuple(part.alarm_budget.reasons) for part in parts if part.alarm_budget} == {()}


def test_by_hours_of_utc_it_is_one() -> None:
    utc = baseline_of(lambda it: _sine(it + 3600), FIRST, 14)
    after = list(reports(_sine, CHANGE, 7200, 180, utc.id))
    assert sum(alarms(judged(utc, after))) > 90


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
