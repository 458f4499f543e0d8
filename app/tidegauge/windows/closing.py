"""Closing windows: from the state of a partition to reports, alerts, actions and audit. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tidegauge.alerting import (
    AlertState,
    EvaluationResult,
    Revised,
    RuleSet,
    evaluate,
    evaluate_late,
)
from tidegauge.baseline import distribution
from tidegauge.config import LinkSettings, TopicSettings
from tidegauge.contract import (
    Action,
    DecodingError,
    Distribution,
    SignalHistogram,
    WindowReport,
)
from tidegauge.windows.drift_detector import DriftDetector, WindowInput
from tidegauge.windows.merging import misfits
from tidegauge.windows.outputs import (
    NO_LINKS,
    Closed,
    DataWanted,
    Failures,
    Output,
    Raising,
    alert_outputs,
    dated,
)
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.report import SCORE_SECONDS, ReportInput, make_reports
from tidegauge.windows.values import (
    Counts,
    ScoreSum,
    Slice,
    SliceMemory,
    SliceState,
    Window,
    WindowMark,
)


class _Made(NamedTuple):
    """A window's report, the slice before it, and what the detector remembers, if that changes."""

    before: SliceState
    report: WindowReport
    score: ScoreSum
    memory: SliceMemory | None


class _Judgement(NamedTuple):
    """What the rules make of a report: the slice after it, and what is published."""

    verdict: EvaluationResult
    after: SliceState
    held: list[str]
    outputs: list[Output]


class Closing:
    """Closes windows, each slice's one by one in the order of their ends."""

    def __init__(
        self,
        state: PartitionState,
        *,
        rules: RuleSet,
        topics: TopicSettings,
        watch: DriftDetector,
        links: LinkSettings = NO_LINKS,
        failures: Failures | None = None,
    ) -> None:
        self._state = state
        self._failures = failures or Raising()
        self._watch = watch
        self._rules = rules
        self._topics = topics
        self._links = links
        self.closed = Closed()

    def close_together(self, some: Sequence[Counts]) -> None:
        """Report windows of different slices for the first time, judge them, and fold them in.

        The same as one after the other, and in less time. One that can't be reported is let go, and
        the others are: what failed of several is done one by one.
        """
        try:
            made = self._made(some)
        except Exception as error:
            if len(some) > 1:
                for one in some:
                    self.close_together([one])
            else:
                self._close_what_fits(some[0], error)
            return
        for counts, report in zip(some, made, strict=True):
            try:
                judged = self._judged(counts, report)
            except Exception as error:
                self._let_go(counts, error)
            else:
                self._take_in(counts, report, judged)
                self._failures.went_well(counts.window.slice)

    def _close_what_fits(self, counts: Counts, error: Exception) -> None:
        """Close a window without the tenures that can't have counted it; if all fit, let it go."""
        found = misfits(counts.parts, self._state.baselines)
        if not found:
            # What the detector remembers of the slice may be the reason, and would stay it.
            self._state.forget_memory(counts.window.slice)
            self._let_go(counts, error)
            return
        for _, tenure, why in found:
            lost = DecodingError(f"what tenure {tenure} says is left out: {why}")
            self._failures.failed(counts.window.slice, f"window {counts.window.start}", lost)
        tenures = [(baseline, tenure) for baseline, tenure, _ in found]
        self._state.leave_out(counts.window, tenures)
        left = counts.without(tenures)
        if left.parts:
            self.close_together([left])
        else:
            self._let_go(left, error)

    def _let_go(self, counts: Counts, error: Exception) -> None:
        """Close a window without a report. Late events may make one, as a revision, that can be."""
        self._failures.window_failed(counts.window, error)
        window, state = counts.window, self._state
        before = self._before(counts)
        events = sum(one.events for part in counts.parts.values() for one in part.values())
        mark = WindowMark(seconds=window.seconds, revision=0, events=events)
        marks = {**before.marks, window.start: mark}
        after = msgspec.structs.replace(
            before, step=before.step + 1, last_end=max(before.last_end, window.end), marks=marks
        )
        state.set_slice(window.slice, after)
        state.closed(counts)

    def _before(self, counts: Counts) -> SliceState:
        return self._state.slices.get(counts.window.slice) or SliceState(began=counts.window.end)

    def _made(self, some: Sequence[Counts]) -> list["_Made"]:
        """Report windows, and take them in with the detector; changes nothing."""
        before = [self._before(it) for it in some]
        reported = self._reports(
            [_asked(*pair, revision=0) for pair in zip(some, before, strict=True)]
        )
        memories = [self._state.memories.get(it.window.slice) for it in some]
        firsts = [
            WindowInput(memory, report, counts.slices)
            for memory, (report, _), counts in zip(memories, reported, some, strict=True)
        ]
        taken = self._watch.take_together(firsts, self._state.baselines)
        made = []
        for was, (report, score), remembered, (memory, seen) in zip(
            before, reported, memories, taken, strict=True
        ):
            if memory is not None and report.window_end <= memory.through and memory is remembered:
                memory = self._watch.take_late(memory, report, None, self._state.baselines)
            made.append(_Made(was, seen, score, None if memory is remembered else memory))
        return made

    def _judged(self, counts: Counts, made: "_Made") -> "_Judgement":
        """Judge a window by the rules; changes nothing."""
        before, report = made.before, made.report
        verdict = evaluate(
            self._rules, report, before.alerts,
            distribution=self._distribution, whole=self._whole(report),
        )  # fmt: skip
        held: list[str] = []
        if verdict.stale:  # it opened after a later one had closed
            verdict, held = self._judge_late(report, None, before)
        last_end = max(before.last_end, counts.window.end)
        # Those windows that may be revised yet need what came before them once more.
        ends = [start + mark.seconds for start, mark in before.marks.items()]
        oldest = min([last_end, counts.window.end, *ends]) - SCORE_SECONDS
        scores = [s for s in (*before.scores, made.score) if s.window_end > oldest]
        after = msgspec.structs.replace(
            before,
            last_end=last_end,
            scores=scores,
            alerts=verdict.state,
            based=before.based or any(part.baseline for part in report.parts),
        )
        return _Judgement(verdict, after, held, self._outputs(verdict, counts))

    def _outputs(self, verdict: EvaluationResult, counts: Counts) -> list[Output]:
        topics = self._topics
        return [
            *alert_outputs(verdict.alerts, topics, self._links),
            *(self._action_output(action, counts) for action in verdict.actions),
            *(
                Output(topics.audit_facts, fact.model, dated(fact, self._data(counts)))
                for fact in verdict.audit
            ),
        ]

    def _take_in(self, counts: Counts, made: "_Made", judged: "_Judgement") -> None:
        if made.memory is not None:
            self._state.remember(counts.window.slice, made.memory)
        self._advance(counts.window, judged.after, made.report, judged.held)
        self._state.closed(counts)
        self._publish(judged.verdict, judged.outputs)

    def revise(self, window: Window) -> None:
        """Report a window again that late events have changed, and judge what that changes."""
        try:
            self._revise(window)
        except Exception as error:
            self._failures.window_failed(window, error)

    def _revise(self, window: Window) -> None:
        before = self._state.slices[window.slice]
        mark, memory = before.marks[window.start], self._state.memories.get(window.slice)
        counts, judged = self._state.counts(window), self._state.judged.get(window)
        asked = _asked(counts, before, revision=mark.revision + 1)
        ((report, score),) = self._reports([asked])
        scores = [score if s.window_end == window.end else s for s in before.scores]
        verdict, held = EvaluationResult(before.alerts, [], [], []), mark.held
        if judged is not None:
            earlier = self._earlier(counts._replace(parts=judged.parts), before, mark)
            memory = self._watch.take_late(memory, report, earlier, self._state.baselines)
            verdict, held = self._judge_late(report, earlier, before, held=mark.held)
        outputs = self._outputs(verdict, counts)
        self._state.take_judged(window)
        if memory is not None and memory is not self._state.memories.get(window.slice):
            self._state.remember(window.slice, memory)
        after = msgspec.structs.replace(before, scores=scores, alerts=verdict.state)
        self._advance(window, after, report, held)
        self._publish(verdict, outputs)
        if verdict.alerts:
            self.closed.late.append(window.slice)

    def _earlier(self, counts: Counts, before: SliceState, mark: WindowMark) -> WindowReport | None:
        """Return the last report of a window again; None if it was let go without one."""
        if not counts.parts:
            return None
        try:
            ((report, _),) = self._reports([_asked(counts, before, revision=mark.revision)])
        except Exception:
            # It failed as the window closed, and that was told then.
            return None
        if mark.prediction_mean_5m is not msgspec.UNSET:
            report.prediction_mean_5m = mark.prediction_mean_5m
        return report

    def _publish(self, verdict: EvaluationResult, outputs: Sequence[Output]) -> None:
        self._state.outputs += outputs
        self.closed.alerts += verdict.alerts
        self.closed.actions += verdict.actions

    def _judge_late(
        self,
        report: WindowReport,
        earlier: WindowReport | None,
        before: SliceState,
        held: Sequence[str] = (),
    ) -> Revised:
        return evaluate_late(
            self._rules, report, earlier, before.alerts,
            held=held, distribution=self._distribution, whole=self._whole(report),
        )  # fmt: skip

    def _whole(self, report: WindowReport) -> AlertState | None:
        """Return what is known of all the traffic, if the report is of a segment of it.

        All of a version's slices are in one partition, and of windows that are due at once that of
        all the traffic is judged first.
        """
        if not report.segment:
            return None
        state = self._state.slices.get(Slice.of(report).whole)
        return state.alerts if state else None

    def _action_output(self, action: Action, counts: Counts) -> Output:
        wanted = self._data(counts) if action.kind == "retrain" else None
        return Output(self._topics.actions, action.id, action, wanted)

    def _data(self, counts: Counts) -> DataWanted:
        topic = self._topics.predictions
        return DataWanted(topic, counts.covered[topic], counts.window.end)

    def _reports(self, asked: Sequence[ReportInput]) -> list[tuple[WindowReport, ScoreSum]]:
        return make_reports(
            asked, baselines=self._state.baselines, comparisons=self._watch.comparisons
        )

    def _advance(
        self, window: Window, state: SliceState, report: WindowReport, held: Sequence[str]
    ) -> None:
        """Take one step of the slice's fold."""
        mark = WindowMark(
            seconds=window.seconds,
            revision=report.revision,
            events=report.events,
            held=list(held),
            prediction_mean_5m=report.prediction_mean_5m,
        )
        self._state.set_slice(
            window.slice,
            msgspec.structs.replace(
                state, step=state.step + 1, marks={**state.marks, window.start: mark}
            ),
        )
        name = [report.model, report.version, report.variant, *sorted(report.segment.items())]
        key = msgspec.json.encode(name).decode()
        self._state.outputs.append(Output(self._topics.windows, key, report))
        self.closed.reports.append(report)

    def _distribution(
        self, baseline_id: str, signal: str, histogram: SignalHistogram
    ) -> Distribution | None:
        baseline = self._state.baselines.get(baseline_id)
        if baseline is None or signal not in baseline.signals:
            return None
        found = distribution(baseline.signals[signal], histogram)
        effect = baseline.design_effect(signal)
        return msgspec.structs.replace(found, design_effect=effect) if effect > 1 else found


def _asked(counts: Counts, before: SliceState, *, revision: int) -> ReportInput:
    end = counts.window.end
    # A revision replaces the window's own score, which is among those remembered.
    return ReportInput(
        counts, [score for score in before.scores if score.window_end != end], revision
    )
