"""Windows wait for a baseline that the store doesn't give, and not for ever."""

import asyncio
from typing import Any, cast

from support.counting import NOW, a_baseline, promote
from support.world import World, a_state, fold, join_all
from tidegauge.baseline.document import Baseline
from tidegauge.roles.detect.window_closer import RETRY_SECONDS, WAIT_SECONDS, BaselineSupply
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import Window

BASELINE = a_baseline()


class Store:
    """Gives ``holds``, counts the questions, and has a clock."""

    def __init__(self, holds: Baseline | None = None) -> None:
        self.holds = holds
        self.asked = 0
        self.now = 0.0
        self.why: str | None = None
        self.supply = BaselineSupply(cast(Any, self), lambda: self.now)

    def refused(self, baseline_id: str) -> str | None:
        return self.why

    def get(self, baseline_id: str) -> Baseline | None:
        assert baseline_id == BASELINE.id
        self.asked += 1
        return self.holds

    def bring(self, state: PartitionState, window: Window) -> bool:
        return asyncio.run(self.supply.bring(state, window))


def counted_with_a_baseline() -> tuple[PartitionState, Window]:
    world = World(promote(BASELINE))
    world.event(0)
    world.flush()
    state = join_all(a_state(), world.log)
    [window] = state.windows
    return state, window


def test_a_baseline_that_is_there_is_asked_for_once() -> None:
    store, (state, window) = Store(BASELINE), counted_with_a_baseline()
    assert store.bring(state, window) and store.bring(state, window)
    assert store.asked == 1 and state.baselines == {BASELINE.id: BASELINE}
    assert store.supply.awaited() == []


def test_a_window_waits_while_the_store_is_away_and_asks_once_a_second() -> None:
    store, (state, window) = Store(), counted_with_a_baseline()
    assert not store.bring(state, window)
    store.now = RETRY_SECONDS / 2
    assert not store.bring(state, window)
    assert store.asked == 1 and store.supply.awaited() == [BASELINE.id]
    store.holds, store.now = BASELINE, RETRY_SECONDS
    assert store.bring(state, window)
    assert store.asked == 2 and store.supply.awaited() == []


def test_a_window_is_reported_without_a_baseline_that_cannot_be_had_for_ten_minutes() -> None:
    store, (state, window) = Store(), counted_with_a_baseline()
    assert not store.bring(state, window)
    store.now = WAIT_SECONDS - 0.5
    assert not store.bring(state, window)
    store.now = WAIT_SECONDS + 0.5
    assert store.bring(state, window)
    assert not state.baselines and store.supply.awaited() == []


def test_a_window_does_not_wait_for_a_baseline_that_can_never_be_used() -> None:
    store, (state, window) = Store(), counted_with_a_baseline()
    store.why = "baseline 12 can't be used: it has 0 signals"
    assert store.bring(state, window) and store.bring(state, window)
    assert store.asked == 1 and state.newly_refused == 1
    assert not state.baselines and store.supply.awaited() == []


def test_what_was_counted_by_a_baseline_that_cant_be_used_is_reported_without_drift() -> None:
    world = World(promote(BASELINE))
    for number in range(3):
        world.event(0, time=NOW + number, features={"amount": 7.0, "country": "XX"})
    world.now = NOW + 500.0
    world.catch_up()
    world.flush()
    [report] = fold(a_state(), world.log).reports
    [part] = report.parts
    assert (report.events, part.baseline) == (3, BASELINE.id)
    assert all(signal.drift is None for signal in part.signals.values())
    assert part.signals["amount"].unseen_share is None
    assert part.signals["country"].unseen_share is None
    assert part.signals["status"].unseen_share == 0.0
