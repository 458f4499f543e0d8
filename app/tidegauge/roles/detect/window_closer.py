"""Closes the windows that the watermark has passed, as soon as their baselines are there.

A window waits for a baseline that can't be loaded now; the other windows are closed meanwhile.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import KW_ONLY, dataclass

from tidegauge.alerting import RuleSet
from tidegauge.baseline.io import BaselineCache
from tidegauge.config import Settings
from tidegauge.roles.detect.observe import Observer
from tidegauge.roles.detect.status import LateLog, Lifecycle, SliceFailures
from tidegauge.telemetry import DetectMetrics
from tidegauge.windows import (
    Closing,
    Counts,
    DriftDetector,
    InactivityCheck,
    PartitionState,
    Slice,
    Window,
)

log = logging.getLogger(__name__)

#: How long a window waits for a baseline that the store doesn't give; longer than a restart of the
#: store takes, shorter than an operator's patience.
WAIT_SECONDS = 600.0

#: How long to wait before a missing baseline is requested again.
RETRY_SECONDS = 1.0


class BaselineSupply:
    """Brings baselines from the store into the state of the partitions that use them."""

    def __init__(self, store: BaselineCache, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        #: Baselines that windows wait for: since when, and when they were last requested.
        self._missing_since: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}

    async def bring(self, state: PartitionState, window: Window) -> bool:
        """Bring the window's baselines into the state; false if it has to wait for one."""
        return await self.bring_all(state, state.windows[window])

    async def bring_all(self, state: PartitionState, wanted: Set[str]) -> bool:
        """Bring some baselines into the state; false if one of them has to be waited for."""
        missing = wanted - state.baselines.keys() - state.refused_baselines - {""}
        for baseline_id in missing:
            now = self._clock()
            if now - self._asked_at.get(baseline_id, -math.inf) < RETRY_SECONDS:
                return False
            baseline = await asyncio.to_thread(self._store.get, baseline_id)
            if baseline is not None:
                state.hold_baseline(baseline_id, baseline)
                self._missing_since.pop(baseline_id, None)
                self._asked_at.pop(baseline_id, None)
                continue
            if (why := self._store.refused(baseline_id)) is not None:
                state.refuse_baseline(baseline_id)
                self._missing_since.pop(baseline_id, None)
                log.error("unusable baseline, its windows are reported without drift: %s", why)
                continue
            if now - self._missing_since.setdefault(baseline_id, now) < WAIT_SECONDS:
                self._asked_at[baseline_id] = now
                return False
            log.error("baseline %s unavailable; windows are reported without drift", baseline_id)
        return True

    def awaited(self) -> list[str]:
        """Return the baselines that windows wait for."""
        now = self._clock()
        return sorted(
            baseline_id
            for baseline_id, since in self._missing_since.items()
            if now - since < WAIT_SECONDS
        )


#: Windows closed at once: enough that numpy is at work and not on its way, few enough that others
#: get their turn within a few hundredths of a second.
AT_ONCE = 16


async def close_passed(state: PartitionState, closing: Closing, baselines: BaselineSupply) -> None:
    """Close waiting windows; one whose baseline isn't available holds back those of its slice."""
    ready: list[Counts] = []
    blocked: set[Slice] = set()
    for counts in in_time(state.waiting.values()):
        where = counts.window.slice
        # A slice's windows close in order, so one that waits holds back those after it. Windows of
        # all the traffic close before those of its segments, whose rules depend on them.
        is_held_back = where in blocked or where.whole in blocked
        if is_held_back or not await baselines.bring(state, counts.window):
            blocked.add(where)
        else:
            ready.append(counts)
    # Slices with a baseline first: a thousand made-up names end their windows at the same time, and
    # are not urgent. A slice's windows stay in their order.
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


@dataclass(eq=False)
class WindowCloser:
    """Closes, revises and deletes windows at a place of the log, and reports what came of it."""

    settings: Settings
    _: KW_ONLY
    rules: Callable[[], RuleSet]
    drift_detector: DriftDetector
    baselines: BaselineSupply
    metrics: DetectMetrics
    observer: Observer
    lifecycle: Lifecycle
    failures: SliceFailures
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._late = LateLog(self.clock)

    async def advance(self, state: PartitionState) -> None:
        """Report, revise and delete the windows that are due at this place of the log."""
        state.pass_due()
        closing = Closing(
            state,
            rules=self.rules(),
            topics=self.settings.topics,
            watch=self.drift_detector,
            links=self.settings.links,
            failures=self.failures,
        )
        await close_passed(state, closing, self.baselines)
        for window in state.to_revise():
            closing.revise(window)
        state.expire()
        inactivity = InactivityCheck(
            state,
            rules=self.rules(),
            topics=self.settings.topics,
            links=self.settings.links,
            failures=self.failures,
        )
        inactivity.look(closing.closed)
        self.observer.passed(state, closing.closed, self.failures)
        self.lifecycle.passed(closing.closed)
        self._report_losses(state)

    def _report_losses(self, state: PartitionState) -> None:
        self.metrics.late_events.inc(state.late_events)
        state.late_events = 0
        self._late.note(state.late_models)
        state.late_models = {}
        for source_partition, start, to in state.twice:
            self.metrics.counted_twice.inc(to - start)
            log.error(
                "source partition %d: offsets %d to %d were counted twice, as ingest had lost "
                "both its group's offsets and the log of histograms",
                source_partition, start, to,
            )  # fmt: skip
        state.twice = []
        self.metrics.baselines_refused.inc(state.newly_refused)
        state.newly_refused = 0
