"""Closing windows: from the state of a partition to reports, alerts, actions and audit. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from tidegauge.baseline.compare import distribution
from tidegauge.contract import (
    Action,
    Alert,
    AuditFact,
    Distribution,
    SignalHistogram,
    WindowReport,
)
from tidegauge.detect.partition import Counts, DataWanted, Output, PartitionState, Window
from tidegauge.detect.report import SCORE_SECONDS, Asked, make_reports
from tidegauge.detect.values import ScoreSum, Slice, SliceState, WindowMark
from tidegauge.detect.watch import First, Watch
from tidegauge.rules import RuleSet, evaluate, links_of
from tidegauge.settings import LinkSettings, TopicSettings

NO_LINKS = LinkSettings()


@dataclass
class Closed:
    """What one record led to.

    ``silent`` are slices of which something was told because nothing comes of them.
    """

    reports: list[WindowReport] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    silent: list[Slice] = field(default_factory=list)
    forgotten: list[Slice] = field(default_factory=list)


def alert_outputs(
    alerts: Sequence[Alert], topics: TopicSettings, links: LinkSettings
) -> Iterator[Output]:
    """Yield what to publish of alerts, which get their links."""
    for alert in alerts:
        alert.links = links_of(alert, dashboard=links.dashboard, runbook=links.runbook)
        # What is in force now is in the history already.
        for topic in (topics.alerts_history, topics.alerts):
            yield Output(topic, alert.fingerprint, alert)


class Closing:
    """Closes windows, each slice's one by one in the order of their ends."""

    def __init__(
        self,
        state: PartitionState,
        *,
        rules: RuleSet,
        topics: TopicSettings,
        watch: Watch,
        links: LinkSettings = NO_LINKS,
    ) -> None:
        self._state = state
        self._watch = watch
        self._rules = rules
        self._topics = topics
        self._links = links
        self.closed = Closed()

    def close_together(self, some: Sequence[Counts]) -> None:
        """Report windows of different slices for the first time, judge them, and fold them in.

        The same as one after the other, and in less time.
        """
        before = [
            self._state.slices.get(it.window.slice) or SliceState(began=it.window.end)
            for it in some
        ]
        reported = self._reports(
            [_asked(*pair, revision=0) for pair in zip(some, before, strict=True)]
        )
        memories = [self._state.memories.get(it.window.slice) for it in some]
        firsts = [
            First(memory, report, counts.slices)
            for memory, (report, _), counts in zip(memories, reported, some, strict=True)
        ]
        taken = self._watch.take_together(firsts, self._state.baselines)
        for counts, was, (_, score), remembered, (memory, report) in zip(
            some, before, reported, memories, taken, strict=True
        ):
            if memory is not None and memory is not remembered:
                self._state.remember(counts.window.slice, memory)
            self._judge(counts, was, report, score)

    def _judge(
        self, counts: Counts, before: SliceState, report: WindowReport, score: ScoreSum
    ) -> None:
        window = counts.window
        verdict = evaluate(self._rules, report, before.alerts, distribution=self._distribution)
        last_end = max(before.last_end, window.end)
        scores = [s for s in (*before.scores, score) if s.window_end > last_end - SCORE_SECONDS]
        after = msgspec.structs.replace(
            before,
            last_end=last_end,
            scores=scores,
            alerts=verdict.state,
            based=before.based or any(part.baseline for part in report.parts),
        )
        self._advance(window, after, report)
        self._state.closed(counts)
        topics = self._topics
        self._state.outputs += [
            *alert_outputs(verdict.alerts, topics, self._links),
            *(self._action_output(action, counts) for action in verdict.actions),
            *(
                Output(topics.audit_facts, report.model, self._dated(fact, counts))
                for fact in verdict.audit
            ),
        ]
        self.closed.alerts += verdict.alerts
        self.closed.actions += verdict.actions

    def revise(self, window: Window) -> None:
        """Report a window again that late events have changed. Alerts look forward only."""
        before = self._state.slices[window.slice]
        mark = before.marks[window.start]
        asked = _asked(self._state.counts(window), before, revision=mark.revision + 1)
        ((report, score),) = self._reports([asked])
        scores = [score if s.window_end == window.end else s for s in before.scores]
        self._advance(window, msgspec.structs.replace(before, scores=scores), report)

    def _action_output(self, action: Action, counts: Counts) -> Output:
        wanted = self._data(counts) if action.kind == "retrain" else None
        return Output(self._topics.actions, action.id, action, wanted)

    def _data(self, counts: Counts) -> DataWanted:
        topic = self._topics.predictions
        return DataWanted(topic, counts.covered[topic], counts.window.end)

    def _dated(self, fact: AuditFact, counts: Counts) -> AuditFact:
        """Name the data of a retraining, as far as the log alone tells it."""
        if fact.inputs.get("action") != "retrain":
            return fact
        data = self._data(counts)
        offsets = (f"{data.topic}/{p}@{to}" for p, to in sorted(data.covered.items()))
        named = {
            "data_since": str(data.since),
            "data_until": str(data.until),
            "data_offsets": " ".join(offsets),
        }
        return msgspec.structs.replace(fact, inputs=fact.inputs | named)

    def _reports(self, asked: Sequence[Asked]) -> list[tuple[WindowReport, ScoreSum]]:
        return make_reports(
            asked, baselines=self._state.baselines, comparisons=self._watch.comparisons
        )

    def _advance(self, window: Window, state: SliceState, report: WindowReport) -> None:
        """Take one step of the slice's fold."""
        mark = WindowMark(seconds=window.seconds, revision=report.revision, events=report.events)
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
        reference = baseline and baseline.signals.get(signal)
        return distribution(reference, histogram) if reference else None


def _asked(counts: Counts, before: SliceState, *, revision: int) -> Asked:
    end = counts.window.end
    # A revision replaces the window's own score, which is among those remembered.
    return Asked(counts, [score for score in before.scores if score.window_end != end], revision)
