"""The windows of one slice through rules and detector, as DETECT takes them but many at a time.

The scores of many windows are computed together, by the functions that DETECT calls for one; those
that can't be go through :class:`DriftDetector`, as all do there. What fires is for ``evaluate`` to
say, window by window, about the signals of which something can change. Nothing does where no alert
is pending or firing, no score is above the level that a rule asks for, and no other figure is on
the far side of its threshold. To know that takes a fraction of judging the window.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.alerting import SILENCE, AlertState, RuleSet, evaluate
from tidegauge.backtest.evidence import OF_EVIDENCE, JudgedWindows, RequiredMetrics
from tidegauge.backtest.irregular import Gaps, LateReports
from tidegauge.backtest.records import slices_of
from tidegauge.backtest.result import PastEpisode, SliceSpan
from tidegauge.baseline import Baseline
from tidegauge.config import WindowSettings
from tidegauge.contract import Alert, Evidence, SignalReport, WindowReport
from tidegauge.sequential import LAMBDAS, Budget, Memory, WindowBatch
from tidegauge.windows import BaselineLayout, DriftDetector, SliceMemory, pack, unpack

#: Steps after which what came before has a weight of e^-4 in the longest memory.
FULL_STEPS = round(4 / min(LAMBDAS))

#: Numbers in the memories of the windows that are judged at a time: 16 MB.
_NUMBERS_AT_ONCE = 2_000_000


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
    ) -> None:
        """``whole``: of all the traffic, if this is of a segment; it takes a window first."""
        self._rules = rules
        self._gaps = Gaps(rules, windows or WindowSettings(), first)
        #: Start of the first window, then the end of the last one that was judged.
        self._through = first.window_start
        self._detector = DriftDetector(alarms_of)
        self._required = RequiredMetrics(rules, first)
        settings = windows or WindowSettings()
        self._late = LateReports(
            rules, self._detector, self._required, settings.grace_seconds + settings.late_seconds
        )
        self._memory: SliceMemory | None = None
        self._alerts = AlertState()
        self._whole = whole
        #: By the end of the window that led to it, every state with other episodes than before.
        self._states: list[tuple[int, AlertState]] = []
        self._steps: npt.NDArray[np.int64] | None = None
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
        lives: list[list[WindowReport]] = [[]]
        for report in reports:
            is_passed = report.window_end <= self.span.last_window_end
            if report.revision or is_passed:
                # It opened after a later one had closed, or late events came to it.
                self.span.passed_by += not report.revision
                self._take_lives(lives, baselines)
                lives = [[]]
                self._take_late(report, baselines)
                continue
            if self._gaps.is_end(self.span.last_window_end, report.window_start):
                lives.append([])
            lives[-1].append(report)
            self.span.windows += 1
            self.span.last_window_end = report.window_end
        self._take_lives(lives, baselines)

    def _take_lives(
        self, lives: Sequence[list[WindowReport]], baselines: Mapping[str, Baseline]
    ) -> None:
        for number, later in enumerate(lives):
            if number:
                self._forget(later[0].window_start)
            if later:
                self._take(later, baselines)
                self._late.note(later, baselines)

    def _take_late(self, report: WindowReport, baselines: Mapping[str, Baseline]) -> None:
        if not self._late.knows(report):
            return
        if self._required.evidence:
            self._memory = self._late.add(self._memory, report, baselines)
        verdict = self._late.judge(report, self._alerts, self._known_of_whole())
        self._late.note([report], baselines)
        self._go_on(verdict.state)
        for alert in verdict.alerts:
            self._note(alert)

    def _take(self, later: list[WindowReport], baselines: Mapping[str, Baseline]) -> None:
        if not self._required.evidence:
            for report in later:
                self._judge(report, self._concerned(report))
            return
        for baseline, some in groupby(later, key=lambda it: self._only_baseline(it, baselines)):
            run = list(some)
            if baseline is None:
                for report in run:
                    self._step(report, baselines)
            else:
                self._run(run, baseline, baselines)

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

    def _only_baseline(
        self, report: WindowReport, baselines: Mapping[str, Baseline]
    ) -> tuple[str, int, int] | None:
        """Return what windows must share to be judged together; None for one that can't be.

        The same baseline, length and budget.
        """
        if len(report.parts) != 1 or report.parts[0].baseline not in baselines:
            return None
        baseline = report.parts[0].baseline
        layout = self._detector.layout_of(baseline, baselines[baseline])
        if not layout.names or layout.daily is not None:
            return None
        return baseline, report.window_end - report.window_start, slices_of(report)

    def _step(self, report: WindowReport, baselines: Mapping[str, Baseline]) -> None:
        before = self._memory
        self._memory, seen = self._detector.take(
            before, report, baselines, slices=slices_of(report)
        )
        if self._memory is not before and self._memory is not None:
            if before is None or before.baseline != self._memory.baseline:
                self._steps = None
            if self._steps is not None:
                self._steps += 1
        self._judge(seen, None)

    def _run(
        self,
        reports: list[WindowReport],
        shared: tuple[str, int, int],
        baselines: Mapping[str, Baseline],
    ) -> None:
        baseline, _, slices = shared
        layout = self._detector.layout_of(baseline, baselines[baseline])
        if self._memory is not None and self._memory.baseline == baseline:
            memory = unpack(self._memory, layout.reference)
        else:
            memory, self._steps = Memory.empty(*layout.reference.counts.shape), None
        table = layout.counts([report.parts[0] for report in reports])
        at_once = max(1, _NUMBERS_AT_ONCE // (len(LAMBDAS) * table[0].size))
        for start in range(0, len(reports), at_once):
            some = slice(start, start + at_once)
            budget = self._detector.budget_of(reports[start], slices)
            batch = WindowBatch(layout.reference, memory, table[some], [budget])
            memory = batch.memory
            self._note_steps(batch, reports[some])
            self._judge_run(batch, reports[some], layout, budget)
        self._memory = pack(memory, reports[-1].window_end, baseline)

    def _judge_run(
        self,
        batch: WindowBatch,
        reports: list[WindowReport],
        layout: BaselineLayout,
        budget: Budget,
    ) -> None:
        level = self._required.level
        asked = np.ones_like(batch.moved) if level is None else batch.beyond(level)
        judged = JudgedWindows(batch, layout, budget, asked)
        for at, report in enumerate(reports):
            concerned = self._concerned(report)
            evidence = judged.asked(at)
            concerned |= evidence.keys()
            known = self._known_by_evidence()
            if not (evidence or known):
                self._judge(report, concerned)
                continue
            # What ceases to fire is above the level no more, but is to be known all the same.
            evidence |= judged.of(at, {it for it in known if it} - evidence.keys())
            [part] = report.parts
            part = msgspec.structs.replace(
                part,
                signals={
                    name: _with(signal, evidence.get(name))
                    for name, signal in part.signals.items()
                    if name in concerned or name in _ALWAYS
                },
                alarm_budget=judged.budget(at),
                pattern=(
                    judged.pattern(at, part, report.segment) if self._required.together else None
                ),
            )
            self._judge(msgspec.structs.replace(report, parts=[part]), concerned)

    def _note_steps(self, batch: WindowBatch, reports: list[WindowReport]) -> None:
        """Find the window from which on all that is counted has been counted often enough."""
        moved = batch.moved
        steps = moved.cumsum(axis=0) + (0 if self._steps is None else self._steps)
        if self.span.memory_full_at is None:
            full = ((steps >= FULL_STEPS) | (steps == 0)).all(axis=1) & steps.any(axis=1)
            if full.any():
                self.span.memory_full_at = reports[int(full.argmax())].window_end
        self._steps = steps[-1]

    # -- time without windows --------------------------------------------------------------------

    def _pass_time(self, until: int) -> None:
        """Take in that no window came between the last one and ``until``."""
        if until > self._through or self._alerts.episodes:
            state, alerts = self._gaps.alerts_until(self._through, until, self._alerts)
            self._go_on(state)
            for alert in alerts:
                self._note(alert)

    def _forget(self, again: int) -> None:
        """End what fires after a silence that was too long, and begin anew at ``again``."""
        self._pass_time(self._through + self._gaps.longest(self._through))
        for alert in self._gaps.forgotten(self._through, self._alerts):
            self._note(alert)
        self._memory, self._steps = None, None
        self._through = again
        self._go_on(AlertState())

    # -- rules -----------------------------------------------------------------------------------

    def _known_by_evidence(self) -> set[str | None]:
        return {one.signal for one in self._alerts.episodes if one.metric in OF_EVIDENCE}

    def _concerned(self, report: WindowReport) -> set[str | None]:
        """Return signals of which a rule may hold or cease to, None for the window itself."""
        return self._required.may_hold(report) | {one.signal for one in self._alerts.episodes}

    def _judge(self, report: WindowReport, concerned: set[str | None] | None) -> None:
        """Judge a window by what is known to be concerned; None: anything may be."""
        self._pass_time(report.window_start)
        self._through = report.window_end
        if self._drift_at is not None and report.window_start >= self._drift_at:
            self._drifted += 1
            if self.drift_from is None:
                self.drift_from = report.window_start
        if concerned is not None:
            if not concerned:
                return
            report = _only(report, concerned)
        verdict = evaluate(
            self._rules, report, self._alerts, distribution=_without, whole=self._known_of_whole()
        )
        self._go_on(verdict.state)
        for alert in verdict.alerts:
            self._note(alert)

    def _go_on(self, state: AlertState) -> None:
        before = self._states[-1][1] if self._states else AlertState()
        if _held(before) != _held(state):
            self._states.append((self._through, state))
        self._alerts = state

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


#: What an episode has of the alert that it began with.
_SHARED = [
    name for name in PastEpisode.__struct_fields__ if name not in ("signals", "ends_at", "seconds")
]

#: What figures of the window rest on.
_ALWAYS = frozenset({"latency_ms"})


def _only(report: WindowReport, signals: set[str | None]) -> WindowReport:
    """Return a report of these signals alone: rules look at each by itself."""
    parts = [
        msgspec.structs.replace(
            part,
            signals={
                name: it for name, it in part.signals.items() if name in signals or name in _ALWAYS
            },
        )
        for part in report.parts
    ]
    return msgspec.structs.replace(report, parts=parts)


def _with(signal: SignalReport, evidence: Evidence | None) -> SignalReport:
    return signal if evidence is None else msgspec.structs.replace(signal, evidence=evidence)


def _without(baseline: str, signal: str, histogram: object) -> None:
    """Show no counts: nobody reads these alerts."""
