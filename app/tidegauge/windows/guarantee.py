"""Whether a budget of false alarms can be relied on, and why not. Pure."""

from tidegauge.baseline import Baseline, rare_values_unknown

#: The baseline has no hours and days: a daily cycle raises alarms by itself, and so do windows that
#: depend on each other.
WITHOUT_HOURS = "without_hours"

#: A baseline of release 0.1.0 has a categorical signal with more values than bins, or with one that
#: it saw once, and doesn't say how many new ones to expect.
RARE_VALUES_UNKNOWN = "rare_values_unknown"


def reasons_of(baseline: Baseline) -> list[str]:
    """Return why no number of false alarms can be promised by a baseline; empty if it can."""
    found = [] if baseline.daily else [WITHOUT_HOURS]
    if any(map(rare_values_unknown, baseline.signals.values())):
        found.append(RARE_VALUES_UNKNOWN)
    return found
