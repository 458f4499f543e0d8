"""Counts of many windows, laid out as the detector takes them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegauge.baseline import current_counts
from tidegauge.contract import ReportPart
from tidegauge.windows import BaselineLayout


class Layout:
    """Where the bins of a baseline's signals are in an array of (signals, bins)."""

    def __init__(self, watched: BaselineLayout) -> None:
        self._names = watched.names
        self._signals = watched.bins
        self._shape = watched.reference.counts.shape
        self._widths = watched.reference.exists.sum(axis=1).tolist()
        self._places = np.flatnonzero(watched.reference.exists)

    def table(self, parts: Sequence[ReportPart]) -> npt.NDArray[np.float64]:
        """Return the counts of each part, (parts, signals, bins); 0 of a signal it hasn't.

        Raises ``ValueError`` naming the signal if one was not binned by this baseline.
        """
        table = np.zeros((len(parts), *self._shape))
        for row, part in zip(table.reshape(len(parts), -1), parts, strict=True):
            row[self._places] = self._counts(part)
        return table

    def _counts(self, part: ReportPart) -> list[int]:
        found: list[int] = []
        for name, width in zip(self._names, self._widths, strict=True):
            signal = part.signals.get(name)
            reference = self._signals[name].signal
            counts = [0] * width if signal is None else current_counts(reference, signal.histogram)
            if len(counts) != width:
                raise ValueError(
                    f"a report has {len(counts)} bins of the signal {name!r} by the baseline "
                    f"{part.baseline}, which has {width}: the report or the baseline is damaged"
                )
            found += counts
        return found
