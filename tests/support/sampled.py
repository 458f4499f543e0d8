"""A numeric signal of values that were drawn: as a baseline has it, and as INGEST counts it."""

import numpy as np
import numpy.typing as npt

from tidegauge.baseline.binning import numeric_counts
from tidegauge.baseline.document import NumericSignal
from tidegauge.baseline.io.signals import numeric_signal
from tidegauge.contract.histogram import SignalHistogram

Floats = npt.NDArray[np.float64]


def sampled_signal(values: Floats) -> NumericSignal:
    """Return the signal of a baseline that was made of these values."""
    return numeric_signal(np.sort(values), missing=0, nan=0)


def sampled_histogram(values: Floats, signal: NumericSignal, **beside: int) -> SignalHistogram:
    """Return what INGEST counts of these values; what has no bin is given by keyword."""
    return SignalHistogram(
        counts=numeric_counts(values, signal.edges).tolist(),
        sum=float(values.sum()),
        sumsq=float((values**2).sum()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        **beside,
    )
