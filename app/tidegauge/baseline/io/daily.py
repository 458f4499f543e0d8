"""Signals by hour of day, from the rows of a table with timestamps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline import (
    LEAST_DAYS,
    MOST_DAYS,
    DailyCycle,
    DayCalendar,
    DaySlot,
    JointSums,
    KindsOfDays,
    NumericSignal,
    Signal,
    SignalHours,
    counted_by_bin,
    ordered_bins,
)
from tidegauge.baseline.io.calendar import Holidays, calendar_of, zone_changes
from tidegauge.baseline.io.column import Role
from tidegauge.baseline.io.table import Table, TimedRows
from tidegauge.sequential import (
    BLOCK_SECONDS,
    LEAST_WEEKS,
    MEAN,
    SPREAD,
    BaselineDays,
    Dispersion,
    ProfileCalendar,
    Reference,
    SignalReference,
    dispersion_of,
    slots_of,
    standing_out,
)
from tidegauge.stats import Bools, Floats

_DAY_SECONDS = 86_400
_BLOCKS = _DAY_SECONDS // BLOCK_SECONDS

#: A date with fewer rows than this share of the usual is a beginning or an end, and no day.
_LEAST_OF_A_DAY = 0.25

#: Of the 8 MiB of a document, what its counts by kind of day may take.
_MOST_KINDS_BYTES = 5_000_000

#: Holidays of before the latest days that are used too.
_MOST_HOLIDAYS = 8

_DIGITS = 4


class Timed(NamedTuple):
    """A signal and the column that it is made of.

    ``places`` is the bin of each category there; others are "other". ``effect`` is the signal's
    design effect. ``sums`` is how a joint signal, which has no column, is computed of others.
    """

    column: str
    role: Role
    signal: Signal
    places: Mapping[str, int]
    effect: float = 1.0
    sums: JointSums | None = None


def roles_of(signals: Iterable[Timed]) -> dict[str, Role]:
    """Return how each column that signals are made of is read."""
    found: dict[str, Role] = {}
    for its in signals:
        found |= dict.fromkeys(its.sums.features, "numeric") if its.sums else {its.column: its.role}
    return found


def daily_cycle(
    table: Table,
    time: str,
    signals: Mapping[str, Timed],
    *,
    time_zone: str | None = None,
    holidays: Holidays | None = None,
    memory_bytes: int,
    progress: Callable[[str, float], None],
    warn: Callable[[str], None],
) -> DailyCycle | None:
    """Count every signal by hour of the latest days, and say how much days differ.

    Hours and days are those of the ``time_zone``, or of UTC.
    None, and a warning why, if there are fewer than 14 days with timestamps or too few rows a day.
    Reads the table once for its times, and once for as many signals as ``memory_bytes`` hold; twice
    if these aren't all.
    """
    clock = ProfileCalendar(kinds=7)
    if time_zone is not None:
        since, ahead = zip(*zone_changes(time_zone), strict=True)
        clock = ProfileCalendar(since, ahead, kinds=7)
    if holidays is not None:
        clock = replace(clock, holidays=holidays.days, holiday_kind=holidays.rest_day)
    days, has_clocks = _days(table, time, clock, progress)
    if sum(it in clock.holidays for it in days.tolist()) >= LEAST_WEEKS:
        clock = replace(clock, kinds=8, holiday_kind=7)
    if not has_clocks:
        warn(
            f"column {time!r} has dates without a time: the baseline is made without the hours of "
            f"the day; --time takes a column that has both"
        )
        return None
    if len(days) < LEAST_DAYS:
        warn(
            f"column {time!r} has times of {len(days)} days, and it takes {LEAST_DAYS} to tell the "
            f"hours of a day apart: the baseline is made without them, and where the traffic has "
            f"a daily cycle, no number of false alarms can be promised"
        )
        return None
    widths = [len(reference_of(it.signal).counts) for it in signals.values()]
    if (size := _kinds_bytes(clock, sum(widths), table.rows)) > _MOST_KINDS_BYTES:
        warn(
            f"days of the week would take about {size:,} bytes for {len(signals):,} signals, and a "
            f"baseline has room for {_MOST_KINDS_BYTES:,}: it is made by hour of the day alone, "
            f"and days of the week count as variation; --exclude leaves signals out"
        )
        clock = replace(clock, kinds=1)
    size = max(len(days) * _BLOCKS * width for width in widths)
    at_once = max(1, memory_bytes // (8 * size))
    found: dict[str, tuple[list[int], SignalHours]] = {}
    names = list(signals)
    groups = [names[first : first + at_once] for first in range(0, len(names), at_once)]
    minutes, blocks = np.zeros(_BLOCKS), dict[str, NDArray[np.int64]]()
    for group in groups:
        some = {name: signals[name] for name in group}
        blocks = _blocks(table, time, clock, some, days, progress)
        for name, counted in blocks.items():
            its = Reference.of([reference_of(signals[name].signal)])
            np.maximum(minutes, standing_out(its, counted / signals[name].effect), out=minutes)
    clock = replace(clock, slots=slots_of(minutes))
    known = BaselineDays.of(clock, days)
    for group in groups:
        some = {name: signals[name] for name in group}
        if len(groups) > 1:
            blocks = _blocks(table, time, clock, some, days, progress)
        for name, counted in blocks.items():
            try:
                found[name] = signal_hours(
                    signals[name].signal, counted, signals[name].effect, known
                )
            except ValueError as error:
                effect = signals[name].effect
                as_many = f", as independent ones (design effect {effect:.3g})"
                warn(
                    f"{error} that tell of {name!r}{as_many if effect > 1 else ''}: the "
                    f"baseline is made without the hours of the day"
                )
                return None
            progress("Comparing days", len(found) / len(signals))
    spans, hours = over_all_spans(found)
    differ = any(it.kinds for it in hours.values())
    if holidays is not None and holidays.days and not differ:
        holidays = None
        warn(
            "--holidays makes no difference: days of the week are alike in all signals, or there "
            "are fewer than three days of each"
        )
    covered = int(days[0]), int(days[-1])
    calendar = calendar_of(time_zone, covered, holidays)
    calendar.slots = [DaySlot(begin_seconds=begin, end_seconds=end) for begin, end in clock.slots]
    if differ:
        calendar.day_kinds = np.bincount(known.kinds, minlength=clock.kinds).tolist()
        calendar.holiday_kind = clock.holiday_kind
    return DailyCycle(
        days=len(days),
        spans_seconds=spans,
        signals=hours,
        calendar=msgspec.UNSET if calendar == DayCalendar() else calendar,
    )


def _kinds_bytes(clock: ProfileCalendar, bins: int, rows: int) -> int:
    """Return about how large the counts of a document by kind of day are."""
    digits = len(str(rows // clock.profiles)) + 1
    return clock.profiles * bins * digits


def _days(
    table: Table, time: str, clock: ProfileCalendar, progress: Callable[[str, float], None]
) -> tuple[NDArray[np.int64], bool]:
    """Return the latest local days, counted from 1970, that have about as many rows as most have.

    With holidays before these. And whether there are other times than midnight, in UTC and by the
    ``clock``.
    """
    rows: dict[int, int] = {}
    by_utc, by_clock = False, False
    for batch in table.timed(time, {}):
        known = batch.seconds[np.isfinite(batch.seconds)]
        local = clock.local(known)
        for day, count in zip(*np.unique(local // _DAY_SECONDS, return_counts=True), strict=True):
            rows[int(day)] = rows.get(int(day), 0) + int(count)
        by_utc = by_utc or bool((known % _DAY_SECONDS >= 1).any())
        by_clock = by_clock or bool((local % _DAY_SECONDS >= 1).any())
        progress("Reading times", batch.done)
    usual = np.median(list(rows.values())) if rows else 0.0
    days = sorted(day for day, count in rows.items() if count >= _LEAST_OF_A_DAY * usual)
    latest, before = days[-MOST_DAYS:], days[:-MOST_DAYS]
    holidays = [day for day in before if day in clock.holidays][-_MOST_HOLIDAYS:]
    return np.array([*holidays, *latest], dtype=np.int64), (by_utc and by_clock) or not rows


def _blocks(
    table: Table,
    time: str,
    clock: ProfileCalendar,
    signals: Mapping[str, Timed],
    days: NDArray[np.int64],
    progress: Callable[[str, float], None],
) -> dict[str, NDArray[np.int64]]:
    """Count the signals by minute, (days, minutes, bins)."""
    bins = {name: len(reference_of(it.signal).counts) for name, it in signals.items()}
    counts = {
        name: np.zeros(len(days) * _BLOCKS * its, dtype=np.int64) for name, its in bins.items()
    }
    roles = roles_of(signals.values())
    for batch in table.timed(time, roles):
        known, block = _places_of(clock.local(batch.seconds), days)
        for name, its in signals.items():
            place = bins_of(batch, its)[known]
            np.add.at(counts[name], block * bins[name] + place, 1)
        progress("Counting hours", batch.done)
    found = {name: its.reshape(len(days), _BLOCKS, -1) for name, its in counts.items()}
    for name, its in signals.items():
        if its.sums:  # rows without a sum are compared in no bin
            found[name][..., len(its.signal.counts)] = 0
    return found


def _places_of(seconds: Floats, days: NDArray[np.int64]) -> tuple[Bools, NDArray[np.int64]]:
    """Return which rows are of the days, and the number of the minute of each of these."""
    finite = np.where(np.isfinite(seconds), seconds, -1.0)
    day = np.minimum(np.searchsorted(days, finite // _DAY_SECONDS), len(days) - 1)
    known = days[day] == finite // _DAY_SECONDS
    minute = (finite[known] % _DAY_SECONDS // BLOCK_SECONDS).astype(np.int64)
    return known, day[known] * _BLOCKS + minute


def bins_of(batch: TimedRows, its: Timed) -> NDArray[np.int64]:
    """Return the bin of each row; after those of the values, missing: null or not finite."""
    beyond = len(its.signal.counts)
    rows = _sum_of(batch, its.sums) if its.sums else batch.columns[its.column]
    if isinstance(rows, tuple):
        places, names = rows
        other = beyond - 2  # then those never seen
        bins = np.array([*(its.places.get(name, other) for name in names), beyond], np.int64)
        return bins[places]  # -1, which is missing, is the last
    edges = its.signal.edges if isinstance(its.signal, NumericSignal) else []
    finite = np.isfinite(rows)
    found = np.searchsorted(edges, np.where(finite, rows, 0.0), side="right")
    return np.where(finite, found, beyond)


def _sum_of(batch: TimedRows, sums: JointSums) -> Floats:
    """Return the first of joint signals, row by row."""
    return sums.columns([np.asarray(batch.columns[name]) for name in sums.features])[0]


def reference_of(signal: Signal) -> SignalReference:
    """Return a signal's counts as they are in its rows."""
    return SignalReference(counted_by_bin(signal), ordered_bins(signal))


def signal_hours(
    signal: Signal,
    counted: NDArray[np.int64],
    effect: float = 1.0,
    known: BaselineDays | None = None,
) -> tuple[list[int], SignalHours]:
    """Return a signal's hours from its counts by minute, (days, 1440, bins), and their spans.

    ``effect`` is its design effect, which the variation is measured beyond. ``known`` says of what
    kind each of the days is; without it, all are of one. Raises ``ValueError``
    where there are too few rows a day to compare days.
    """
    reference = Reference.of([reference_of(signal)])
    known = known or BaselineDays.of(ProfileCalendar(), np.arange(len(counted)))
    estimate = dispersion_of(reference, counted / effect, known)
    cells = known.cells(counted.astype(np.float64))
    moments = estimate.skewness[:, [MEAN, SPREAD]]
    return estimate.seconds, SignalHours(
        counts=_whole(cells.sum(axis=0)),
        excess=[_rounded(its) for its in estimate.excess],
        degrees=[_rounded(its) for its in estimate.degrees],
        skewness=[_rounded(its) for its in moments],
        by_hour=_rounded(estimate.by_hour),
        kinds=msgspec.UNSET
        if estimate.own is None
        else KindsOfDays(own=_rounded(estimate.own), counts=_whole(known.by_kind(cells))),
    )


def over_all_spans(
    found: Mapping[str, tuple[list[int], SignalHours]],
) -> tuple[list[int], dict[str, SignalHours]]:
    """Return the spans that any signal is known for, and the hours of each for all of these.

    The rows of a signal with a large design effect tell less, so that short spans of it are not
    known. They vary as they would if its windows were independent (:meth:`Dispersion.over`).
    """
    every = sorted({seconds for spans, _ in found.values() for seconds in spans})
    return every, {name: _over(every, spans, its) for name, (spans, its) in found.items()}


def _over(every: list[int], spans: list[int], hours: SignalHours) -> SignalHours:
    if spans == every:
        return hours
    # Excess and degrees of each direction; skewness is known of two.
    known = [np.array(its)[None] for its in (hours.excess, hours.degrees, hours.skewness)]
    skewness = np.zeros_like(known[0])
    skewness[..., [MEAN, SPREAD]] = known[2]
    its = Dispersion(spans, known[0], known[1], skewness, np.array([hours.by_hour]))
    excess, degrees, skewness = (one[:, 0] for one in its.over(np.array(every, dtype=float)))
    return msgspec.structs.replace(
        hours,
        excess=[_rounded(row) for row in excess],
        degrees=[_rounded(row) for row in degrees],
        skewness=[_rounded(row) for row in skewness[:, [MEAN, SPREAD]]],
    )


def _whole(counts: Floats) -> Any:
    return counts.astype(np.int64).tolist()


def _rounded(values: Sequence[float] | Floats) -> list[float]:
    """Keep four digits: an estimate has no more, and no machine's last bit names the baseline."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]


def category_places(spelled: Mapping[str, str], categories: Sequence[str]) -> dict[str, int]:
    """Return the bin of each category that has its own, by how the table spells it.

    >>> category_places({"1.0": "1", "1": "1", "7": "7"}, ["1"])
    {'1.0': 0, '1': 0}
    """
    own = {category: place for place, category in enumerate(categories)}
    return {name: own[category] for name, category in spelled.items() if category in own}
