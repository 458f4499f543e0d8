"""The hours of a baseline's document, laid out for the detector."""

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
    reference_counts,
)
from tidegauge.sequential import (
    BINS,
    HOURS,
    MEAN,
    SPREAD,
    DailyReference,
    Dispersion,
    ProfileCalendar,
    Reference,
)
from tidegauge.stats import Floats

#: Places of bins, from the end of a signal's.
_MISSING, _NOT_FINITE = -3, -2


def daily_reference(
    baseline: Baseline, names: Sequence[str], pooled: Reference
) -> DailyReference | None:
    """Lay out the hours of the signals in ``names``, the rows of ``pooled``; None without any.

    Counts are divided by the signals' design effects, as those of windows are.
    """
    if not baseline.daily:
        return None
    cycle = baseline.daily
    signals, bins = pooled.counts.shape
    counts = np.zeros((signals, HOURS, bins))
    by_span = signals, len(cycle.spans_seconds), BINS + bins
    # Of bins that only pad the row nothing is ever counted; any number of degrees will do.
    excess, degrees, skewness = np.zeros(by_span), np.ones(by_span), np.zeros(by_span)
    by_hour = np.ones((signals, HOURS))
    for row, name in enumerate(names):
        its = cycle.signals[name]
        width = len(its.counts[0])
        counts[row, :, :width] = _of_new_rows(baseline.signals[name], np.array(its.counts))
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
    return DailyReference.of(pooled, counts, dispersion, calendar_of(cycle))


def calendar_of(cycle: DailyCycle) -> ProfileCalendar:
    """Return how a baseline divides time into profiles."""
    its = cycle.calendar or DayCalendar()
    changes = its.changes or [ClockChange(since=0, ahead_seconds=0)]
    return ProfileCalendar([it.since for it in changes], [it.ahead_seconds for it in changes])


def _of_new_rows(signal: Signal, hours: npt.NDArray[np.int64]) -> Floats:
    """Return what is expected in each hour of as many new rows, (24, bins).

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
