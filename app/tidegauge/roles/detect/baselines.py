"""The baselines that windows were counted by, and what to do while one can't be had."""

import asyncio
import logging
import math
from collections.abc import Callable

from tidegauge.baseline import Baseline
from tidegauge.windows import PartitionState, Window

log = logging.getLogger(__name__)

#: How long a window waits for a baseline that the store doesn't give; longer than a restart of the
#: store takes, shorter than an operator's patience.
WAIT_SECONDS = 600.0

#: How long to go on before a missing baseline is asked for again.
RETRY_SECONDS = 1.0

BaselineOf = Callable[[str], Baseline | None]

#: Why a baseline that was asked for can never be used; None if it may come yet.
RefusedWhy = Callable[[str], str | None]


class BaselineSupply:
    """Brings baselines from the store into the state of the partitions that use them."""

    def __init__(
        self,
        baseline_of: BaselineOf,
        clock: Callable[[], float],
        *,
        refused: RefusedWhy = lambda _: None,
    ) -> None:
        self._baseline_of = baseline_of
        self._refused = refused
        self._clock = clock
        #: Baselines that windows wait for: since when, and when they were last asked for.
        self._missing_since: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}

    async def bring(self, state: PartitionState, window: Window) -> bool:
        """Bring the window's baselines into the state; false if it has to wait for one."""
        missing = state.windows[window] - state.baselines.keys() - state.refused_baselines - {""}
        for baseline_id in missing:
            now = self._clock()
            if now - self._asked_at.get(baseline_id, -math.inf) < RETRY_SECONDS:
                return False
            baseline = await asyncio.to_thread(self._baseline_of, baseline_id)
            if baseline is not None:
                state.hold_baseline(baseline_id, baseline)
                self._missing_since.pop(baseline_id, None)
                self._asked_at.pop(baseline_id, None)
                continue
            if (why := self._refused(baseline_id)) is not None:
                state.refuse_baseline(baseline_id)
                self._missing_since.pop(baseline_id, None)
                log.error("windows counted by it are reported without drift: %s", why)
                continue
            if now - self._missing_since.setdefault(baseline_id, now) < WAIT_SECONDS:
                self._asked_at[baseline_id] = now
                return False
            log.error("baseline %s can't be had; its windows are reported without", baseline_id)
        return True

    def awaited(self) -> list[str]:
        """Return the baselines that windows wait for."""
        now = self._clock()
        return sorted(
            baseline_id
            for baseline_id, since in self._missing_since.items()
            if now - since < WAIT_SECONDS
        )
