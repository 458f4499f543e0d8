"""Whether a budget of false alarms can be relied on, and why not. Pure."""

import numpy as np
import numpy.typing as npt

from tidegauge.baseline import Baseline, DailyCycle, rare_values_unknown
from tidegauge.sequential import BINS, Reference

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

#: A signal has fewer rows to be compared with than :data:`SURE_ROWS`.
SMALL_BASELINE = "small_baseline"

#: With so many rows false alarms were measured to be as few as promised.
SURE_ROWS = 100


def reasons_of(baseline: Baseline) -> list[str]:
    """Return why no number of false alarms can be promised by a baseline, whatever its rows."""
    found = [] if baseline.daily else [WITHOUT_HOURS]
    if any(map(rare_values_unknown, baseline.signals.values())):
        found.append(RARE_VALUES_UNKNOWN)
    if baseline.dependence and baseline.dependence.found_by == "rows":
        found.append(CLUSTERING)
    if baseline.daily and _has_heavy_tails(baseline.daily):
        found.append(HEAVY_TAILS)
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
