"""The windows of one slice through detector and rules, as DETECT takes them but many at a time.

Most windows of the past hold no drift. The scores of many windows are bounded together, and those
in which one may be above the level that a rule requires are then taken one by one by the
:class:`DriftDetector`, as DETECT takes every window.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tidegauge.alerting import SILENCE, AlertState, MetricName, RuleSet, evaluate
from tidegauge.backtest.records import Gaps, LateReports, no_distribution, slices_of
from tidegauge.backtest.result import PastEpisode, SliceSpan
from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.contract import Alert, ReportPart, WindowReport
from tidegauge.sequential import (
    LAMBDAS,
    BatchInput,
    BatchResult,
    Budget,
    HourlyBatch,
    HoursMemory,
    Memory,
    WindowBatch,
)
from tidegauge.stats import Bools, Floats
from tidegauge.windows import (
    BaselineLayout,
    DriftDetector,
    SliceMemory,
    WindowInput,
    pack,
    remembered,
)

#: Steps after which what came before has a weight of e^-4 in the longest memory.
FULL_STEPS = round(4 / min(LAMBDAS))

#: Numbers in the memories of the windows that are bounded at a time: 16 MB.
_NUMBERS_AT_ONCE = 2_000_000

#: Metrics of what the detector remembers; all others are in a report as it was read.
OF_EVIDENCE: frozenset[MetricName] = frozenset({"surprise", "drifted_signals", "drifted_share"})

#: What an episode has of the alert that it began with.
_SHARED = [
    name for name in PastEpisode.__struct_fields__ if name not in ("signals", "ends_at", "seconds")
]


class _ReplayBatch(NamedTuple):
    """Windows that follow ``memory`` and ``hours``, their reports and counts, what they share."""

    windows: WindowBatch | HourlyBatch
    memory: Memory
    hours: HoursMemory | None
    reports: Sequence[WindowReport]
    counts: Floats
    baseline: str
    slices: int

    def first(self, at: int) -> WindowInput:
        """Return one of the windows as the detector takes it."""
        report = self.reports[at]
        memory, hours = self.after(at - 1)
        before = pack(memory, report.window_start, self.baseline, hours)
        return WindowInput(before, report, self.slices, self.counts[at])

    def after(self, at: int) -> tuple[Memory, HoursMemory | None]:
        """Return what is remembered after one of the windows; -1 is before all of them."""
        if at < 0:
            return self.memory, self.hours
        windows = self.windows
        hours = windows.hours_after(at) if isinstance(windows, HourlyBatch) else None
        return windows.after(at), hours


class ScoreObserver(Protocol):
    """Sees every window that the detector judges, with its scores rather than its evidence."""

    def batch(
        self,
        reports: Sequence[WindowReport],
        layout: BaselineLayout,
        counts: Floats,
        scored: WindowBatch,
        budget: Budget,
    ) -> None:
        """Take in windows that were judged together; ``counts`` are (windows, signals, bins)."""

    def window(
        self,
        report: WindowReport,
        part: ReportPart,
        layout: BaselineLayout,
        turn: BatchInput,
        judged: BatchResult,
    ) -> None:
        """Take in a window that was judged alone."""

    def forget(self) -> None:
        """Take in that what comes next begins with empty memories."""


class Replay:
    """Windows of one slice, given in the order in which DETECT reported them."""

    def __init__(
        self,
        rules: RuleSet,
        alarms_of: Callable[[str], float],
        first: WindowReport,
        *,
        drift_at: float | None = None,
        windows: WindowSettings | None = None,
        whole: "Replay | None" = None,
        observer: ScoreObserver | None = None,
    ) -> None:
        """``first`` is one of the reports of the slice.

        ``whole`` replays all the traffic, if this is a segment of it; it takes a window first. With
        an ``observer`` no report gets its evidence: all windows are scored, and it has the scores.
        """
        settings = windows or WindowSettings()
        self._rules = rules
        self._gaps = Gaps(rules, settings, first)
        self._late = LateReports(rules, settings.grace_seconds + settings.late_seconds)
        #: Start of the first window, then the end of the last one that was judged.
        self._through = first.window_start
        self._observer = observer
        self._detector = DriftDetector(alarms_of, observer.window if observer else None)
        #: Rules that require evidence, and above which multiple of its threshold they do; None if
        #: below some they do too. What is in alarm, above 1, is always counted.
        of_evidence = [
            it.rule for it in rules.compiled if it.watches(first) and it.rule.metric in OF_EVIDENCE
        ]
        self._needs_evidence = bool(of_evidence) or observer is not None
        self._level: float | None = None
        if all(rule.above is not None for rule in of_evidence):
            surprises = (rule.threshold for rule in of_evidence if rule.metric == "surprise")
            self._level = min([1.0, *surprises])
        self._memory: SliceMemory | None = None
        #: How often each signal was counted since the memory was empty.
        self._steps: npt.NDArray[np.int64] | int = 0
        self._alerts = AlertState()
        self._whole = whole
        #: By the end of the window that led to it, every state with other episodes than before.
        self._states: list[tuple[int, AlertState]] = []
        self._drift_at = drift_at
        self._open: dict[str, PastEpisode] = {}
        self.episodes: list[PastEpisode] = []
        #: Start of the first window with the drift, and in which of those an alert fired, from 1,
        #: by the end of that window.
        self.drift_from: int | None = None
        self.drifted_when_fired: dict[int, int] = {}
        self._drifted = 0
        self.span = SliceSpan(
            model=first.model,
            version=first.version,
            variant=first.variant,
            segment=first.segment,
            windows=0,
            passed_by=0,
            first_window_start=first.window_start,
            last_window_end=first.window_start,
            memory_full_at=None,
        )

    def take(self, reports: Sequence[WindowReport], baselines: Mapping[str, Baseline]) -> None:
        """Take in the next reports: windows, each later than the last one, and late ones."""
        waiting: list[WindowReport] = []
        for report in reports:
            is_passed = report.window_end <= self.span.last_window_end
            if report.revision or is_passed:
                # It opened after a later one had closed, or late events came to it.
                self.span.passed_by += not report.revision
                self._take(waiting, baselines)
                waiting = []
                self._take_late(report, baselines)
                continue
            if self._gaps.is_end(self.span.last_window_end, report.window_start):
                self._take(waiting, baselines)
                waiting = []
                self._forget(report.window_start)
            waiting.append(report)
            self.span.windows += 1
            self.span.last_window_end = report.window_end
        self._take(waiting, baselines)

    def _take_late(self, report: WindowReport, baselines: Mapping[str, Baseline]) -> None:
        if not self._late.knows(report):
            return
        if self._needs_evidence:
            earlier = self._late.earlier(report)
            self._memory = self._detector.take_late(self._memory, report, earlier, baselines)
        verdict = self._late.judge(report, self._alerts, self._known_of_whole())
        self._go_on(verdict.state, verdict.alerts)

    def _take(self, reports: list[WindowReport], baselines: Mapping[str, Baseline]) -> None:
        for shared, some in groupby(reports, lambda it: self._shared(it, baselines)):
            if shared is not None:
                self._run(list(some), shared, baselines)
                continue
            for report in some:
                self._judge(self._step(report, baselines) if self._needs_evidence else report)
        self._late.note(reports)

    def end(self, through: int | None = None) -> list[PastEpisode]:
        """Return the episodes, those that go on with what they have lasted.

        ``through`` is up to when it is known whether something came, if that is known.
        """
        through = self._through if through is None else through
        self._pass_time(through)
        if self._gaps.is_end(self._through, through):
            self._forget(through)
        for one in self._open.values():
            ends_at = through if one.metric == SILENCE else self.span.last_window_end
            one.seconds = ends_at - one.starts_at
        self._open = {}
        return self.episodes

    # -- detector --------------------------------------------------------------------------------

    def _shared(
        self, report: WindowReport, baselines: Mapping[str, Baseline]
    ) -> tuple[str, int, int] | None:
        """Return what windows must share to be bounded together; None for one that can't be.

        The same baseline, length and budget.
        """
        if not self._needs_evidence or len(report.parts) != 1:
            return None
        [part] = report.parts
        if part.baseline not in baselines:
            return None
        layout = self._detector.layout_of(part.baseline, baselines[part.baseline])
        if not layout.names or (layout.daily is not None and self._observer is not None):
            return None
        return part.baseline, report.window_end - report.window_start, slices_of(report)

    def _step(self, report: WindowReport, baselines: Mapping[str, Baseline]) -> WindowReport:
        """Take a window as DETECT does; return its report with the evidence."""
        before = self._memory
        after, seen = self._detector.take(before, report, baselines, slices=slices_of(report))
        self._memory = after
        if after is not None and after is not before:
            moved = _longest(after) > 0
            if before is None or before.baseline != after.baseline:
                self._steps = 0
            else:
                moved = _longest(after) != _longest(before)
            self._note_steps(moved[None], [report])
        return seen

    def _run(
        self,
        reports: list[WindowReport],
        shared: tuple[str, int, int],
        baselines: Mapping[str, Baseline],
    ) -> None:
        baseline, _, slices = shared
        layout = self._detector.layout_of(baseline, baselines[baseline])
        if self._memory is None or self._memory.baseline != baseline:
            self._steps = 0
        memory, hours, _ = remembered(self._memory, baseline, layout)
        table = layout.counts([report.parts[0] for report in reports])
        numbers = layout.reference.counts.size + (0 if hours is None else hours.pooled.size)
        at_once = max(1, _NUMBERS_AT_ONCE // (len(LAMBDAS) * numbers))
        for start in range(0, len(reports), at_once):
            some, counts = reports[start : start + at_once], table[start : start + at_once]
            budget = self._detector.budget_of(some[0], slices, baselines[baseline])
            windows: WindowBatch | HourlyBatch
            if layout.daily is None or hours is None:
                windows = WindowBatch(layout.reference, memory, counts, [budget])
                if self._observer is not None:
                    self._observer.batch(some, layout, counts, windows, budget)
            else:
                ends = [(report.window_start, report.window_end) for report in some]
                windows = HourlyBatch(layout.daily, memory, hours, counts, ends, budget)
            self._note_steps(windows.moved, some)
            batch = _ReplayBatch(windows, memory, hours, some, counts, baseline, slices)
            self._judge_batch(batch, baselines)
            memory, hours = batch.after(len(some) - 1)
        self._memory = pack(memory, reports[-1].window_end, baseline, hours)

    def _judge_batch(self, batch: _ReplayBatch, baselines: Mapping[str, Baseline]) -> None:
        """Judge windows, with the evidence of those in which it may matter."""
        places: Sequence[int] = range(len(batch.reports))
        if self._observer is not None:
            places = ()
        elif self._level is not None:
            places = np.flatnonzero(batch.windows.beyond(self._level).any(axis=1)).tolist()
        taken = self._detector.take_together(list(map(batch.first, places)), baselines)
        seen = {at: it.report for at, it in zip(places, taken, strict=True)}
        for at, report in enumerate(batch.reports):
            # What fires by evidence may cease to in any window.
            if at not in seen and self._fires_by_evidence():
                [its] = self._detector.take_together([batch.first(at)], baselines)
                seen[at] = its.report
            self._judge(seen.get(at, report))

    def _fires_by_evidence(self) -> bool:
        return any(one.metric in OF_EVIDENCE for one in self._alerts.episodes)

    def _note_steps(self, moved: Bools, reports: Sequence[WindowReport]) -> None:
        """Find the window from which on all that is counted has been counted often enough."""
        steps = moved.cumsum(axis=0) + self._steps
        if self.span.memory_full_at is None:
            full = ((steps >= FULL_STEPS) | (steps == 0)).all(axis=1) & steps.any(axis=1)
            if full.any():
                self.span.memory_full_at = reports[int(full.argmax())].window_end
        self._steps = steps[-1]

    # -- time without windows --------------------------------------------------------------------

    def _pass_time(self, until: int) -> None:
        """Take in that no window came between the last one and ``until``."""
        if until > self._through or self._alerts.episodes:
            self._go_on(*self._gaps.alerts_until(self._through, until, self._alerts))

    def _forget(self, again: int) -> None:
        """End what fires after a silence that was too long, and begin anew at ``again``."""
        self._pass_time(self._through + self._gaps.longest(self._through))
        ended = self._gaps.forgotten(self._through, self._alerts)
        if self._observer is not None:
            self._observer.forget()
        self._memory, self._steps = None, 0
        self._through = again
        self._go_on(AlertState(), ended)

    # -- rules -----------------------------------------------------------------------------------

    def _judge(self, report: WindowReport) -> None:
        self._pass_time(report.window_start)
        self._through = report.window_end
        if self._drift_at is not None and report.window_start >= self._drift_at:
            self._drifted += 1
            if self.drift_from is None:
                self.drift_from = report.window_start
        whole = self._known_of_whole()
        verdict = evaluate(
            self._rules, report, self._alerts, distribution=no_distribution, whole=whole
        )
        self._go_on(verdict.state, verdict.alerts)

    def _go_on(self, state: AlertState, alerts: Sequence[Alert]) -> None:
        before = self._states[-1][1] if self._states else AlertState()
        if _held(before) != _held(state):
            self._states.append((self._through, state))
        self._alerts = state
        for alert in alerts:
            self._note(alert)

    def _known_of_whole(self) -> AlertState | None:
        """Return what is known of all the traffic once it has taken in the same window."""
        if self._whole is None:
            return None
        states = self._whole._states
        at = bisect_right(states, self._through, key=lambda it: it[0])
        return states[at - 1][1] if at else None

    def _note(self, alert: Alert) -> None:
        if alert.event == "firing":
            one = PastEpisode(
                **{name: getattr(alert, name) for name in _SHARED},
                signals=[it.signal for it in alert.signals],
                ends_at=None,
                seconds=0,
            )
            self._open[alert.fingerprint] = one
            self.episodes.append(one)
            self.drifted_when_fired[one.window_end] = self._drifted
        elif alert.event == "resolved":
            one = self._open.pop(alert.fingerprint)
            one.ends_at = alert.ends_at
            one.seconds = (alert.ends_at or one.starts_at) - one.starts_at


def _held(state: AlertState) -> set[tuple[str, str | None]]:
    return {(one.rule, one.signal) for one in state.episodes}


def _longest(memory: SliceMemory) -> Floats:
    """Return the events of each signal in the longest of its memories."""
    events: Floats = np.frombuffer(memory.total).reshape(len(LAMBDAS), -1)[-1]
    return events
