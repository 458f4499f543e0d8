"""What a partition remembers of its slices beyond their windows, and when it forgets them. Pure.

A slice is forgotten where the watermark says so, and its tombstones are there for compaction alone.
Whoever reads an old value of a slice that a paused worker wrote late, or the tombstone of a slice
that has come back since, knows by the watermark what to make of it.
"""

import heapq
import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from tidegauge.alerting import RuleSet
from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.windows.sources import LogProgress
from tidegauge.windows.values import (
    BaselineKey,
    MemoryKey,
    Slice,
    SliceKey,
    SliceMemory,
    SliceState,
)

#: A slice without a baseline is remembered for as long as it has lived, but for no less than this.
#: A name that a producer made up for one event must not be remembered like a model.
SHORTEST_SECONDS = 3600


def forgotten_after(settings: WindowSettings, *, lived_seconds: int, based: bool) -> int:
    """Return the seconds of inactivity after which a slice is forgotten; ``based``: by a baseline.

    A slice that was never counted by a baseline is forgotten sooner.
    """
    if based:
        return settings.forgotten_after
    still_open = settings.grace_seconds + settings.late_seconds
    return min(settings.forgotten_after, max(SHORTEST_SECONDS, lived_seconds, still_open))


class InactivityTimer:
    """Times of event time at which to check each slice; computed by ``rules``, None before that.

    A time may be too early, since the windows that come don't postpone it here.
    """

    def __init__(self) -> None:
        self.rules: RuleSet | None = None
        self._ends: dict[Slice, int] = {}
        self._at: dict[Slice, float] = {}
        self._heap: list[tuple[float, Slice]] = []

    def begin(self, rules: RuleSet) -> None:
        """Drop the times, which were computed by other rules."""
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
        """Check a slice by ``at``, or sooner."""
        if at < self._at.get(where, math.inf):
            self._at[where] = at
            heapq.heappush(self._heap, (at, where))

    def due(self, now: float) -> list[Slice]:
        """Take out the slices to check; put each in again with its next time."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, where = heapq.heappop(self._heap)
            if self._at.get(where) == at:  # or it was put in again, sooner
                del self._at[where]
                found.append(where)
        return sorted(found)

    def drop(self, where: Slice) -> None:
        """Check a slice no more."""
        self._ends.pop(where, None)
        self._at.pop(where, None)


@dataclass(kw_only=True)
class SliceStore(LogProgress):
    """The slices of a partition, with what the drift detector remembers and their baselines."""

    window_of: Callable[[str], WindowSettings]
    slices: dict[Slice, SliceState] = field(default_factory=dict)
    memories: dict[Slice, SliceMemory] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    #: Baselines that can't be used: windows counted by them are reported without drift.
    refused_baselines: set[str] = field(default_factory=set)
    newly_refused: int = 0
    #: When to check the slices that get no events.
    inactivity_timer: InactivityTimer = field(default_factory=InactivityTimer)

    def set_slice(self, where: Slice, state: SliceState) -> None:
        """Replace the state of a slice."""
        self.slices[where] = state
        self.unsaved.add(SliceKey(where))

    def remember(self, where: Slice, memory: SliceMemory) -> None:
        """Replace what the drift detector remembers of a slice."""
        self.memories[where] = memory
        self.unsaved.add(MemoryKey(where))

    def forget_memory(self, where: Slice) -> None:
        """Delete what the drift detector remembers of a slice."""
        if self.memories.pop(where, None) is not None:
            self.unsaved.add(MemoryKey(where))

    def forgotten_after(self, where: Slice, value: SliceState) -> int:
        """Return the seconds of inactivity after which a slice with this value is forgotten."""
        return forgotten_after(
            self.window_of(where.model), lived_seconds=value.lived_seconds, based=value.based
        )

    def is_gone(self, where: Slice, value: SliceState) -> bool:
        """Whether the watermark has come to where a slice with this value is forgotten."""
        return value.last_end + self.forgotten_after(where, value) <= self.progress.watermark

    def forget(self, where: Slice, used: Mapping[Any, Set[str]]) -> None:
        """Delete a slice that has no windows; its keys become tombstones.

        ``used`` are the baselines of each window that has cells.
        """
        del self.slices[where]
        self.unsaved.add(SliceKey(where))
        self.inactivity_timer.drop(where)
        memory = self.memories.pop(where, None)
        if memory is not None:
            self.unsaved.add(MemoryKey(where))
            self.drop_unused_baselines({memory.baseline}, used)

    def drop_unused_baselines(self, some: Set[str], used: Mapping[Any, Set[str]]) -> None:
        """Delete those of ``some`` baselines that no window and no memory was counted by."""
        some = some & self.baselines.keys()
        if not some:
            return
        in_use = {memory.baseline for memory in self.memories.values()}.union(*used.values())
        for baseline_id in sorted(some - in_use):
            del self.baselines[baseline_id]
            self.unsaved.add(BaselineKey(baseline_id))

    def drop_leftovers(self, used: Mapping[Any, Set[str]]) -> None:
        """Delete what a changelog holds of slices that were forgotten, and perhaps came back."""
        for where in list(self.memories):
            value = self.slices.get(where)
            if value is None or self.memories[where].through < value.began:
                del self.memories[where]
                self.unsaved.add(MemoryKey(where))
        self.drop_unused_baselines(self.baselines.keys(), used)

    def hold_baseline(self, baseline_id: str, baseline: Baseline) -> None:
        """Keep a baseline with the windows that were counted by it."""
        if baseline_id not in self.baselines:
            self.baselines[baseline_id] = baseline
            self.unsaved.add(BaselineKey(baseline_id))

    def refuse_baseline(self, baseline_id: str) -> None:
        """Report the windows that were counted by a baseline without it."""
        if baseline_id not in self.refused_baselines:
            self.refused_baselines.add(baseline_id)
            self.newly_refused += 1
