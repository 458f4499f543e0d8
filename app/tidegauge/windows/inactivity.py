"""Slices that nothing comes of: what is told of them, and when they are forgotten. Pure.

It is decided at places of the log, by the watermark: the event time up to which every source
partition has been heard. So it is not the silence of a model if INGEST lags behind, or if nobody
counts at all; and if all models are silent, INGEST still says how late it is.
"""

import math
from collections.abc import Callable

import msgspec

from tidegauge.alerting import (
    MISSED_AFTER_SECONDS,
    EvaluationResult,
    InactiveSlice,
    RuleSet,
    due_at,
    end_forgotten,
    judge_inactivity,
)
from tidegauge.config import LinkSettings, TopicSettings
from tidegauge.windows.outputs import NO_LINKS, Closed, Failures, Output, Raising, alert_outputs
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import Slice, SliceState


class InactivityCheck:
    """Looks at the slices of a partition after windows have closed at a place of the log."""

    def __init__(
        self,
        state: PartitionState,
        *,
        rules: RuleSet,
        topics: TopicSettings,
        links: LinkSettings = NO_LINKS,
        failures: Failures | None = None,
    ) -> None:
        self._failures = failures or Raising()
        self._state = state
        self._links = links
        self._rules = rules
        self._topics = topics
        self._now = math.floor(state.progress.watermark)

    def look(self, closed: Closed) -> None:
        """Tell and forget what is due; ``closed`` is what was reported at this place of the log."""
        state, inactivity_timer = self._state, self._state.inactivity_timer
        if inactivity_timer.rules is not self._rules:
            inactivity_timer.begin(self._rules)
            changed = list(state.slices)
        else:
            changed = [Slice.of(report) for report in closed.reports if not report.revision]
            changed += closed.late
        for where in changed:
            self._try(self._put, where)
        # A slice's windows are judged in order, so what waits comes before what is missing.
        waiting = {window.slice for window in state.waiting}
        for where in inactivity_timer.due(self._now):
            if where in waiting:
                inactivity_timer.put(where, self._now)
            else:
                self._try(lambda where: self._look_at(where, closed), where)

    def _try(self, work: Callable[[Slice], None], where: Slice) -> None:
        """Look at one slice; if that fails, it is looked at again with its next window."""
        try:
            work(where)
        except Exception as error:
            self._failures.failed(where, "looking for what is missing", error)

    def _look_at(self, where: Slice, closed: Closed) -> None:
        value = self._state.slices[where]
        quiet = self._quiet(where, value)
        allowed = self._state.forgotten_after(where, value)
        if quiet.since + allowed <= self._now:
            verdict = end_forgotten(self._rules, quiet, value.alerts, seconds=allowed)
            self._state.forget(where, self._state.used_baselines)
            closed.forgotten.append(where)
            self._tell(verdict, closed)
            return
        if due_at(self._rules, quiet, value.alerts) <= self._now:
            verdict = judge_inactivity(self._rules, quiet, value.alerts, now=self._now)
            after = {"step": value.step + 1, "alerts": verdict.state}
            self._state.set_slice(where, msgspec.structs.replace(value, **after))
            closed.silent.append(where)
            self._tell(verdict, closed)
        self._put(where)

    def _put(self, where: Slice) -> None:
        value = self._state.slices[where]
        quiet = self._quiet(where, value)
        forgotten = quiet.since + self._state.forgotten_after(where, value)
        self._state.inactivity_timer.put(
            where, min(due_at(self._rules, quiet, value.alerts), forgotten)
        )

    def _quiet(self, where: Slice, value: SliceState) -> InactiveSlice:
        settings = self._state.window_of(where.model)
        return InactiveSlice(
            model=where.model,
            version=where.version,
            variant=where.variant,
            segment=dict(where.segment),
            since=max(value.last_end, self._state.inactivity_timer.since(where)),
            window_seconds=settings.seconds,
            grace_seconds=settings.grace_seconds,
            is_missed=value.based or value.lived_seconds >= MISSED_AFTER_SECONDS,
        )

    def _tell(self, verdict: EvaluationResult, closed: Closed) -> None:
        topics = self._topics
        self._state.outputs += [
            *alert_outputs(verdict.alerts, topics, self._links),
            *(Output(topics.audit_facts, fact.model, fact) for fact in verdict.audit),
        ]
        closed.alerts += verdict.alerts
