"""Closing the windows that the watermark has passed, as soon as their baselines are there."""

import asyncio
from collections.abc import Iterable, Iterator

from tidegauge.roles.detect.baselines import BaselineSupply
from tidegauge.windows import Closing, Counts, PartitionState, Slice, Window

#: Windows closed at once: enough that numpy is at work and not on its way, few enough that others
#: get their turn within a few hundredths of a second.
AT_ONCE = 16


async def close_passed(state: PartitionState, closing: Closing, baselines: BaselineSupply) -> None:
    """Close what waits; a window whose baseline can't be had now holds back those of its slice."""
    ready: list[Counts] = []
    blocked: set[Slice] = set()
    for counts in in_time(state.waiting.values()):
        where = counts.window.slice
        # A slice's windows close in order, so one that waits holds back those after it; and those
        # of all the traffic come before those of its segments, which are judged by what it says.
        is_held_back = where in blocked or where.whole in blocked
        if is_held_back or not await baselines.bring(state, counts.window):
            blocked.add(where)
        else:
            ready.append(counts)
    # Slices with a baseline first: a thousand names that somebody made up end their windows at the
    # same time, and nobody waits for those. A slice's windows stay in their order.
    based = {it.window.slice for it in ready if any(it.parts)}
    ready.sort(
        key=lambda it: (it.window.slice not in based, it.window.end, bool(it.window.slice.segment))
    )
    for some in of_different_slices(ready):
        closing.close_together(some)
        await asyncio.sleep(0)


def in_time(windows: Iterable[Counts]) -> list[Counts]:
    """Sort them by their ends; of those that end together, all the traffic before its segments."""

    def when(counts: Counts) -> tuple[int, bool, Window]:
        window = counts.window
        return window.end, bool(window.slice.segment), window

    return sorted(windows, key=when)


def of_different_slices(windows: Iterable[Counts]) -> Iterator[list[Counts]]:
    """Yield them in their order, so many at once as can be closed together."""
    some: dict[Slice, Counts] = {}
    for counts in windows:
        where = counts.window.slice
        if where in some or len(some) == AT_ONCE:
            yield list(some.values())
            some = {}
        some[where] = counts
    if some:
        yield list(some.values())
