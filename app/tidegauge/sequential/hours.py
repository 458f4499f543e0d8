"""The hours of the day (UTC) that windows fell into, remembered as their counts are.

A baseline by hour of day says what to expect at the middle of each hour, and in between by a
straight line; midnight follows on 23 h. So a window has a weight for each hour, and what is to be
expected of remembered windows is the mean over the hours by what is remembered of these weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.ewma import KEEP, LAMBDAS, Memory

Floats = npt.NDArray[np.float64]

HOURS = 24


def hour_weights(start: float, end: float) -> Floats:
    """Return the weight of each hour of day in a span of time, epoch seconds; they add up to 1.

    The mean over the span of the straight lines between the middles of the hours.

    >>> hour_weights(5_400, 5_400.001).round(3)[:3].tolist()  # 01:30, the middle of an hour
    [0.0, 1.0, 0.0]
    >>> hour_weights(0, 60).round(3)[[23, 0, 1]].tolist()  # midnight
    [0.492, 0.508, 0.0]
    >>> hour_weights(3_600, 7_200).round(3)[:3].tolist()  # an hour reaches into its neighbours
    [0.125, 0.75, 0.125]
    """
    begin = start / 3600 % HOURS
    length = max((end - start) / 3600, 1e-9)
    days = np.arange(-1, int((begin + length) // HOURS) + 2)
    middles = np.arange(HOURS, dtype=np.float64) + 0.5 + HOURS * days[:, None]
    passed: Floats = begin - middles
    weights: Floats = (_area(passed + length) - _area(passed)).sum(axis=0)
    weights /= weights.sum()
    return weights


def _area(x: Floats) -> Floats:
    """Integrate up to ``x`` what is 1 at 0 and goes straight to 0 at -1 and 1."""
    x = np.clip(x, -1.0, 1.0)
    result: Floats = np.where(x < 0, (1 + x) ** 2 / 2, 1 - (1 - x) ** 2 / 2)
    return result


@dataclass(frozen=True)
class HoursMemory:
    """Events by hour of day behind the counts of a ``Memory``: ``events`` is (4, signals, 24).

    ``pooled`` (signals, 24) belongs to the counts that wait for more events.
    """

    events: Floats
    pooled: Floats

    @classmethod
    def empty(cls, signals: int) -> "HoursMemory":
        """Return what is remembered before the first window."""
        return cls(np.zeros((len(LAMBDAS), signals, HOURS)), np.zeros((signals, HOURS)))

    def after(self, before: Memory, window: Floats, weights: Floats) -> "HoursMemory":
        """Return what is remembered after a window; ``before`` is the counts' memory before it."""
        moved = before.moves(window)[:, None]
        pooled = self.pooled + window.sum(axis=-1, keepdims=True) * weights
        return HoursMemory(
            np.where(moved, KEEP[:, None, None] * self.events + pooled, self.events),
            np.where(moved, 0.0, pooled),
        )

    def weights(self) -> Floats:
        """Return the share of each hour, (4, signals, 24); all alike where nothing was counted."""
        total = self.events.sum(axis=-1, keepdims=True)
        result: Floats = np.where(total > 0, self.events / np.where(total > 0, total, 1), 1 / HOURS)
        return result
