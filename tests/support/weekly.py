"""A model whose one signal follows local time, its baseline by a calendar, and its windows."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from support.counting import a_baseline, numeric
from support.days import CUTS, MINUTES, counted
from support.hourly import EVENTS, SIGNAL
from support.window_reports import part_of, signal_report, window_report
from tidegauge.baseline.daily import DailyCycle, DayCalendar, DaySlot
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.daily import reference_of, signal_hours
from tidegauge.contract.report import ReportPart, WindowReport
from tidegauge.sequential import BaselineDays, ProfileCalendar, Reference, slots_of, standing_out
from tidegauge.windows.drift_detector import DriftDetector

Floats = npt.NDArray[np.float64]
Level = Callable[[Floats], Floats]

DAY = 86_400


def at(*moment: int) -> int:
    """Return epoch seconds of a moment in UTC."""
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


def of_minutes(level: Level, start: int, minutes: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the counts of each minute, whose mean is the ``level`` at its local seconds."""
    seconds = start + 60.0 * np.arange(minutes)
    found = counted(level(seconds), EVENTS, np.random.default_rng(seed)).astype(np.int64)
    return found[:, : len(CUTS) + 1]


def baseline_of(
    level: Level,
    first: int,
    days: int,
    calendar: DayCalendar | None = None,
    kinds: int = 1,
    recurring: bool = False,
) -> Baseline:
    """Return a baseline of whole local days from the day ``first``, counted from 1970, on.

    Without a ``calendar`` it was said that they are of UTC, and that there are no holidays.
    """
    counts = of_minutes(level, first * DAY, days * MINUTES, seed=1)
    values = counts.shape[-1]
    signal = numeric(CUTS.tolist(), counts.sum(axis=0).tolist())
    minutes = np.zeros((days, MINUTES, values + 3), dtype=np.int64)
    minutes[:, :, :values] = counts.reshape(days, MINUTES, values)
    pooled = Reference.of([reference_of(signal)])
    slots = slots_of(standing_out(pooled, minutes.astype(np.float64))) if recurring else []
    clock = ProfileCalendar(kinds=kinds, slots=slots)
    known = BaselineDays.of(clock, np.arange(first, first + days))
    spans, hours = signal_hours(signal, minutes, known=known)
    calendar = calendar or DayCalendar(time_zone="UTC", holidays_of="none")
    calendar.slots = [DaySlot(begin_seconds=begin, end_seconds=end) for begin, end in slots]
    if hours.kinds:
        calendar.day_kinds = np.bincount(known.kinds, minlength=kinds).tolist()
    found = a_baseline(**{SIGNAL: signal})
    found.daily = DailyCycle(
        days=days, spans_seconds=spans, signals={SIGNAL: hours}, calendar=calendar
    )
    if calendar == DayCalendar():
        found.daily.calendar = msgspec.UNSET
    return found


def reports(
    level: Level, start: int, ahead: int, minutes: int, baseline_id: str, seed: int = 2
) -> Iterator[WindowReport]:
    """Yield the report of each minute from ``start`` on, where local time is so far ``ahead``."""
    for number, counts in enumerate(of_minutes(level, start + ahead, minutes, seed)):
        row = tuple(counts.tolist())
        part = part_of(EVENTS, baseline_id, **{SIGNAL: signal_report(counts=row)})
        begin = start + 60 * number
        yield msgspec.structs.replace(
            window_report(number, part), window_start=begin, window_end=begin + 60
        )


def judged(baseline: Baseline, windows: Sequence[WindowReport]) -> list[ReportPart]:
    """Return the parts of the windows with their evidence."""
    detector, memory, found = DriftDetector(lambda model: 1.0), None, []
    known = {baseline.id: baseline}
    for report in windows:
        memory, seen = detector.take(memory, report, known)
        found += seen.parts
    return found


def alarms(parts: Sequence[ReportPart]) -> list[bool]:
    """Return which windows are in alarm."""
    found = []
    for part in parts:
        evidence, budget = part.signals[SIGNAL].evidence, part.alarm_budget
        assert evidence is not None and budget is not None
        found.append(evidence.surprise_nats > budget.threshold_nats)
    return found
