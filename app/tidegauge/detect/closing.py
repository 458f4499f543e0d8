"""Closing windows: from the state of a partition to reports, alerts, actions and audit. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tidegauge.baseline.compare import distribution
from tidegauge.contract import (
    Action,
    Alert,
    Distribution,
    Record,
    SignalHistogram,
    WindowReport,
    encode,
)
from tidegauge.detect.partition import PartitionState, Window
from tidegauge.detect.report import SCORE_SECONDS, make_report
from tidegauge.detect.values import Output, ScoreSum, Slice, SliceState, WindowMark
from tidegauge.rules import RuleSet, Verdict, evaluate
from tidegauge.settings import TopicSettings


@dataclass
class Closed:
    """What one pass over the due windows led to."""

    reports: list[WindowReport] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    #: Slices whose outbox holds what this pass has to publish.
    slices: set[Slice] = field(default_factory=set)


class Judged(NamedTuple):
    """A window with its report and what the rules say of it.

    The ``data`` of a retrain action is still to be filled in.
    """

    window: Window
    report: WindowReport
    score: ScoreSum
    verdict: Verdict


class Closing:
    """One pass: closes windows one by one, each slice's in the order of their ends."""

    def __init__(
        self,
        state: PartitionState,
        *,
        rules: RuleSet,
        topics: TopicSettings,
    ) -> None:
        self._state = state
        self._rules = rules
        self._topics = topics
        self.closed = Closed()

    def judge(self, window: Window) -> Judged:
        """Report a window for the first time and judge it; nothing is changed by that."""
        before = self._state.slices.get(window.slice, SliceState())
        report, score = self._report(window, before, revision=0)
        verdict = evaluate(self._rules, report, before.alerts, distribution=self._distribution)
        return Judged(window, report, score, verdict)

    def take(self, judged: Judged) -> None:
        """Let the slice's state take in a judged window, with what has to be published for it."""
        window, report, score, verdict = judged
        before = self._state.slices.get(window.slice, SliceState())
        last_end = max(before.last_end, window.end)
        scores = [s for s in (*before.scores, score) if s.window_end > last_end - SCORE_SECONDS]
        after = msgspec.structs.replace(
            before, last_end=last_end, scores=scores, alerts=verdict.state
        )
        outputs = [self._window_output(report)]
        outputs += [_output(self._topics.alerts, a.fingerprint, a) for a in verdict.alerts]
        outputs += [_output(self._topics.actions, a.id, a) for a in verdict.actions]
        outputs += [_output(self._topics.audit, report.model, a) for a in verdict.audit]
        self._advance(window, after, report, outputs)
        self.closed.alerts += verdict.alerts
        self.closed.actions += verdict.actions

    def revise(self, window: Window) -> None:
        """Report a window again that late events have changed. Alerts look forward only."""
        before = self._state.slices[window.slice]
        mark = before.marks[window.start]
        report, score = self._report(window, before, revision=mark.revision + 1)
        if report.events != mark.events:
            scores = [score if s.window_end == window.end else s for s in before.scores]
            after = msgspec.structs.replace(before, scores=scores)
            self._advance(window, after, report, [self._window_output(report)])

    def _report(
        self, window: Window, before: SliceState, *, revision: int
    ) -> tuple[WindowReport, ScoreSum]:
        progress = self._state.progress
        return make_report(
            window,
            self._state.parts(window),
            baselines=self._state.baselines,
            sources=progress.sources,
            # A revision replaces the window's own score, which is among those remembered.
            scores=[score for score in before.scores if score.window_end != window.end],
            revision=revision,
            closed_by=progress.watermark,
        )

    def _advance(
        self, window: Window, state: SliceState, report: WindowReport, outputs: list[Output]
    ) -> None:
        """Take one step of the slice's fold; earlier outputs of the same pass stay to be sent."""
        mark = WindowMark(seconds=window.seconds, revision=report.revision, events=report.events)
        waiting = state.outbox if window.slice in self.closed.slices else []
        self._state.set_slice(
            window.slice,
            msgspec.structs.replace(
                state,
                step=state.step + 1,
                marks={**state.marks, window.start: mark},
                outbox=[*waiting, *outputs],
                outbox_step=state.step + 1,
            ),
        )
        self.closed.slices.add(window.slice)
        self.closed.reports.append(report)

    def _window_output(self, report: WindowReport) -> Output:
        name = [report.model, report.version, report.variant, *sorted(report.segment.items())]
        return _output(self._topics.windows, msgspec.json.encode(name).decode(), report)

    def _distribution(
        self, baseline_id: str, signal: str, histogram: SignalHistogram
    ) -> Distribution | None:
        baseline = self._state.baselines.get(baseline_id)
        reference = baseline and baseline.signals.get(signal)
        return distribution(reference, histogram) if reference else None


def _output(topic: str, key: str, record: Record) -> Output:
    return Output(topic=topic, key=key, value=msgspec.Raw(encode(record)))
