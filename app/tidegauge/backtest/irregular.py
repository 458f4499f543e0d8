"""What happens to a slice of the past beside its windows: time without any, and late events."""

import math
from collections.abc import Sequence

from tidegauge.alerting import (
    MISSED_AFTER_SECONDS,
    AlertState,
    EvaluationResult,
    InactiveSlice,
    RuleSet,
    due_at,
    end_forgotten,
    evaluate_late,
    judge_inactivity,
)
from tidegauge.config import WindowSettings
from tidegauge.contract import Alert, WindowReport
from tidegauge.windows import forgotten_after


class Gaps:
    """The time without windows of one slice; ``first`` is one of its reports.

    DETECT checks at every place of its log; a backtest checks when an alert is due. Reminders,
    which a backtest does not count, are left out.
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

    def alerts_until(
        self, since: int, until: int, state: AlertState
    ) -> tuple[AlertState, list[Alert]]:
        """Return the alerts up to ``until`` if the last window ended at ``since``."""
        quiet = self._quiet(since)
        until = min(until, since + self.longest(since))
        alerts: list[Alert] = []
        while (at := due_at(self._rules, quiet, state)) <= until:
            verdict = judge_inactivity(self._rules, quiet, state, now=math.ceil(max(at, since)))
            state = verdict.state
            alerts += verdict.alerts
        return state, alerts

    def forgotten(self, since: int, state: AlertState) -> list[Alert]:
        """Return the alerts when the slice is forgotten."""
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


class LateReports:
    """The reports of a slice for as long as their windows accept late events, ``seconds``.

    DETECT holds the cells of these windows for as long.
    """

    def __init__(self, rules: RuleSet, seconds: int) -> None:
        self._rules = rules
        self._seconds = seconds
        #: By the start of its window the last report, and the fingerprints of what held in it.
        self._known: dict[int, tuple[WindowReport, Sequence[str]]] = {}

    def earlier(self, report: WindowReport) -> WindowReport | None:
        """Return what was reported of the same window before; None if nothing was."""
        known = self._known.get(report.window_start)
        return known and known[0]

    def knows(self, report: WindowReport) -> bool:
        """Whether what came before a late report is known; before a window's first, nothing did."""
        earlier = self.earlier(report)
        return not report.revision or (
            earlier is not None and earlier.revision == report.revision - 1
        )

    def judge(
        self, report: WindowReport, alerts: AlertState, whole: AlertState | None
    ) -> EvaluationResult:
        """Judge a late report, and remember it."""
        earlier, held = self._known.get(report.window_start, (None, ()))
        verdict, held = evaluate_late(
            self._rules, report, earlier, alerts,
            held=held, distribution=no_distribution, whole=whole,
        )  # fmt: skip
        self._known[report.window_start] = report, held
        return verdict

    def note(self, reports: Sequence[WindowReport]) -> None:
        """Remember reports that were taken in, and forget those that no late event can reach."""
        self._known |= {report.window_start: (report, ()) for report in reports}
        through = max((report.window_end for report, _ in self._known.values()), default=0)
        for start, (report, _) in list(self._known.items()):
            if report.window_end + self._seconds <= through:
                del self._known[start]


def no_distribution(baseline: str, signal: str, histogram: object) -> None:
    """Return no counts: nobody reads these alerts."""
