"""The hours of a baseline's document, laid out for the detector."""

from collections.abc import Sequence

import numpy as np

from tidegauge.baseline import DailyCycle
from tidegauge.sequential import BINS, HOURS, MEAN, SPREAD, DailyReference, Dispersion, Reference

#: Places of bins, from the end of a signal's.
_MISSING, _NOT_FINITE = -3, -2


def daily_reference(cycle: DailyCycle, names: Sequence[str], pooled: Reference) -> DailyReference:
    """Lay out the hours of the signals in ``names``, the rows of ``pooled``."""
    signals, bins = pooled.counts.shape
    counts = np.zeros((signals, HOURS, bins))
    by_span = signals, len(cycle.spans_seconds), BINS + bins
    # Of bins that only pad the row nothing is ever counted; any number of degrees will do.
    excess, degrees, skewness = np.zeros(by_span), np.ones(by_span), np.zeros(by_span)
    by_hour = np.ones((signals, HOURS))
    for row, name in enumerate(names):
        its = cycle.signals[name]
        width = len(its.counts[0])
        counts[row, :, :width] = its.counts
        # As in ``compare.reference_counts``: a baseline's NaN are compared as missing.
        missing, nan = width + _MISSING, width + _NOT_FINITE
        counts[row, :, missing] += counts[row, :, nan]
        counts[row, :, nan] = 0
        excess[row, :, : BINS + width] = its.excess
        degrees[row, :, : BINS + width] = its.degrees
        skewness[row][:, [MEAN, SPREAD]] = its.skewness
        by_hour[row] = its.by_hour
    dispersion = Dispersion(cycle.spans_seconds, excess, degrees, skewness, by_hour)
    return DailyReference.of(pooled, counts, dispersion)
