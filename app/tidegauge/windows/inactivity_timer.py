"""When each slice is next to be looked at because nothing has come of it."""

import heapq
import math

from tidegauge.alerting import RuleSet
from tidegauge.windows.values import Slice


class InactivityTimer:
    """Times of event time, by slice; worked out by ``rules``, None before there are any.

    A time may be too early, since the windows that come put it off without a word here.
    """

    def __init__(self) -> None:
        self.rules: RuleSet | None = None
        self._ends: dict[Slice, int] = {}
        self._at: dict[Slice, float] = {}
        self._heap: list[tuple[float, Slice]] = []

    def begin(self, rules: RuleSet) -> None:
        """Forget the times, which were worked out by other rules."""
        self.rules = rules
        self._at.clear()
        self._heap.clear()

    def seen(self, where: Slice, window_end: int) -> None:
        """Note that a window of a slice has events."""
        self._ends[where] = max(window_end, self._ends.get(where, 0))

    def since(self, where: Slice) -> int:
        """Return the end of the last window that has events, of those that have opened here."""
        return self._ends.get(where, 0)

    def put(self, where: Slice, at: float) -> None:
        """Look at a slice by ``at``, or sooner."""
        if at < self._at.get(where, math.inf):
            self._at[where] = at
            heapq.heappush(self._heap, (at, where))

    def due(self, now: float) -> list[Slice]:
        """Take out the slices to look at; put each in again with its next time."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, where = heapq.heappop(self._heap)
            if self._at.get(where) == at:  # or it was put in again, sooner
                del self._at[where]
                found.append(where)
        return sorted(found)

    def drop(self, where: Slice) -> None:
        """Look at a slice no more."""
        self._ends.pop(where, None)
        self._at.pop(where, None)
