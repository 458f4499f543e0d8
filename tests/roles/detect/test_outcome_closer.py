"""What the detector makes of outcomes, and what Prometheus is shown of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from support.counting import NOW, a_baseline
from support.detector_bench import baselines
from support.outcome_world import MODEL, OutcomeWorld
from support.world import Logged, a_state, restored, saved
from tidegauge.alerting import DEFAULT_RULES
from tidegauge.baseline.document import Baseline
from tidegauge.config.settings import Settings
from tidegauge.contract import PerformanceReport
from tidegauge.roles.detect.observe_outcomes import OutcomeObserver
from tidegauge.roles.detect.outcome_closer import OutcomeCloser
from tidegauge.roles.detect.status import SliceFailures
from tidegauge.roles.detect.window_closer import BaselineSupply
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import DetectMetrics
from tidegauge.windows import performance
from tidegauge.windows.partition import PartitionState

BASELINE = a_baseline()


class Worker:
    """A worker with one partition, without brokers."""

    def __init__(
        self,
        get: Callable[[str], Baseline | None] = lambda _: BASELINE,
        state: PartitionState | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        metrics = DetectMetrics(self.registry)
        self.now = 0.0
        self.state = a_state() if state is None else state
        self.observer = OutcomeObserver(metrics)
        self.closer = OutcomeCloser(
            Settings(),
            baselines=BaselineSupply(baselines(get), lambda: self.now),
            metrics=metrics,
            observer=self.observer,
            failures=SliceFailures(metrics, Health(clock=lambda: 0.0)),
            rules=lambda: DEFAULT_RULES,
        )

    def fold(self, log: Sequence[Logged]) -> list[PerformanceReport]:
        async def whole() -> None:
            for offset, record in log:
                if offset >= self.state.progress.next_offset:
                    self.state.join(record, offset)
                    await self.closer.advance(self.state)

        asyncio.run(whole())
        found: list[Any] = [output.record for output in self.state.take_outputs()]
        return found

    def series(self, name: str) -> dict[str, float]:
        lines = generate_latest(self.registry).decode().splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith(f"{name}{{"))
        return {labels.removeprefix(name): float(value) for labels, value in found}


def story(hours: int = 4, wrong_from: int = 99) -> OutcomeWorld:
    """Let 30 predictions an hour get their labels 20 minutes later, the model be wrong at last."""
    world = OutcomeWorld()
    world.now = NOW // 3600 * 3600 + 1.0
    for hour in range(hours):
        for number in range(30):
            world.predict(f"{hour}-{number}", 0.9 if number % 2 else 0.1, region="EU")
        world.flush()
        world.now += 1200
        for number in range(30):
            world.label(f"{hour}-{number}", (number + (hour >= wrong_from)) % 2)
        world.flush()
        world.now += 2400
        world.flush()
    return world


def test_the_gauges_show_the_latest_mature_cohort_of_all_traffic() -> None:
    worker = Worker()
    found = worker.fold(story(wrong_from=2).log)
    mature = [it for it in found if it.mature and not it.group]
    latest = max(mature, key=lambda it: (it.cohort_start, it.revision))
    labels = f'model="{MODEL}",version="1",variant=""'
    figures = worker.series("tidegauge_performance")
    name = f'{{cohort="latest_mature",figure="accuracy",{labels}}}'
    by_name = {"".join(sorted(key)): value for key, value in figures.items()}
    assert by_name["".join(sorted(name))] == latest.performance.figures["accuracy"].value
    assert set(worker.series("tidegauge_label_coverage").values()) == {1.0}
    assert len(worker.series("tidegauge_label_maturity")) == 1
    assert not any("region" in key for key in figures), "groups have no series"


def test_the_gauges_show_the_estimate_of_the_latest_cohort_that_is_over() -> None:
    worker = Worker()
    found = worker.fold(story(hours=8).log)
    latest = [one for one in found if not one.group][-1]
    estimated = latest.figure("estimated_accuracy")
    assert estimated is not None and estimated.value is not None
    figures = worker.series("tidegauge_estimated_performance")
    accuracy = [value for key, value in figures.items() if 'figure="accuracy"' in key]
    assert accuracy == [estimated.value] and all('cohort="latest"' in key for key in figures)
    held = worker.series("tidegauge_estimate_held_share")
    assert held and set(held.values()) == {1.0}
    successor = Worker(state=restored(saved(worker.state)))
    successor.state.hold_baseline("of-1", BASELINE)
    asyncio.run(successor.closer.advance(successor.state))
    assert successor.series("tidegauge_estimated_performance") == figures
    worker.observer.owned(set())
    assert worker.series("tidegauge_estimated_performance") == {}


def test_delays_are_counted_when_labels_have_arrived() -> None:
    worker = Worker()
    worker.fold(story().log)
    buckets = worker.series("tidegauge_label_delay_seconds_bucket")
    within = {key: count for key, count in buckets.items() if '"900.0"' in key or '"1800.0"' in key}
    assert sorted(within.values()) == [0.0, 120.0]


def test_who_takes_over_shows_what_was_shown_and_publishes_nothing_new() -> None:
    world, worker = story(), Worker()
    worker.fold(world.log)
    successor = Worker(state=restored(saved(worker.state)))
    successor.state.hold_baseline("of-1", BASELINE)
    seen = len(world.log)
    world.now += 60
    world.flush()
    assert successor.fold(world.log[seen:]) == worker.fold(world.log[seen:]) == []
    assert successor.series("tidegauge_performance") == worker.series("tidegauge_performance") != {}
    worker.observer.owned(set())
    assert worker.series("tidegauge_performance") == {}


def test_a_model_of_an_unknown_baseline_is_reported_and_has_no_series() -> None:
    worker = Worker(get=lambda _: None)
    world = story()
    assert worker.fold(world.log) == [], "it waits for the store"
    worker.now = 700.0
    seen = len(world.log)
    world.now += 60
    world.flush()
    assert worker.fold(world.log[seen:])
    assert worker.series("tidegauge_performance") == {}


def test_a_burst_of_old_labels_is_reported_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "MOST_A_SECOND", 8)
    world, worker = OutcomeWorld(), Worker()
    for hour in range(24):
        world.predict(f"{hour}", 0.9, time=NOW - 3600 * hour)
    world.flush()
    assert len(worker.fold(world.log)) == 8
    for more in (0, 8, 0, 8):
        seen = len(world.log)
        world.now += 0.5  # a second of the log at the second time
        world.flush()
        assert len(worker.fold(world.log[seen:])) == more
    assert not worker.state.outcomes.due()


@pytest.mark.parametrize("wrong", [{}, {"retention_seconds": 3600}])
def test_cells_that_come_after_their_cohort_was_deleted_are_counted(wrong: dict[str, int]) -> None:
    state = a_state()
    if wrong:
        state = PartitionState(
            partition=0,
            window_of=state.window_of,
            idle_seconds=10.0,
            retention_of=lambda model: float(wrong["retention_seconds"]),
        )
    world, worker = OutcomeWorld(), Worker(state=state)
    world.flush()
    worker.fold(world.log)
    seen = len(world.log)
    world.predict("x", 0.9, time=NOW - 3 * 86_400)
    world.flush()
    worker.fold(world.log[seen:])
    assert worker.registry.get_sample_value("tidegauge_late_outcomes_total") == bool(wrong)
