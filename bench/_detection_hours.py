"""Undisturbed signals with a daily cycle, and what goes on within their days: a first day of each.

Baselines with hours, and with what of the calendar a user gave and ``baseline create`` finds by
itself; windows of a minute, through the detector as DETECT runs it. Each signal is a model of its
own, with one false alarm a month allowed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

import _harness  # noqa: F401 - puts the product on the path
from _detection_phases import MONTH, Phase
from support.days import CUTS, MINUTES, counted
from support.window_reports import window_report
from tidegauge.baseline import Baseline, DailyCycle, DayCalendar, DaySlot, NumericSignal
from tidegauge.baseline.io.calendar import Holidays, calendar_of, read_holidays, zone_changes
from tidegauge.baseline.io.daily import reference_of, signal_hours
from tidegauge.contract import ReportPart, SignalHistogram
from tidegauge.sequential import (
    BaselineDays,
    ProfileCalendar,
    Reference,
    slots_of,
    standing_out,
)
from tidegauge.windows import DriftDetector
from tidegauge.windows.report import signal_reports

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]

EVENTS = 1_000

#: The windows in which the memories of a baseline with hours are watched for a cold start.
FIRST = 64

_DAY = 86_400
_BINS = len(CUTS) + 1


def _at(*moment: int) -> int:
    """Return epoch seconds of a moment in UTC."""
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


#: Half an hour before clocks change in Berlin, a Sunday; and a day like others.
_CHANGE, _DAY_LIKE_OTHERS = _at(2026, 3, 29, 0, 30), _at(2026, 3, 17)

#: Half an hour before a Saturday, and before Good Friday.
_SATURDAY, _GOOD_FRIDAY = _at(2026, 3, 20, 23, 30), _at(2026, 4, 2, 23, 30)


@dataclass(frozen=True)
class World:
    """What the level of a signal does: ``level`` of moments of local time, seconds since 1970.

    Local time is that of ``lives_by``. The baseline has ``days``, up to the last midnight before
    the windows that are watched from ``watched`` on; the level is multiplied by ``amplitude`` in
    these. It was made with ``zone`` as its ``--time-zone`` and ``holidays`` as its ``--holidays``,
    without these if they are empty. One window in ``burst`` has 50 times the events of the others,
    if any has. So many windows, ``more``, are watched beyond a day.
    """

    name: str
    level: Callable[[Floats, np.random.Generator], Floats]
    burst: int = 0
    days: int = 14
    watched: int = _DAY_LIKE_OTHERS
    amplitude: float = 1.0
    lives_by: str = "UTC"
    zone: str = "UTC"
    holidays: str = "none"
    more: int = 0

    @property
    def clock(self) -> ProfileCalendar:
        """The days that the baseline knows, before it looks for what recurs."""
        clock = replace(_clock(self.zone), kinds=7)
        if (known := self.known_holidays) and known.days:
            clock = replace(clock, holidays=known.days, holiday_kind=known.rest_day)
        return clock

    @property
    def known_holidays(self) -> Holidays | None:
        """What ``--holidays`` reads; None without it."""
        return read_holidays(self.holidays, lambda _: None) if self.holidays else None

    @property
    def until(self) -> int:
        """The first day after those of the baseline, counted from 1970."""
        return int(self.clock.local(np.array([float(self.watched)]))[0] // _DAY)

    def counts(self, windows: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
        """Return counts by minute: of the baseline, (days, minutes, bins), and of windows."""
        clock = self.clock
        # Local minutes of a day without a change of clocks: no baseline here has one.
        first = (self.until - self.days) * _DAY
        ahead = int(clock.local(np.array([float(first)]))[0]) - first
        before = first - ahead + 60.0 * np.arange(self.days * MINUTES)
        after = self.watched + 60.0 * np.arange(windows)
        level = self.level(_clock(self.lives_by).local(np.concatenate([before, after])), rng)
        level[len(before) :] *= self.amplitude
        events: int | npt.NDArray[np.int64] = EVENTS
        if self.burst:
            events = np.where(rng.random(len(level)) * self.burst < 1, 50 * EVENTS, EVENTS)
        found = counted(level, events, rng)[:, :_BINS].astype(np.uint16)  # type: ignore[arg-type]
        return found[: len(before)].reshape(self.days, MINUTES, _BINS), found[len(before) :]


def _clock(zone: str) -> ProfileCalendar:
    since, ahead = zip(*zone_changes(zone or "UTC"), strict=True)
    return ProfileCalendar(since, ahead)


def _sine(local: Floats, amplitude: float = 0.2) -> Floats:
    return np.asarray(amplitude * np.sin(2 * np.pi * local / _DAY))


def _cycle(local: Floats, _: np.random.Generator) -> Floats:
    return _sine(local)


def _larger_cycle(local: Floats, _: np.random.Generator) -> Floats:
    return _sine(local, 0.3)


def _noise(local: Floats, rng: np.random.Generator) -> Floats:
    return _sine(local) + 0.1 * rng.normal(size=len(local))


def _heavy(local: Floats, rng: np.random.Generator) -> Floats:
    return _sine(local) + 0.1 * rng.standard_t(3, len(local)) / np.sqrt(3)


def _batch(local: Floats, _: np.random.Generator) -> Floats:
    minute = local % _DAY // 60
    return _sine(local) + 0.5 * ((minute >= 125) & (minute < 135))


def _later_batch(local: Floats, _: np.random.Generator) -> Floats:
    minute = local % _DAY // 60
    return _sine(local) + 0.5 * ((minute >= 305) & (minute < 315))


def _weekends(local: Floats, _: np.random.Generator) -> Floats:
    return _sine(local) + 0.3 * ((local // _DAY + 3) % 7 >= 5)


def _holidays(local: Floats, rng: np.random.Generator) -> Floats:
    good_friday = local // _DAY == _GOOD_FRIDAY // _DAY + 1
    return _weekends(local, rng) + 0.3 * good_friday


_BERLIN = "Europe/Berlin"
NOISE = World("level varies by .1 from minute to minute", _noise)
BATCH = World("a batch of ten minutes each night, off by .5", _batch)
HOLIDAY = World(
    "a holiday like these weekends, and six hours after it, not known",
    _holidays, 0, 28, _GOOD_FRIDAY, holidays="", more=360,
)  # fmt: skip
WORLDS: Sequence[World] = (
    NOISE,
    World("the same, 1 % of windows with 50 x the events", _noise, 100),
    World("a level with heavy tails, .1", _heavy),
    BATCH,
    World("clocks change, `--time-zone`", _cycle, 0, 14, _CHANGE, 1.0, _BERLIN, _BERLIN),
    World("clocks change, no time zone named", _cycle, 0, 14, _CHANGE, 1.0, _BERLIN, ""),
    World("the same, a batch of ten minutes", _later_batch, 0, 14, _CHANGE, 1.0, _BERLIN, ""),
    World("the cycle's amplitude goes from .3 to .33", _larger_cycle, amplitude=1.1),
    World("weekends are off by .3, 28 days", _weekends, 0, 28, _SATURDAY),
    replace(HOLIDAY, name="a holiday like these weekends, `--holidays`", holidays="DE", more=0),
    HOLIDAY,
)


def hours(world: World, *, signals: int, windows: int, seed: int) -> Iterator[Phase]:
    """Watch so many signals on the day after their baseline: ``FIRST`` windows, and more."""
    rng = np.random.default_rng([seed, 14, *map(ord, world.name)])
    counts = {f"s{at}": world.counts(windows + world.more, rng) for at in range(signals)}
    baseline = baseline_of(world, {name: before for name, (before, _) in counts.items()})
    watched = {name: after for name, (_, after) in counts.items()}
    baselines, detector, memory = {baseline.id: baseline}, DriftDetector(lambda _: signals), None
    before = np.zeros(signals, dtype=bool)
    for name, part in (
        (f"1 to {FIRST}", range(FIRST)),
        (f"from {FIRST + 1}", range(FIRST, windows + world.more)),
    ):
        starts, above = np.zeros(signals, dtype=int), np.zeros(signals, dtype=int)
        reasons = set[str]()
        for minute in part:
            report = window_report(minute, _part(baseline, watched, minute))
            begin = world.watched + 60 * minute
            report = msgspec.structs.replace(report, window_start=begin, window_end=begin + 60)
            memory, report = detector.take(memory, report, baselines)
            (seen,) = report.parts
            assert seen.alarm_budget
            limit = seen.alarm_budget.threshold_nats
            reasons.update(seen.alarm_budget.reasons)
            evidence = [seen.signals[it].evidence for it in watched]
            now = np.array([it is not None and it.surprise_nats > limit for it in evidence])
            starts += now & ~before
            above += now
            before = now
        allowed, total = len(part) * signals / MONTH, len(part) * signals
        error = max(float(starts.std()) * signals**0.5, 1.0) / allowed
        yield Phase(
            name, allowed, int(starts.sum()), error, float(above.sum() / total),
            float((above > 0).mean()), None, 0.0, sorted(reasons),
        )  # fmt: skip


def baseline_of(world: World, counts: dict[str, Counts]) -> Baseline:
    """Return a baseline by what ``baseline create`` does with counts by minute."""
    signals, minutes = {}, np.zeros(MINUTES)
    for name, days in counts.items():
        signals[name] = NumericSignal(
            edges=CUTS.tolist(), counts=days.sum(axis=(0, 1)).tolist(), missing=0, nan=0,
            mean=0.0, std=1.0, minimum=None, maximum=None,
        )  # fmt: skip
        its = Reference.of([reference_of(signals[name])])
        np.maximum(minutes, standing_out(its, _beside(days).astype(np.float64)), out=minutes)
    clock = replace(world.clock, slots=slots_of(minutes))
    covered = np.arange(world.until - world.days, world.until)
    known = BaselineDays.of(clock, covered)
    spans, hours = [], {}
    for name, days in counts.items():
        spans, hours[name] = signal_hours(signals[name], _beside(days), known=known)
    differ = any(it.kinds for it in hours.values())
    ends = int(covered[0]), int(covered[-1])
    named = world.known_holidays
    calendar = calendar_of(
        world.zone, ends, named if named and (differ or not named.days) else None
    )
    calendar.slots = [DaySlot(begin_seconds=begin, end_seconds=end) for begin, end in clock.slots]
    if differ:
        calendar.day_kinds = np.bincount(known.kinds, minlength=clock.kinds).tolist()
        calendar.holiday_kind = clock.holiday_kind
    daily = DailyCycle(
        days=world.days, spans_seconds=spans, signals=hours,
        calendar=msgspec.UNSET if calendar == DayCalendar() else calendar,
    )  # fmt: skip
    rows = world.days * MINUTES * EVENTS
    return Baseline(model="m", version="1", rows=rows, source="bench", signals=signals, daily=daily)


def _beside(days: Counts) -> npt.NDArray[np.int64]:
    """Return counts with those of missing, not finite and invalid values: none."""
    return np.pad(days.astype(np.int64), ((0, 0), (0, 0), (0, 3)))


def _part(baseline: Baseline, counts: dict[str, Counts], minute: int) -> ReportPart:
    found = {name: SignalHistogram(counts=its[minute].tolist()) for name, its in counts.items()}
    events = sum(next(iter(found.values())).counts)
    return ReportPart(
        baseline=baseline.id, baseline_age_seconds=0.0, events=events,
        signals=signal_reports(found, baseline),
    )  # fmt: skip
