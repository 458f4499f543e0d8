"""What a baseline gives the detector: its hours, and whether its budget can be relied on. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegauge.baseline import (
    BESIDE,
    Baseline,
    ClockChange,
    DailyCycle,
    DayCalendar,
    Signal,
    counted_by_bin,
    rare_values_unknown,
    reference_counts,
)
from tidegauge.sequential import (
    BINS,
    HOURS,
    LAMBDAS,
    MEAN,
    SPREAD,
    DailyReference,
    Dispersion,
    HoursMemory,
    ProfileCalendar,
    Reference,
)
from tidegauge.stats import Floats
from tidegauge.windows.values import SliceMemory

#: Places of bins, from the end of a signal's.
_MISSING, _NOT_FINITE = -3, -2

#: Of a row or a profile.
_PLACE = np.dtype("<u2")

#: The baseline has no hours and days: a daily cycle raises alarms by itself, and so do windows that
#: depend on each other.
WITHOUT_HOURS = "without_hours"

#: A baseline of release 0.1.0 has a categorical signal with more values than bins, or with one that
#: it saw once, and doesn't say how many new ones to expect.
RARE_VALUES_UNKNOWN = "rare_values_unknown"

#: Rows near each other are alike in the file that the baseline was made of, and no column of
#: entities says which of them go together.
CLUSTERING = "clustering"

#: Blocks of the baseline's days have outliers: with fewer than :data:`_LEAST_DEGREES` degrees of
#: freedom hardly anything can be said of how far out the next one will be.
HEAVY_TAILS = "heavy_tails"
_LEAST_DEGREES = 7.0
_SHORT_SECONDS = 900

#: The window ends after the last change of clocks, or holidays, that the baseline knows of.
CALENDAR_ENDED = "calendar_ended"

#: The hours are of no time zone that anybody named: where clocks change, what recurs at a minute of
#: the day comes at another.
NO_TIME_ZONE = "no_time_zone"

#: The hours know of no holidays, and nobody said that there are none.
NO_HOLIDAYS = "no_holidays"

#: A signal has fewer rows to be compared with than :data:`SURE_ROWS`.
SMALL_BASELINE = "small_baseline"

#: With so many rows false alarms were measured to be as few as promised. With 500, one baseline in
#: a hundred is so far off by chance that its model is in alarm again and again.
SURE_ROWS = 1_000


def reasons_of(baseline: Baseline) -> list[str]:
    """Return why no number of false alarms can be promised by a baseline, whatever its rows."""
    found = [] if baseline.daily else [WITHOUT_HOURS]
    if any(map(rare_values_unknown, baseline.signals.values())):
        found.append(RARE_VALUES_UNKNOWN)
    if baseline.dependence and baseline.dependence.found_by == "rows":
        found.append(CLUSTERING)
    if baseline.daily:
        calendar = baseline.daily.calendar or DayCalendar()
        if _has_heavy_tails(baseline.daily):
            found.append(HEAVY_TAILS)
        if not calendar.time_zone:
            found.append(NO_TIME_ZONE)
        if not calendar.holidays_of:
            found.append(NO_HOLIDAYS)
    return found


def _has_heavy_tails(daily: DailyCycle) -> bool:
    """Whether shape, mean or spread of short blocks of a signal have outliers."""
    short = [at for at, seconds in enumerate(daily.spans_seconds) if seconds <= _SHORT_SECONDS]
    degrees = (its.degrees[at][:BINS] for its in daily.signals.values() for at in short)
    return any(min(some) < _LEAST_DEGREES for some in degrees)


def has_few_rows(reference: Reference, scored: npt.NDArray[np.bool_]) -> bool:
    """Whether one of the signals ``scored`` is compared with too few rows for a promise.

    Of a signal with an order those with a value count; of hours, as many as are as certain as what
    is expected of the windows remembered.
    """
    rows = np.where(reference.is_ordered, reference.ordered_total, reference.total[..., 0])
    return bool((rows[..., scored] < SURE_ROWS).any())


def daily_reference(
    baseline: Baseline, names: Sequence[str], pooled: Reference
) -> DailyReference | None:
    """Lay out the hours of the signals in ``names``, the rows of ``pooled``; None without any.

    Counts are divided by the signals' design effects, as those of windows are.
    """
    if not baseline.daily:
        return None
    cycle = baseline.daily
    calendar = calendar_of(cycle)
    signals, bins = pooled.counts.shape
    counts = np.zeros((signals, calendar.profiles, bins))
    own = np.zeros((signals, calendar.kinds))
    by_span = signals, len(cycle.spans_seconds), BINS + bins
    # Of bins that only pad the row nothing is ever counted; any number of degrees will do.
    excess, degrees, skewness = np.zeros(by_span), np.ones(by_span), np.zeros(by_span)
    by_hour = np.ones((signals, HOURS))
    for row, name in enumerate(names):
        its = cycle.signals[name]
        width = len(its.counts[0])
        # What is of no kind of day in particular may be of any.
        by_profile = np.array(its.kinds.counts if its.kinds else its.counts).reshape(-1, width)
        counts[row, : len(by_profile), :width] = _of_new_rows(baseline.signals[name], by_profile)
        if its.kinds:
            own[row] = its.kinds.own
        # As in ``compare.reference_counts``: a baseline's NaN are compared as missing.
        missing, nan = width + _MISSING, width + _NOT_FINITE
        counts[row, :, missing] += counts[row, :, nan]
        counts[row, :, nan] = 0
        excess[row, :, : BINS + width] = its.excess
        degrees[row, :, : BINS + width] = its.degrees
        if pooled.exists[row].sum() > width:
            # Of what is outside of the range, no day of the baseline tells how much it varies: as
            # the outermost bins.
            for known in (excess, degrees):
                known[row, :, BINS + width] = _outermost(known[row], width + _MISSING)
        skewness[row][:, [MEAN, SPREAD]] = its.skewness
        by_hour[row] = its.by_hour
        counts[row] /= baseline.design_effect(name)
    dispersion = Dispersion(cycle.spans_seconds, excess, degrees, skewness, by_hour)
    kinds = own if calendar.kinds > 1 else None
    zone = bool(cycle.calendar and cycle.calendar.time_zone)
    return DailyReference.of(pooled, counts, dispersion, calendar, kinds, zone_is_known=zone)


def calendar_of(cycle: DailyCycle) -> ProfileCalendar:
    """Return how a baseline divides time into profiles."""
    its = cycle.calendar or DayCalendar()
    changes = its.changes or [ClockChange(since=0, ahead_seconds=0)]
    return ProfileCalendar(
        [it.since for it in changes],
        [it.ahead_seconds for it in changes],
        its.kinds,
        its.holiday_days,
        its.holiday_kind,
        [(it.begin_seconds, it.end_seconds) for it in its.slots],
    )


def _of_new_rows(signal: Signal, hours: npt.NDArray[np.int64]) -> Floats:
    """Return what is expected in each hour of as many new rows, (hours, bins).

    Each bin has as much more or less than the baseline's rows as over all hours; values never seen
    have the same share in each.
    """
    counted = np.array(counted_by_bin(signal), dtype=np.float64)
    expected = np.array(reference_counts(signal), dtype=np.float64)
    found = hours.astype(np.float64)
    if (counted == expected).all():
        return found
    values = slice(0, len(counted) - len(BESIDE))
    rows = found[:, values].sum(axis=-1, keepdims=True)
    known = counted > 0
    found *= np.divide(expected, counted, out=np.ones_like(counted), where=known)
    new = np.where(known, 0.0, expected)[values]
    found[:, values] += rows * new / counted[values].sum()
    return found


def _outermost(known: Floats, values: int) -> Floats:
    """Return the mean of what is known of the first and the last bin of values, by span."""
    return np.asarray((known[:, BINS] + known[:, BINS + values - 1]) / 2)


def pack_hours(hours: HoursMemory) -> dict[str, bytes]:
    """Write down what is remembered of profiles, by the bits: fields of ``SliceMemory``.

    Of more profiles than 24 hours, most have nothing, and most signals have the same. They are in
    fields of their own: a release that has only hours finds none, and begins anew.
    """
    squares = hours.squares.tobytes()
    if hours.events.shape[-1] == HOURS:
        events, pooled = hours.events.tobytes(), hours.pooled.tobytes()
        return {"hours": events, "pooled_hours": pooled, "squares": squares}
    there = np.flatnonzero(hours.events.any(axis=(0, 1)) | hours.pooled.any(axis=0))
    table = np.concatenate([hours.events, hours.pooled[None]])[:, :, there]
    distinct: dict[bytes, int] = {}
    rows = [distinct.setdefault(row.tobytes(), len(distinct)) for row in np.moveaxis(table, 1, 0)]
    return {
        "by_row": b"".join(distinct),
        "squares": squares,
        "profiles": there.astype(_PLACE).tobytes(),
        "rows": np.array(rows, dtype=_PLACE).tobytes(),
    }


def unpack_hours(
    memory: SliceMemory, signals: int, daily: DailyReference | None
) -> HoursMemory | None:
    """Read what :func:`pack_hours` wrote; None if there is nothing.

    Raises ``ValueError`` or ``IndexError`` if it is not of as many signals and profiles.
    """
    if daily is None or not (memory.hours or memory.rows or memory.by_row):
        return None
    scales, profiles = len(LAMBDAS), daily.calendar.profiles
    if not memory.hours:
        there, rows = (np.frombuffer(it, _PLACE) for it in (memory.profiles, memory.rows))
        table = np.zeros((scales + 1, signals, profiles))
        if len(there) or memory.by_row:  # else nothing was counted yet
            known = np.frombuffer(memory.by_row).reshape(-1, scales + 1, len(there))
            if len(known) != (number := int(rows.max(initial=0)) + 1):
                raise ValueError(f"it has {len(known)} rows, expected {number}")
            table[:, :, there] = np.moveaxis(known[rows.reshape(signals)], 0, 1)
        events, pooled = table[:scales], table[scales]
    else:
        events = np.frombuffer(memory.hours).reshape(scales, signals, profiles)
        pooled = np.frombuffer(memory.pooled_hours).reshape(signals, profiles)
    if not memory.squares:
        return HoursMemory.of_alike(events, pooled)
    squares = np.frombuffer(memory.squares).reshape(scales, signals)
    return HoursMemory(events, pooled, squares)
