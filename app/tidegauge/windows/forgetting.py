"""Forgetting the state of slices that nothing comes of any more, and baselines not in use. Pure.

A slice is forgotten where the watermark says so, so the tombstones in the changelog are there for
compaction alone: whoever reads an old value of a slice that a paused worker wrote late, or the
tombstone of one that has come back since, knows by the watermark what to make of it.
"""

from collections.abc import Mapping, Set
from typing import Any, Protocol

from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.windows.inactivity_timer import InactivityTimer
from tidegauge.windows.values import (
    BaselineKey,
    Key,
    MemoryKey,
    PartitionProgress,
    Slice,
    SliceKey,
    SliceMemory,
    SliceState,
)


class KnownSlices(Protocol):
    """What is asked, and changed, of the state of a partition."""

    progress: PartitionProgress
    slices: dict[Slice, SliceState]
    memories: dict[Slice, SliceMemory]
    baselines: dict[str, Baseline]
    unsaved: set[Key]
    inactivity_timer: InactivityTimer

    def window_of(self, model: str, /) -> WindowSettings:
        """Return how the windows of a model are."""

    @property
    def windows(self) -> Mapping[Any, Set[str]]:
        """Baselines of each window that has cells."""


#: A slice without a baseline is remembered for as long as it has lived, but for no less than this.
#: A name that a producer made up for one event must not be remembered like a model.
SHORTEST_SECONDS = 3600


def forgotten_after(settings: WindowSettings, *, lived_seconds: int, based: bool) -> int:
    """Return the seconds of silence after which a slice is forgotten; ``based``: by a baseline."""
    if based:
        return settings.forgotten_after
    still_open = settings.grace_seconds + settings.late_seconds
    return min(settings.forgotten_after, max(SHORTEST_SECONDS, lived_seconds, still_open))


def patience(state: KnownSlices, where: Slice, value: SliceState) -> int:
    """Return the seconds of silence after which a slice with this value is forgotten."""
    return forgotten_after(
        state.window_of(where.model), lived_seconds=value.lived_seconds, based=value.based
    )


def is_gone(state: KnownSlices, where: Slice, value: SliceState) -> bool:
    """Whether the watermark has come to where a slice with this value is forgotten."""
    return value.last_end + patience(state, where, value) <= state.progress.watermark


def forget(state: KnownSlices, where: Slice) -> None:
    """Delete what is known of a slice that has no windows; its keys become tombstones."""
    del state.slices[where]
    state.unsaved.add(SliceKey(where))
    state.inactivity_timer.drop(where)
    memory = state.memories.pop(where, None)
    if memory is not None:
        state.unsaved.add(MemoryKey(where))
        drop_unused_baselines(state, {memory.baseline})


def drop_unused_baselines(state: KnownSlices, some: Set[str]) -> None:
    """Delete those of ``some`` baselines that no window and no memory was counted by."""
    some = some & state.baselines.keys()
    if not some:
        return
    used = {memory.baseline for memory in state.memories.values()}
    for baselines in state.windows.values():
        used |= baselines
    for baseline_id in sorted(some - used):
        del state.baselines[baseline_id]
        state.unsaved.add(BaselineKey(baseline_id))


def drop_leftovers(state: KnownSlices) -> None:
    """Delete what a changelog holds of slices that were forgotten, and perhaps came back since."""
    for where in list(state.memories):
        value = state.slices.get(where)
        if value is None or state.memories[where].through < value.began:
            del state.memories[where]
            state.unsaved.add(MemoryKey(where))
    drop_unused_baselines(state, state.baselines.keys())
