"""The alarms of a model's slices, as a calibration sees them in a replay. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tidegauge.backtest.diagnosis import AlarmCause, CountHistory
from tidegauge.backtest.promise import (
    LASTING_WINDOWS,
    SURE,
    Alarms,
    ScoreHistory,
    enough,
    least_nats,
    round_down,
    slope_of,
)
from tidegauge.backtest.result import PromiseCount, SignalPromise, Verdict
from tidegauge.baseline import Baseline
from tidegauge.contract import ReportPart, WindowReport
from tidegauge.sequential import BatchInput, BatchResult, Budget, WindowBatch
from tidegauge.stats import Floats
from tidegauge.windows import BaselineLayout, Slice

#: Two separate times, at the least, or one drift that nobody named would break the promise.
_LEAST_CLUMPS = 2

#: A shorter history can't show a cycle of the day.
_LEAST_SECONDS = 2 * 86_400

#: Ratios between which a longer history is taken to have its own.
_USUAL, _HIGHEST = 0.5, 0.9


class SliceHistory:
    """Sees the scores of a slice, by the baseline of its windows: a ``ScoreObserver``."""

    def __init__(self, key: Slice) -> None:
        self.slice = key
        self.scores: dict[str, ScoreHistory] = {}
        #: Those of segments would take too much memory.
        self.counts: dict[str, CountHistory] = {}
        self.seconds = 0
        #: Those of the baselines, why no number of alarms can be promised.
        self.reasons: set[str] = set()
        self._slopes: dict[str, float] = {}

    @property
    def is_scored(self) -> bool:
        """Whether any window had a signal with enough events."""
        return any(it.is_scored for it in self.scores.values())

    def forget(self) -> None:
        """Take in that what comes next begins with empty memories."""
        for its in self.scores.values():
            its.forget()

    def batch(
        self,
        reports: Sequence[WindowReport],
        layout: BaselineLayout,
        counts: Floats,
        scored: WindowBatch,
        budget: Budget,
    ) -> None:
        """Take in windows that were judged together."""
        parts = [(report, report.parts[0]) for report in reports]
        at, baseline = scored.thresholds[:, 0], parts[0][1].baseline
        self._slopes[baseline] = slope_of(budget, layout.reference, scored.events[-1], None, at)
        found = scored.largest(least_nats(scored.thresholds))
        self._add(parts, layout, counts, found, scored.events[:, 0], at, budget)

    def window(
        self,
        report: WindowReport,
        part: ReportPart,
        layout: BaselineLayout,
        turn: BatchInput,
        judged: BatchResult,
    ) -> None:
        """Take in a window that was judged alone."""
        verdict, surprises = judged.verdict, judged.strongest.surprises[None]
        at = np.array([verdict.threshold])
        if part.baseline not in self._slopes and (verdict.events > 0).any():
            compared = verdict.expected.events if verdict.expected else None
            self._slopes[part.baseline] = slope_of(
                turn.budget, layout.reference, verdict.events, compared, at
            )
        its = turn.window[None], surprises, verdict.events[:1], at, turn.budget
        self._add([(report, part)], layout, *its)

    def _add(
        self,
        parts: Sequence[tuple[WindowReport, ReportPart]],
        layout: BaselineLayout,
        counts: Floats,
        surprises: Floats,
        events: Floats,
        at: Floats,
        budget: Budget,
    ) -> None:
        first, baseline = parts[0][0], parts[0][1].baseline
        seconds = first.window_end - first.window_start
        if baseline not in self.scores:
            self.scores[baseline] = ScoreHistory(layout)
            self.reasons |= set(layout.reasons)
            if not self.slice.segment:
                self.counts[baseline] = CountHistory(layout)
        there = np.array([layout.in_part(its, report.segment) for report, its in parts])
        starts = np.array([report.window_start for report, _ in parts], dtype=np.int64)
        self.scores[baseline].add(
            starts,
            seconds,
            np.where(there, surprises, 0.0),
            np.where(there, events, 0.0) > 0,
            at,
            self._slopes.get(baseline, 1.0),
            budget,
        )
        if baseline in self.counts:
            self.counts[baseline].add(starts, seconds, counts)
        self.seconds = max(self.seconds, seconds)


class _AlarmsOf(NamedTuple):
    """Alarms of a signal, or of all, by the model's own budget and by the wider one."""

    own: Alarms
    wider: Alarms
    counts: tuple[PromiseCount, PromiseCount]

    def _breaks(self, at: int) -> bool:
        alarms, count = (self.own, self.wider)[at], self.counts[at]
        return alarms.clumps >= _LEAST_CLUMPS and count.low > 1

    @property
    def exceeds_wider(self) -> bool:
        """Whether more alarms started by the wider budget than chance allows."""
        return self._breaks(1)

    def verdict(self, explained: bool) -> Verdict:
        """Return whether the promise was kept.

        The baseline's own error is the same in every window: at low thresholds some baselines have
        many times the alarms that the average one has, and at the own one none. So a wider budget
        that was exceeded counts only if the counts explain it. If they explain more alarms, to keep
        the wider budget says too little of the own one, which has a higher threshold.
        """
        if self.own.longest >= LASTING_WINDOWS or self._breaks(0):
            return "not_kept"
        if self.exceeds_wider:
            return "not_kept" if explained else "too_little_history"
        is_short = self.wider.longest < LASTING_WINDOWS
        kept = self.counts[1].high <= 1 and is_short and not explained
        return "kept" if kept else "too_little_history"

    def enough(self, signals: int, explained: bool) -> float:
        """Return how many times as much history would tell whether the promise is kept."""
        alpha, (own, wider) = (1 - SURE) / signals, self.counts
        if self.exceeds_wider or explained:
            return enough(alpha) / own.promised
        each = self.wider.each
        ratio = min(max(wider.ratio / each, _USUAL), _HIGHEST)
        return each * enough(alpha, ratio) / wider.promised


class ModelHistory:
    """What was seen of the slices of a model."""

    def __init__(self, slices: Sequence[SliceHistory]) -> None:
        self.slices = slices
        self._scores = [its for one in slices for its in one.scores.values() if its.is_scored]
        self.windows = sum(its.scored_windows for its in self._scores)
        begins, ends = zip(*(its.span for its in self._scores), strict=True)
        self._seconds = max(ends) - min(begins)
        self._promised: dict[str, float] = {}
        self._judged: dict[str, int] = {}
        for its in self._scores:
            for name, promised, judged in zip(its.names, its.promised, its.judged, strict=True):
                if judged:
                    self._promised[name] = self._promised.get(name, 0.0) + float(promised)
                    self._judged[name] = self._judged.get(name, 0) + int(judged)
        self._wider = round_down(min(its.highest_multiple() for its in self._scores))

    def _alarms(self, multiple: float) -> dict[str, Alarms]:
        each = [its.alarms(multiple) for its in self._scores]
        return {
            name: Alarms.joined(its[name] for its in each if name in its) for name in self._promised
        }

    def _together(self, multiple: float) -> Alarms:
        joined = Alarms.joined(self._alarms(multiple).values())
        return joined._replace(windows=sum(its.windows_in_alarm(multiple) for its in self._scores))

    def keeps(self, multiple: float) -> bool:
        """Whether no more alarms start at so many times the budget than the budget promised."""
        found = self._together(multiple)
        return len(found.starts) <= sum(self._promised.values()) and found.longest < LASTING_WINDOWS

    def tried(self, budget: float, times: float = 1.0) -> SignalPromise:
        """Return what the promise of ``budget`` to the model is worth in a replay with a remedy.

        Its own budget may be another: so many ``times`` smaller.
        """
        its = self._whole(budget, times)
        return self._promise(None, its, self.windows, 1, explained=its.exceeds_wider)

    def promises(
        self, budget: float, baselines: Mapping[str, Baseline | None]
    ) -> tuple[SignalPromise, list[SignalPromise]]:
        """Return what the promise was worth for the model, and for its signals, the worst first."""
        alarms = self._alarms(1.0), self._alarms(self._wider)
        number, signals = len(self._promised), []
        for name, promised in self._promised.items():
            both, windows = (alarms[0][name], alarms[1][name]), self._judged[name]
            its = self._counts(both, promised, budget, windows, number)
            causes = self._causes(name, baselines)
            # The error of a small baseline tells nothing of lower or higher budgets.
            explained = any(it.kind != "small_baseline" for it in causes)
            one = self._promise(name, its, windows, number, explained=explained)
            if one.verdict == "not_kept":
                one.causes = causes or [AlarmCause(kind="unknown")]
            elif explained:
                one.causes = causes
            signals.append(one)
        order = {"not_kept": 0, "too_little_history": 1, "kept": 2}
        signals.sort(key=lambda it: (order[it.verdict], -it.own.in_alarm, -it.wider.ratio))
        explained = any(it.causes for it in signals)
        return self._promise(None, self._whole(budget), self.windows, 1, explained), signals

    def _whole(self, budget: float, times: float = 1.0) -> _AlarmsOf:
        promised = times * sum(self._promised.values())
        both = self._together(1.0), self._together(self._wider)
        return self._counts(both, promised, budget, self.windows, 1)

    def _counts(
        self,
        both: tuple[Alarms, Alarms],
        promised: float,
        budget: float,
        windows: int,
        signals: int,
    ) -> _AlarmsOf:
        counts = []
        for alarms, multiple in zip(both, (1.0, self._wider), strict=True):
            low, high = alarms.interval(multiple * promised, (1 - SURE) / signals)
            thresholds = [its.threshold(multiple) for its in self._scores]
            counts.append(
                PromiseCount(
                    alarms_per_month=multiple * budget,
                    threshold_nats=float(np.median(thresholds)),
                    starts=len(alarms.starts),
                    clumps=alarms.clumps,
                    promised=multiple * promised,
                    ratio=len(alarms.starts) / (multiple * promised),
                    low=low,
                    high=high,
                    in_alarm=alarms.windows / windows,
                )
            )
        return _AlarmsOf(*both, (counts[0], counts[1]))

    def _promise(
        self, name: str | None, its: _AlarmsOf, windows: int, signals: int, explained: bool
    ) -> SignalPromise:
        verdict, enough_windows = its.verdict(explained), None
        least = math.ceil(_LEAST_SECONDS / self._seconds * windows)
        if verdict == "kept" and least > windows:
            verdict, enough_windows = "too_little_history", least
        elif verdict == "too_little_history":
            enough_windows = max(
                math.ceil(its.enough(signals, explained) * windows), windows + 1, least
            )
        return SignalPromise(
            signal=name,
            windows=windows,
            own=its.counts[0],
            wider=its.counts[1],
            verdict=verdict,
            enough_windows=enough_windows,
            longest_alarm_windows=its.own.longest,
            causes=[],
        )

    def _causes(self, name: str, baselines: Mapping[str, Baseline | None]) -> list[AlarmCause]:
        """Return why, by the slice and the baseline with the most windows in alarm."""
        found = [
            (int(one.scores[id].in_alarm(name)[1].sum()), one.scores[id].scored_windows, place, id)
            for place, one in enumerate(self.slices)
            for id, counts in one.counts.items()
            if name in one.scores[id].names and counts.total.any()
        ]
        if not found:
            return []
        *_, place, id = max(found)
        one, baseline = self.slices[place], baselines[id]
        assert baseline is not None  # noqa: S101 - windows were scored by it
        causes = one.counts[id].causes(name, baseline.signals[name], *one.scores[id].in_alarm(name))
        for cause in causes:
            cause.version = one.slice.version
        return causes

    def counted(self, names: Sequence[str], since: int, until: int) -> dict[str, Floats]:
        """Return the counts of signals in the windows of all traffic between two epoch seconds.

        By the baseline that most of these windows have; as many as there were before they were
        divided by a design effect.
        """
        most: dict[str, Floats] = {}
        for one in self.slices:
            for its in one.counts.values():
                for name, counts in its.counted(names, since, until).items():
                    if name not in most or counts.sum() > most[name].sum():
                        most[name] = counts
        return most
