"""Windows of a slice judged together by a baseline by hour of day.

All but the memories, which follow on each other, is done with many windows at once: of the fifty
signals of one window numpy takes about as long as it takes to be called.
"""

from collections.abc import Sequence

import numpy as np

from tidegauge.sequential.budget import Budget, thresholds
from tidegauge.sequential.daily import DailyReference, HoursMemory
from tidegauge.sequential.ewma import Memory
from tidegauge.stats import Bools, Floats

#: Numbers in an array (windows, 4, signals, bins) at a time: they stay in the cache of a core.
_AT_ONCE = 30_000


class HourlyBatch:
    """Windows, (windows, signals, bins), that follow ``memory`` and ``hours``.

    Each is between two epoch seconds of ``ends``, and all are as long as the first one.
    """

    def __init__(
        self,
        daily: DailyReference,
        memory: Memory,
        hours: HoursMemory,
        windows: Floats,
        ends: Sequence[tuple[float, float]],
        budget: Budget,
    ) -> None:
        self._daily = daily
        self._budget = budget
        self._seconds = ends[0][1] - ends[0][0]
        self._path = memory.path(windows)
        self._hours = []
        for at, (window, its) in enumerate(zip(windows, ends, strict=True)):
            before, weights = self.after(at - 1) if at else memory, daily.calendar.weights(*its)
            hours = hours.after(before, window, weights)
            self._hours.append(hours)
        #: Which signals had enough events to be scored anew, (windows, signals).
        self.moved: Bools = np.asarray(windows.any(axis=-1) & ~self._path.pooled.any(axis=-1))

    @property
    def memory(self) -> Memory:
        """What is remembered after the last window."""
        return self.after(-1)

    def after(self, window: int) -> Memory:
        """Return what is remembered after one of the windows."""
        return self._path.at(window)

    def hours_after(self, window: int) -> HoursMemory:
        """Return which hours are remembered after one of the windows."""
        return self._hours[window]

    def beyond(self, level: float) -> Bools:
        """Return where a score is above ``level`` times its threshold: (windows, signals)."""
        windows, _, *one = self._path.counts.shape
        at_once = max(1, _AT_ONCE // (4 * one[0] * one[1]))
        found = [
            self._beyond(slice(start, start + at_once), level)
            for start in range(0, windows, at_once)
        ]
        return np.concatenate(found)

    def _beyond(self, some: slice, level: float) -> Bools:
        path, hours = self._path.at(some), HoursMemory.path(self._hours[some])
        counts = path.effective()
        expected = self._daily.expected(hours, self._seconds, counts)
        limits, _ = thresholds([self._budget], expected.reference, path.events(), expected.events)
        above = expected.exceed(counts, level * limits[:, :, None])
        return np.asarray(above.any(axis=1))
