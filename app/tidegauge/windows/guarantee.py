"""Whether a budget of false alarms can be relied on, and why not. Pure."""

import numpy as np
import numpy.typing as npt

from tidegauge.baseline import Baseline, rare_values_unknown
from tidegauge.sequential import Reference

#: The baseline has no hours and days: a daily cycle raises alarms by itself, and so do windows that
#: depend on each other.
WITHOUT_HOURS = "without_hours"

#: A baseline of release 0.1.0 has a categorical signal with more values than bins, or with one that
#: it saw once, and doesn't say how many new ones to expect.
RARE_VALUES_UNKNOWN = "rare_values_unknown"

#: Rows near each other are alike in the file that the baseline was made of, and no column of
#: entities says which of them go together.
CLUSTERING = "clustering"

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
    return found


def has_few_rows(reference: Reference, scored: npt.NDArray[np.bool_]) -> bool:
    """Whether one of the signals ``scored`` is compared with too few rows for a promise.

    Of a signal with an order those with a value count; of hours, as many as are as certain as what
    is expected of the windows remembered.
    """
    rows = np.where(reference.is_ordered, reference.ordered_total, reference.total[..., 0])
    return bool((rows[..., scored] < SURE_ROWS).any())
