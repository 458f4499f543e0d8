"""What happens to a slice of the past beside its windows: time without any, and late events."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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
from tidegauge.backtest.evidence import RequiredMetrics
from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.contract import Alert, WindowReport
from tidegauge.windows import DriftDetector, SliceMemory, forgotten_after

Counts = npt.NDArray[np.int32]


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


@dataclass
class _KnownWindow:
    """What is kept of a window: its revision, counts by baseline, and where rules held in it."""

    end: int
    revision: int
    counts: dict[str, Counts] = field(default_factory=dict)
    held: Sequence[str] = ()


class LateReports:
    """Remembers the windows of a slice for as long as they take late events, ``seconds``."""

    def __init__(
        self, rules: RuleSet, detector: DriftDetector, required: RequiredMetrics, seconds: int
    ) -> None:
        self._rules = rules
        self._detector = detector
        self._required = required
        self._seconds = seconds
        self._known: dict[int, _KnownWindow] = {}

    def knows(self, report: WindowReport) -> bool:
        """Whether what came before a late report is known; before a window's first, nothing did."""
        known = self._known.get(report.window_start)
        return not report.revision or (known is not None and known.revision == report.revision - 1)

    def add(
        self,
        memory: SliceMemory | None,
        report: WindowReport,
        baselines: Mapping[str, Baseline],
    ) -> SliceMemory | None:
        """Return what is remembered with what a late report counts more, for the next window."""
        if memory is None or memory.baseline not in baselines:
            return memory
        news = self._detector.counted(report, memory.baseline, baselines)
        known = self._known.get(report.window_start)
        if known is not None and memory.baseline in known.counts:
            news = news - known.counts[memory.baseline]
        ends = report.window_start, report.window_end
        return self._detector.add_late(memory, news, ends, baselines[memory.baseline])

    def judge(
        self, report: WindowReport, alerts: AlertState, whole: AlertState | None
    ) -> EvaluationResult:
        """Judge a late report; what held in its window before is what was noted of it."""
        known = self._known.get(report.window_start)
        held = known.held if known else ()
        verdict, _ = evaluate_late(
            self._rules, report, None, alerts, held=held, distribution=_without, whole=whole
        )
        return verdict

    def note(self, reports: Sequence[WindowReport], baselines: Mapping[str, Baseline]) -> None:
        """Remember reports that were taken in, late ones after they were judged."""
        for report in reports:
            before = self._known.get(report.window_start)
            known = _KnownWindow(
                report.window_end, report.revision, held=before.held if before else ()
            )
            if self._required.may_hold(report):
                _, known.held = evaluate_late(
                    self._rules, report, None, AlertState(), held=known.held, distribution=_without
                )
            if self._required.evidence:
                known.counts = {
                    part.baseline: self._detector.counted(report, part.baseline, baselines).astype(
                        np.int32
                    )
                    for part in report.parts
                    if part.baseline in baselines
                }
            self._known[report.window_start] = known
        through = max((known.end for known in self._known.values()), default=0)
        for start, known in list(self._known.items()):
            if known.end + self._seconds <= through:
                del self._known[start]


def _without(baseline: str, signal: str, histogram: object) -> None:
    """Show no counts: nobody reads these alerts."""
