"""The alarms of a model's slices, as a calibration sees them in a replay. Pure."""

import math
from collections.abc import Sequence

import numpy as np

from tidegauge.backtest.diagnosis import AlarmCause, CountHistory
from tidegauge.backtest.promise import (
    LASTING_WINDOWS,
    SURE,
    Alarms,
    ScoreHistory,
    enough,
    least_nats,
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
            if not self.slice.segment:
                self.counts[baseline] = CountHistory(layout)
        there = np.array(
            [
                [name in its.signals and name not in report.segment for name in layout.names]
                for report, its in parts
            ]
        )
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
        self._wider = _round_down(min(its.highest_multiple() for its in self._scores))

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

    def promise(self, budget: float, times: float = 1.0) -> SignalPromise:
        """Return what the promise of a budget was worth for all signals together.

        The replay may have had another budget: then ``budget`` is so many ``times`` as large.
        """
        promised = times * sum(self._promised.values())
        own, wider = (
            (its, self._count(its, k * promised, k * budget, k, self.windows, 1))
            for its, k in ((self._together(k), k) for k in (1.0, self._wider))
        )
        return self._judged_by(None, self.windows, own, wider, 1)

    def _judged_by(
        self,
        name: str | None,
        windows: int,
        own: tuple[Alarms, PromiseCount],
        wider: tuple[Alarms, PromiseCount],
        signals: int,
    ) -> SignalPromise:
        verdict, enough_windows = _verdict(own, wider), None
        least = math.ceil(_LEAST_SECONDS / self._seconds * windows)
        if verdict == "kept" and least > windows:
            verdict, enough_windows = "too_little_history", least
        elif verdict == "too_little_history":
            ratio = min(max(wider[1].ratio / wider[0].each, _USUAL), _HIGHEST)
            needed = wider[0].each * enough((1 - SURE) / signals, ratio)
            more = math.ceil(needed / wider[1].promised * windows)
            enough_windows = max(more, windows + 1, least)
        return SignalPromise(
            signal=name,
            windows=windows,
            own=own[1],
            wider=wider[1],
            verdict=verdict,
            enough_windows=enough_windows,
            longest_alarm_windows=own[0].longest,
            causes=[],
        )

    def _count(
        self,
        alarms: Alarms,
        promised: float,
        allowed: float,
        multiple: float,
        windows: int,
        signals: int,
    ) -> PromiseCount:
        low, high = alarms.interval(promised, (1 - SURE) / signals)
        return PromiseCount(
            alarms_per_month=allowed,
            threshold_nats=float(np.median([its.threshold(multiple) for its in self._scores])),
            starts=len(alarms.starts),
            clumps=alarms.clumps,
            promised=promised,
            ratio=len(alarms.starts) / promised,
            low=low,
            high=high,
            in_alarm=alarms.windows / windows,
        )

    def promises(
        self, budget: float, baselines: dict[str, Baseline | None]
    ) -> tuple[SignalPromise, list[SignalPromise]]:
        """Return what the promise was worth for the model, and for its signals, the worst first."""
        own, wider = self._alarms(1.0), self._alarms(self._wider)
        number = len(self._promised)
        signals = []
        for name, promised in self._promised.items():
            windows = self._judged[name]
            counts = [
                (its[name], self._count(its[name], k * promised, k * budget, k, windows, number))
                for its, k in ((own, 1.0), (wider, self._wider))
            ]
            its = self._judged_by(name, windows, counts[0], counts[1], number)
            if its.verdict == "not_kept" or its.own.starts:
                its.causes = self._causes(name, its, baselines)
            signals.append(its)
        order = {"not_kept": 0, "too_little_history": 1, "kept": 2}
        signals.sort(key=lambda it: (order[it.verdict], -it.own.in_alarm, -it.wider.ratio))
        return self.promise(budget), signals

    def _causes(
        self, name: str, its: SignalPromise, baselines: dict[str, Baseline | None]
    ) -> list[AlarmCause]:
        """Return why, by the slice and the baseline with the most windows in alarm."""
        multiple = 1.0 if its.own.starts else self._wider
        found = [
            (int(one.scores[id].in_alarm(name, multiple)[1].sum()), place, id)
            for place, one in enumerate(self.slices)
            for id, counts in one.counts.items()
            if name in one.scores[id].names and counts.total.any()
        ]
        if not found:
            return []
        _, place, id = max(found, key=lambda it: it[0])
        one, baseline = self.slices[place], baselines[id]
        assert baseline is not None  # noqa: S101 - windows were scored by it
        starts, alarmed = one.scores[id].in_alarm(name, multiple)
        causes = one.counts[id].causes(name, baseline.signals[name], starts, alarmed)
        for cause in causes:
            cause.version = one.slice.version
        sure = its.verdict == "not_kept"
        return causes if sure else [it for it in causes if it.kind != "unknown"]

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


def _verdict(own: tuple[Alarms, PromiseCount], wider: tuple[Alarms, PromiseCount]) -> Verdict:
    """Return whether the counts of alarms at two budgets say that they were kept."""
    if any(its.clumps >= _LEAST_CLUMPS and count.low > 1 for its, count in (own, wider)):
        return "not_kept"
    if own[0].longest >= LASTING_WINDOWS:
        return "not_kept"
    kept = wider[1].high <= 1 and wider[0].longest < LASTING_WINDOWS
    return "kept" if kept else "too_little_history"


def _round_down(multiple: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 … that is no larger.

    >>> _round_down(1.9), _round_down(74.0), _round_down(200.0)
    (1.0, 50.0, 200.0)
    """
    power = 10.0 ** math.floor(math.log10(multiple))
    return power * next(it for it in (5.0, 2.0, 1.0) if it * power <= multiple * (1 + 1e-9))
