"""One step of the detector: a closed window in, what it makes of every signal out. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.budget import Budget
from tidegauge.sequential.daily import DailyReference
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.expected import Expected
from tidegauge.sequential.hours import HoursMemory, hour_weights
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import surprises

Floats = npt.NDArray[np.float64]


class Verdict(NamedTuple):
    """What a window led to, with everything that it can be computed from again.

    ``surprises`` is -ln p, nats, by (span, signal, score); ``events`` the effective number of
    events by (span, signal). ``threshold`` is -ln of the budget's share of one look, and ``looks``
    how many there were: surprises that could start an alarm on their own. Of a baseline by hour of
    day there are also the hours remembered, and what was ``expected`` by (span, signal).
    """

    memory: Memory
    surprises: Floats
    events: Floats
    threshold: float
    looks: float
    hours: HoursMemory | None = None
    expected: Expected | None = None

    @property
    def alarms(self) -> npt.NDArray[np.bool_]:
        """Which signals are beyond the threshold, by any score over any span."""
        return np.asarray(self.surprises.max(axis=(0, 2)) > self.threshold)


def judge(reference: Reference, memory: Memory, window: Floats, budget: Budget) -> Verdict:
    """Add a window's counts (signals, bins) to what is remembered, and judge that."""
    memory = memory.after(window)
    events = memory.events()
    threshold, looks = budget.threshold(reference, events)
    return Verdict(memory, surprises(reference, memory.effective()), events, threshold, looks)


def judge_daily(
    daily: DailyReference,
    memory: Memory,
    hours: HoursMemory,
    window: Floats,
    between: tuple[float, float],
    budget: Budget,
) -> Verdict:
    """Do the same by a baseline by hour of day; the window is ``between`` two epoch seconds."""
    start, end = between
    hours = hours.after(memory, window, hour_weights(start, end))
    memory = memory.after(window)
    events = memory.events()
    expected = daily.expected(hours, end - start)
    threshold, looks = budget.threshold(expected.reference, events, expected.events)
    found = expected.surprises(memory.effective())
    return Verdict(memory, found, events, threshold, looks, hours, expected)
