"""The drift detector over the windows of a slice: what it remembers, and what it says of the next.

Windows are taken in once, when they are first reported, and in the order of their ends; one that
opened after a later one had closed is passed by. Its events, and what late events add to others,
are taken in with the next window. Where the baseline changes inside a window, only the part counts
that was binned by the one in use; a window without such a part begins anew by the other.
"""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

import msgspec
import numpy as np

from tidegauge.alerting import SHARE_OF_COHORTS
from tidegauge.baseline import Baseline
from tidegauge.contract import ReportPart, WindowReport, subject
from tidegauge.sequential import (
    LAMBDAS,
    BatchInput,
    BatchResult,
    Budget,
    HourlyInput,
    HoursMemory,
    Memory,
    Reference,
    StrongestScores,
    judge_batch,
)
from tidegauge.stats import Floats
from tidegauge.windows.evidence import BaselineLayout, with_evidence
from tidegauge.windows.hours import pack_hours, unpack_hours
from tidegauge.windows.report import Comparisons
from tidegauge.windows.values import SliceMemory

log = logging.getLogger(__name__)

#: What budgets are of, seconds.
MONTH_SECONDS = 30 * 24 * 3600


class WindowInput(NamedTuple):
    """The first report of a window, of one of its model's ``slices``, and what is remembered.

    ``counts`` (signals, bins) are those of its part, if it has one and they are known.
    """

    memory: SliceMemory | None
    report: WindowReport
    slices: int
    counts: Floats | None = None


class WindowResult(NamedTuple):
    """What is remembered after a window, and its report with the evidence."""

    memory: SliceMemory | None
    report: WindowReport


class _PartInput(NamedTuple):
    """The part of a report that counts, and what it is judged by."""

    report: WindowReport
    part: ReportPart
    layout: BaselineLayout
    turn: BatchInput
    onsets: Floats | None = None


#: Called with the report of a window, the part of it that counts, and how that was judged.
Observe = Callable[[WindowReport, ReportPart, BaselineLayout, BatchInput, BatchResult], None]


class DriftDetector:
    """Folds first reports into what is remembered. ``alarms_of``: a model's budget a month.

    ``observe`` is called with every window that was judged.
    """

    def __init__(self, alarms_of: Callable[[str], float], observe: Observe | None = None) -> None:
        self._alarms_of = alarms_of
        self._observe = observe
        self._layouts: dict[str, BaselineLayout] = {}
        #: Of the same windows by the same baselines, before they are taken in.
        self.comparisons = Comparisons()

    def keep(self, baselines: Set[str]) -> None:
        """Forget how baselines other than these are laid out."""
        for baseline_id in self._layouts.keys() - baselines:
            del self._layouts[baseline_id]
        self.comparisons.keep(baselines)

    def take(
        self,
        memory: SliceMemory | None,
        report: WindowReport,
        baselines: Mapping[str, Baseline],
        *,
        slices: int = 1,
    ) -> WindowResult:
        """Return what is remembered after a window, and its report with the evidence.

        The budget of the model is shared by its ``slices``, of which the report is of one.
        """
        return self.take_together([WindowInput(memory, report, slices)], baselines)[0]

    def take_together(
        self, firsts: Sequence[WindowInput], baselines: Mapping[str, Baseline]
    ) -> list[WindowResult]:
        """Do that with windows of several slices at once: the same of each, and in less time."""
        found = [WindowResult(it.memory, it.report) for it in firsts]
        inputs = {
            at: its_input
            for at, it in enumerate(firsts)
            if (its_input := self._part_input(it, baselines)) is not None
        }
        judged = judge_batch([its_input.turn for its_input in inputs.values()])
        for (at, its_input), its in zip(inputs.items(), judged, strict=True):
            found[at] = _result(its_input, its)
            if self._observe is not None:
                report, part, layout, turn, _ = its_input
                self._observe(report, part, layout, turn, its)
        return found

    def _part_input(
        self, first: WindowInput, baselines: Mapping[str, Baseline]
    ) -> _PartInput | None:
        """Return how to judge a window; None if it is not to be judged."""
        memory, report, slices, counts = first
        if memory is not None and report.window_end <= memory.through:
            return None
        part = _part_in_use(report, memory.baseline if memory else "", baselines)
        if part is None:
            return None
        layout = self.layout_of(part.baseline, baselines[part.baseline])
        if not layout.names:
            return None
        try:
            before, hours, onsets = remembered(memory, part.baseline, layout)
        except (ValueError, IndexError) as error:
            # Damaged; or of an earlier release, to which its baseline had fewer profiles.
            log.error(
                "the drift detector begins anew with model %s: what it remembered can't be "
                "used: %s", subject(report), error,
            )  # fmt: skip
            before, hours, onsets = remembered(None, part.baseline, layout)
        hourly = None
        if layout.daily is not None and hours is not None:
            hourly = HourlyInput(layout.daily, hours, (report.window_start, report.window_end))
        window = layout.counts([part])[0] if counts is None else counts
        budget = self.budget_of(report, slices, baselines[part.baseline])
        turn = BatchInput(layout.reference, before, window, budget, hourly)
        return _PartInput(report, part, layout, turn, onsets)

    def take_late(
        self,
        memory: SliceMemory | None,
        report: WindowReport,
        earlier: WindowReport | None,
        baselines: Mapping[str, Baseline],
    ) -> SliceMemory | None:
        """Add what a report counts beyond the ``earlier`` one to what the next window counts.

        ``earlier`` is what was reported of the same window before; None if nothing was.
        """
        if memory is None or memory.baseline not in baselines:
            return memory
        news = self.counted(report, memory.baseline, baselines)
        if earlier is not None:
            news = news - self.counted(earlier, memory.baseline, baselines)
        ends = report.window_start, report.window_end
        return self.add_late(memory, news, ends, baselines[memory.baseline])

    def add_late(
        self, memory: SliceMemory, news: Floats, ends: tuple[int, int], baseline: Baseline
    ) -> SliceMemory:
        """Add counts (signals, bins) of a window between two epoch seconds to the next window's."""
        if not news.any():
            return memory
        layout = self.layout_of(memory.baseline, baseline)
        try:
            known, hours, _ = remembered(memory, memory.baseline, layout)
        except (ValueError, IndexError):
            return memory  # the next window says so, and begins anew
        news = layout.late(news)
        if hours is not None and layout.daily is not None:
            its = news.sum(axis=-1, keepdims=True) * layout.daily.calendar.weights(*ends)
            hours = HoursMemory(hours.events, hours.pooled + its, hours.squares)
        after = Memory(known.counts, known.total, known.squared, known.pooled + news)
        packed = pack(after, memory.through, memory.baseline, hours)
        return msgspec.structs.replace(packed, late=memory.late + 1, onsets=memory.onsets)

    def counted(
        self, report: WindowReport, baseline_id: str, baselines: Mapping[str, Baseline]
    ) -> Floats:
        """Return what a report counts by a baseline, (signals, bins); 0 if it has no such part."""
        layout = self.layout_of(baseline_id, baselines[baseline_id])
        parts = [it for it in report.parts if it.baseline == baseline_id]
        return np.asarray(layout.counts(parts[:1]).sum(axis=0))

    def budget_of(self, report: WindowReport, slices: int, baseline: Baseline) -> Budget:
        """Return what a window of a slice is judged by, if the model has so many slices.

        Of a labelled model's budget, a part is for its cohorts.
        """
        seconds = report.window_end - report.window_start
        alarms = self._alarms_of(report.model)
        if baseline.outcomes is not msgspec.UNSET:
            alarms *= 1 - SHARE_OF_COHORTS
        return Budget(alarms, MONTH_SECONDS / seconds, slices)

    def layout_of(self, baseline_id: str, baseline: Baseline) -> BaselineLayout:
        """Lay out the signals of a baseline, once."""
        layout = self._layouts.get(baseline_id)
        if layout is None:
            layout = self._layouts[baseline_id] = BaselineLayout.of(baseline)
        return layout


def _result(its_input: _PartInput, judged: BatchResult) -> WindowResult:
    report, part, layout, turn, known = its_input
    verdict, ends = judged.verdict, (report.window_start, report.window_end)
    onsets = onset_ends(
        known,
        judged.strongest,
        verdict.memory,
        verdict.threshold,
        ends,
        part.events,
        layout.effects,
    )
    budget, dimensions = turn.budget, report.segment
    seen = with_evidence(part, layout, judged, budget, onsets, ends[1], dimensions=dimensions)
    parts = [seen if one is part else one for one in report.parts]
    after = pack(verdict.memory, report.window_end, part.baseline, verdict.hours, onsets)
    return WindowResult(after, msgspec.structs.replace(report, parts=parts))


def _part_in_use(
    report: WindowReport, in_use: str, baselines: Mapping[str, Baseline]
) -> ReportPart | None:
    known = [part for part in report.parts if part.baseline in baselines]
    same = [part for part in known if part.baseline == in_use]
    return max(same or known, key=lambda part: (part.events, part.baseline), default=None)


def pack(
    memory: Memory,
    through: int,
    baseline: str,
    hours: HoursMemory | None = None,
    onsets: Floats | None = None,
) -> SliceMemory:
    """Write down what is remembered of the windows up to ``through``, by the bits."""
    packed = SliceMemory(
        through=through,
        baseline=baseline,
        counts=memory.counts.tobytes(),
        total=memory.total.tobytes(),
        squared=memory.squared.tobytes(),
        pooled=memory.pooled.tobytes(),
        onsets=b"" if onsets is None or not onsets.any() else onsets.tobytes(),
    )
    return msgspec.structs.replace(packed, **pack_hours(hours)) if hours else packed


class Remembered(NamedTuple):
    """What is remembered before a window, laid out for the detector."""

    memory: Memory
    hours: HoursMemory | None = None
    onsets: Floats | None = None


def remembered(memory: SliceMemory | None, baseline: str, layout: BaselineLayout) -> Remembered:
    """Return what is remembered of windows that were judged by a baseline; nothing by another.

    Raises ``ValueError`` or ``IndexError`` if it is not of this baseline's signals, bins and
    profiles, or has what is no number.
    """
    signals, hours = len(layout.names), None
    if memory is not None and memory.baseline == baseline:
        known = unpack(memory, layout.reference)
        hours = unpack_hours(memory, signals, layout.daily)
        numbers = [known.counts, known.total, known.squared, known.pooled]
        if hours is not None:
            numbers += [hours.events, hours.pooled, hours.squares]
        if not all(np.isfinite(it.sum()) for it in numbers):
            raise ValueError("there is what is no number")
        if layout.daily is None or hours is not None:
            began = memory.onsets
            onsets = np.frombuffer(began).reshape(signals) if began else None
            return Remembered(known, hours, onsets)
        # There is nothing to compare the counts with that came before.
    if layout.daily is not None:
        hours = HoursMemory.empty(signals, layout.daily.calendar.profiles)
    return Remembered(Memory.empty(*layout.reference.counts.shape), hours)


def unpack(memory: SliceMemory, reference: Reference) -> Memory:
    """Read what :func:`pack` wrote.

    An earlier release had no bin of what is outside of the baseline's range, which is the last of a
    signal's: nothing is remembered in it then. Raises ``ValueError`` if it is not of as many
    signals and bins.
    """
    signals, bins = reference.counts.shape
    scales = len(LAMBDAS)
    pooled = np.frombuffer(memory.pooled).reshape(signals, -1)
    counts = np.frombuffer(memory.counts).reshape(scales, signals, pooled.shape[-1])
    more = bins - counts.shape[-1]
    if more not in (0, 1):
        raise ValueError(f"it is of {counts.shape[-1]} bins, expected {bins}")
    if more:
        counts = np.pad(counts, ((0, 0), (0, 0), (0, more)))
        pooled = np.pad(pooled, ((0, 0), (0, more)))
    return Memory(
        counts,
        np.frombuffer(memory.total).reshape(scales, signals),
        np.frombuffer(memory.squared).reshape(scales, signals),
        pooled,
    )


#: An onset is kept until the evidence is below this share of the threshold: near the threshold
#: itself an alarm may begin again and again.
_KEPT_ABOVE = 0.5


def onset_ends(
    known: Floats | None,
    strongest: StrongestScores,
    memory: Memory,
    threshold: float,
    window: tuple[int, int],
    events: int,
    effects: Floats | None,
) -> Floats:
    """Return the end of the window in which each signal's change began; 0 where there is none.

    An onset is kept as it was estimated when the alarm began: of a change that is over, the spans
    remember less from window to window, as of one that is older and older.
    ``known`` is the same after the window before; None if nothing is. ``memory`` is that after the
    ``window`` of so many ``events``, from its start to its end, epoch seconds. ``effects`` are the
    design effects that its counts were divided by, None for 1.
    """
    start, end = window
    # Windows with few events are remembered as one, so that many of them are one step.
    counted = memory.total[0] if effects is None else memory.total[0] * effects
    steps = np.maximum(np.round(counted / max(events, 1)), 1.0)
    estimated = end - (strongest.ages - 1) * steps * (end - start)
    # Of a window with hardly any events after one with very many, before there was time.
    estimated = np.maximum(estimated, end - start)
    found = np.where(strongest.ages > 0, estimated, 0.0)
    if known is None:
        return found
    kept = (known > 0) & (strongest.surprises > _KEPT_ABOVE * threshold)
    # Another change, so large that the window alone shows it more than what came before.
    is_new = (strongest.ages == 1) & (strongest.spans == 0)
    kept &= ~(is_new & (estimated - known >= steps * (end - start)))
    return np.where(kept, known, found)
