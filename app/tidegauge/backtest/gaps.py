"""What rules say of the time between windows of a slice, as DETECT tells it while none comes."""

import math

from tidegauge.alerting import (
    MISSED_AFTER_SECONDS,
    AlertState,
    InactiveSlice,
    RuleSet,
    due_at,
    end_forgotten,
    judge_inactivity,
)
from tidegauge.config import WindowSettings
from tidegauge.contract import Alert, WindowReport
from tidegauge.windows import forgotten_after


class Gaps:
    """The time without windows of one slice; ``first`` is one of its reports.

    DETECT looks at every place of its log; here it is looked at when there is something to tell.
    Reminders, which nobody counts here, are left out.
    """

    def __init__(self, rules: RuleSet, settings: WindowSettings, first: WindowReport) -> None:
        self._rules = RuleSet(
            rule.model_copy(update={"repeat_interval": 0}) for rule in rules.rules
        )
        self._settings = settings
        self._first = first
        self._based = any(part.baseline for part in first.parts)

    def longest(self, since: int) -> int:
        """Seconds without windows from ``since`` on after which the slice is forgotten."""
        lived = since - self._first.window_end
        return forgotten_after(self._settings, lived_seconds=lived, based=self._based)

    def is_end(self, since: int, until: int) -> bool:
        """Whether the slice is forgotten if nothing comes in this time."""
        return until - since >= self.longest(since)

    def told(self, since: int, until: int, state: AlertState) -> tuple[AlertState, list[Alert]]:
        """Return what is told up to ``until`` if the last window has ended at ``since``."""
        quiet = self._quiet(since)
        until = min(until, since + self.longest(since))
        alerts: list[Alert] = []
        while (at := due_at(self._rules, quiet, state)) <= until:
            verdict = judge_inactivity(self._rules, quiet, state, now=math.ceil(max(at, since)))
            state = verdict.state
            alerts += verdict.alerts
        return state, alerts

    def forgotten(self, since: int, state: AlertState) -> list[Alert]:
        """Return what is told when the slice is forgotten."""
        quiet = self._quiet(since)
        return end_forgotten(self._rules, quiet, state, seconds=self.longest(since)).alerts

    def _quiet(self, since: int) -> InactiveSlice:
        first = self._first
        return InactiveSlice(
            first.model,
            first.version,
            first.variant,
            first.segment,
            since=since,
            window_seconds=first.window_end - first.window_start,
            grace_seconds=self._settings.grace_seconds,
            is_missed=self._based or since - first.window_end >= MISSED_AFTER_SECONDS,
        )
