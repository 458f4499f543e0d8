"""Forgetting the state of slices that nothing comes of any more, and baselines not in use. Pure.

A slice is forgotten where the watermark says so, so the tombstones in the changelog are there for
compaction alone: whoever reads an old value of a slice that a paused worker wrote late, or the
tombstone of one that has come back since, knows by the watermark what to make of it.
"""

from collections.abc import Set
from typing import TYPE_CHECKING

from tidegauge.detect.values import BaselineKey, MemoryKey, Slice, SliceKey, SliceState

if TYPE_CHECKING:
    from tidegauge.detect.partition import PartitionState


def is_gone(state: "PartitionState", where: Slice, value: SliceState) -> bool:
    """Whether the watermark has come to where a slice with this value is forgotten."""
    return value.last_end + state.window_of(where.model).forgotten_after <= state.progress.watermark


def forget(state: "PartitionState", where: Slice) -> None:
    """Delete what is known of a slice that has no windows; its keys become tombstones."""
    del state.slices[where]
    state.unsaved.add(SliceKey(where))
    state.vigil.drop(where)
    memory = state.memories.pop(where, None)
    if memory is not None:
        state.unsaved.add(MemoryKey(where))
        drop_unused_baselines(state, {memory.baseline})


def drop_unused_baselines(state: "PartitionState", some: Set[str]) -> None:
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


def drop_leftovers(state: "PartitionState") -> None:
    """Delete what a changelog holds of slices that were forgotten, and perhaps came back since."""
    for where in list(state.memories):
        value = state.slices.get(where)
        if value is None or state.memories[where].through < value.began:
            del state.memories[where]
            state.unsaved.add(MemoryKey(where))
    drop_unused_baselines(state, state.baselines.keys())
