"""The drift detector over the windows of a slice: what it remembers, and what it says of the next.

Windows are taken in once, when they are first reported, and in the order of their ends: one that
opened after a later one had closed is passed by, and so is what late events add. Where the baseline
changes inside a window, only the part counts that was binned by the one in use; a window without
such a part begins anew by the other.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tidegauge.baseline.compare import current_counts, ordered_bins, reference_counts
from tidegauge.baseline.document import Baseline
from tidegauge.contract import AlarmBudget, Evidence, ReportPart, WindowReport
from tidegauge.detect.values import SliceMemory
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.detector import Verdict, judge
from tidegauge.sequential.ewma import LAMBDAS, Memory
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.sequential.scores import SCORES

#: What budgets are of, seconds.
MONTH_SECONDS = 30 * 24 * 3600

Judge = Callable[[Reference, Memory, npt.NDArray[np.float64], Budget], Verdict]

_SPANS = [round(1 / weight) for weight in LAMBDAS]


class Watched(NamedTuple):
    """The signals of a baseline that can be watched, and how."""

    names: list[str]
    reference: Reference


class Watch:
    """Folds first reports into what is remembered. ``alarms_of``: a model's budget a month.

    ``judge`` takes :func:`tidegauge.sequential.detector.judge`'s place where many windows have been
    judged together.
    """

    def __init__(self, alarms_of: Callable[[str], float], judge: Judge = judge) -> None:
        self._alarms_of = alarms_of
        self._judge = judge
        self._watched: dict[str, Watched] = {}

    def take(
        self,
        memory: SliceMemory | None,
        report: WindowReport,
        baselines: Mapping[str, Baseline],
    ) -> tuple[SliceMemory | None, WindowReport]:
        """Return what is remembered after a window, and its report with the evidence."""
        if memory is not None and report.window_end <= memory.through:
            return memory, report
        part = _part_in_use(report, memory.baseline if memory else "", baselines)
        if part is None:
            return memory, report
        watched = self.signals_of(part.baseline, baselines[part.baseline])
        if not watched.names:
            return memory, report
        if memory is not None and memory.baseline == part.baseline:
            before = unpack(memory, watched.reference)
        else:
            before = Memory.empty(*watched.reference.counts.shape)
        budget = self.budget_of(report)
        verdict = self._judge(watched.reference, before, _window(part, watched), budget)
        seen = _with_evidence(part, watched, verdict, budget)
        parts = [seen if one is part else one for one in report.parts]
        after = pack(verdict.memory, report.window_end, part.baseline)
        return after, msgspec.structs.replace(report, parts=parts)

    def budget_of(self, report: WindowReport) -> Budget:
        """Return what the windows of a slice are judged by."""
        seconds = report.window_end - report.window_start
        return Budget(self._alarms_of(report.model), MONTH_SECONDS / seconds)

    def signals_of(self, baseline_id: str, baseline: Baseline) -> Watched:
        """Lay out the signals of a baseline, once."""
        watched = self._watched.get(baseline_id)
        if watched is None:
            laid_out = {
                name: SignalReference(reference_counts(signal), ordered_bins(signal))
                for name, signal in baseline.signals.items()
            }
            known = {name: it for name, it in laid_out.items() if any(it.counts)}
            watched = Watched(list(known), Reference.of(list(known.values())))
            self._watched[baseline_id] = watched
        return watched


def _part_in_use(
    report: WindowReport, in_use: str, baselines: Mapping[str, Baseline]
) -> ReportPart | None:
    known = [part for part in report.parts if part.baseline in baselines]
    same = [part for part in known if part.baseline == in_use]
    return max(same or known, key=lambda part: (part.events, part.baseline), default=None)


def _window(part: ReportPart, watched: Watched) -> npt.NDArray[np.float64]:
    window = np.zeros(watched.reference.counts.shape)
    for row, name in enumerate(watched.names):
        signal = part.signals.get(name)
        if signal is not None:
            counts = current_counts(signal.histogram)
            window[row, : len(counts)] = counts
    return window


def _with_evidence(
    part: ReportPart, watched: Watched, verdict: Verdict, budget: Budget
) -> ReportPart:
    signals = dict(part.signals)
    effective = verdict.memory.effective()
    flat = verdict.surprises.transpose(1, 0, 2).reshape(len(watched.names), -1)
    for row, (name, best) in enumerate(zip(watched.names, flat.argmax(axis=1), strict=True)):
        span, score = divmod(int(best), len(SCORES))
        events = float(verdict.events[span, row])
        if name not in signals or not events:
            continue
        surprise, bins = float(flat[row, best]), int(watched.reference.exists[row].sum())
        in_alarm = surprise > verdict.threshold
        evidence = Evidence(
            score=SCORES[score],
            span_windows=_SPANS[span],
            surprise_nats=surprise,
            events=events,
            baseline_events=int(watched.reference.counts[row].sum()),
            bins=bins,
            counts=effective[span, row, :bins].tolist() if in_alarm else None,
        )
        signals[name] = msgspec.structs.replace(signals[name], evidence=evidence)
    spent = AlarmBudget(
        threshold_nats=verdict.threshold,
        looks=verdict.looks,
        alarms_per_month=budget.alarms,
        windows_per_month=budget.windows,
    )
    return msgspec.structs.replace(part, signals=signals, alarm_budget=spent)


def pack(memory: Memory, through: int, baseline: str) -> SliceMemory:
    """Write down what is remembered of the windows up to ``through``, by the bits."""
    return SliceMemory(
        through=through,
        baseline=baseline,
        counts=memory.counts.tobytes(),
        total=memory.total.tobytes(),
        squared=memory.squared.tobytes(),
        pooled=memory.pooled.tobytes(),
    )


def unpack(memory: SliceMemory, reference: Reference) -> Memory:
    """Read what :func:`pack` wrote."""
    signals, bins = reference.counts.shape
    scales = len(LAMBDAS)
    return Memory(
        np.frombuffer(memory.counts).reshape(scales, signals, bins),
        np.frombuffer(memory.total).reshape(scales, signals),
        np.frombuffer(memory.squared).reshape(scales, signals),
        np.frombuffer(memory.pooled).reshape(signals, bins),
    )
