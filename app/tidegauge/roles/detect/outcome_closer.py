"""Reports cohorts whose labels have changed, at the places of the log where arrival windows end.

A cohort waits for a baseline that can't be loaded now; the others are reported meanwhile.
"""

import asyncio
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from tidegauge.alerting import RuleSet
from tidegauge.config import Settings
from tidegauge.roles.detect.observe_outcomes import OutcomeObserver
from tidegauge.roles.detect.status import SliceFailures
from tidegauge.roles.detect.window_closer import BaselineSupply
from tidegauge.telemetry import DetectMetrics
from tidegauge.windows import (
    CohortRules,
    PartitionState,
    PerformanceClosing,
    ReferenceFigures,
)


@dataclass(eq=False)
class OutcomeCloser:
    """Takes the ticks of outcomes at a place of the log, and reports what they make due."""

    settings: Settings
    _: KW_ONLY
    baselines: BaselineSupply
    metrics: DetectMetrics
    observer: OutcomeObserver
    failures: SliceFailures
    rules: Callable[[], RuleSet]

    def __post_init__(self) -> None:
        self._references = ReferenceFigures()

    async def advance(self, state: PartitionState) -> None:
        """Report the cohorts that are due at this place of the log."""
        passed, outcomes = state.pass_outcomes(), state.outcomes
        rules = CohortRules(
            state,
            rules=self.rules(),
            topics=self.settings.topics,
            alarms_of=self.settings.alarms_of,
            references=self._references,
            links=self.settings.links,
            failures=self.failures,
        )
        closing = PerformanceClosing(
            state,
            topic=self.settings.topics.performance,
            references=self._references,
            failures=self.failures,
            judge=rules.judge,
        )
        for window in outcomes.due():
            if not closing.may_go_on:
                break
            if await self.baselines.bring_all(state, outcomes.baselines(window)):
                self.observer.reported(state, window, closing.close(window))
                await asyncio.sleep(0)
        if passed.minute is not None:
            rules.look(passed.minute)
        self.observer.passed(state, passed.arrivals)
        self.observer.judged(state, rules.closed)
        for window in self.observer.unseen(state):
            self.observer.reported(state, window, closing.look(window))
        self.metrics.late_outcomes.inc(outcomes.late_cells)
        outcomes.late_cells = 0
