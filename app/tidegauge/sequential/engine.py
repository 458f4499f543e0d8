"""The detector: counts of closed windows in, what they say of every signal out. Pure.

One engine for all who judge windows: DETECT, which closes one window of many slices at a time, and
a backtest, which replays many windows of one slice. All that is done with a signal is done along
its own bins, whatever other signals there are, so that a window is judged to the same bits alone
and with others. A slice has some fifty signals, and numpy takes about as long for that many as it
takes to be called.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.contract import Size
from tidegauge.sequential.bounds import may_exceed
from tidegauge.sequential.budget import Budget, thresholds
from tidegauge.sequential.conditional import GRAINS
from tidegauge.sequential.contrast import Contrast
from tidegauge.sequential.daily import DailyReference, HoursMemory
from tidegauge.sequential.ewma import LAMBDAS, Memory
from tidegauge.sequential.expected import Expected
from tidegauge.sequential.onset import counts_since, onsets, size_of_bin
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES, surprises
from tidegauge.stats import Bools, Floats, Places, psi_corrected

#: Signals, or windows, at a time: what they need stays in the cache of a core.
_SIGNALS_AT_ONCE = 400
_WINDOWS_AT_ONCE = 8

_SCALES = np.arange(len(LAMBDAS))[:, None]

#: Corrected PSI, nats, from which on a drift is called so; the usual reading of PSI (Siddiqi 2006).
MODERATE, MAJOR = 0.1, 0.25


class StrongestScores(NamedTuple):
    """The strongest sign that a signal has changed, for many of them; arrays of one length.

    ``surprises`` is -ln p, nats, of a place in ``SCORES`` over a place in ``LAMBDAS``; it rests on
    the effective number of ``events``. In alarm, a signal has been changed for so many windows,
    ``ages``, as far as can be told, which have the share ``since`` of the span's weight; else these
    are 0 and 1. ``sizes`` is the corrected PSI, nats, of the windows since then, ``of_bin`` the
    same in terms of the bin that changed most (``size.size_of_bin``), 0 if not in alarm.
    """

    surprises: Floats
    spans: Places
    scores: Places
    events: Floats
    sizes: Floats
    ages: npt.NDArray[np.int_]
    since: Floats
    of_bin: Floats

    @classmethod
    def of(
        cls,
        found: Floats,
        memory: Memory,
        thresholds: Floats,
        reference: Reference,
        expected: Expected | None = None,
    ) -> "StrongestScores":
        """Take the largest of the scores of each signal; the first, if there are several.

        ``found`` is (4, signals, scores), ``thresholds`` (signals,). ``expected`` is what the
        signals are compared with, if it is not the reference.
        """
        rows = np.arange(found.shape[1])
        flat = found.transpose(1, 0, 2).reshape(len(rows), -1)
        strongest = flat.argmax(axis=1)
        spans, scores = np.divmod(strongest, len(SCORES))
        above = flat[rows, strongest]
        counts, events = memory.effective_at(spans, rows), memory.events()[spans, rows]
        compared = expected.at(spans, rows).reference if expected else reference
        ages, since = np.zeros(len(rows), dtype=np.int_), np.ones(len(rows))
        of_bin, alarmed = np.zeros(len(rows)), np.flatnonzero(above > thresholds)
        if len(alarmed):
            its = memory.of(alarmed)
            by_span = expected.reference.counts[:, alarmed] if expected else None
            ages[alarmed], since[alarmed] = onsets(
                its, _rows(compared, alarmed), spans[alarmed], scores[alarmed], by_span
            )
            theirs = compared.counts[alarmed]
            counts[alarmed] = ours = counts_since(its, theirs, ages[alarmed], by_span)
            of_bin[alarmed] = size_of_bin(ours, theirs)
        sizes = psi_corrected(counts, compared.counts)
        return cls(above, spans, scores, events, sizes, ages, since, of_bin)

    def part(self, signals: slice | Places) -> "StrongestScores":
        """Return those of some of the signals."""
        surprises, spans, scores, events, sizes, ages, since, of_bin = self
        return StrongestScores(
            surprises[signals], spans[signals], scores[signals], events[signals], sizes[signals],
            ages[signals], since[signals], of_bin[signals],
        )  # fmt: skip


class Verdict(NamedTuple):
    """What a window of a slice led to, with everything that it can be computed from again.

    ``surprises`` is -ln p, nats, by (span, signal, score); by a fixed baseline only the largest of
    each signal is sure to be exact, and others may be too large. ``events`` the effective number of
    events by (span, signal). ``threshold`` is -ln of the budget's share of one look, and ``looks``
    how many there were: surprises that could start an alarm on their own. With a baseline by hour
    of day there are also the hours remembered, and what was ``expected`` by (span, signal).
    """

    memory: Memory
    surprises: Floats
    events: Floats
    threshold: float
    looks: float
    hours: HoursMemory | None = None
    expected: Expected | None = None

    @property
    def alarms(self) -> Bools:
        """Which signals are beyond the threshold, by any score over any span."""
        return np.asarray(self.surprises.max(axis=(0, 2)) > self.threshold)


class HourlyInput(NamedTuple):
    """What a window is judged by if its baseline is by hour of day.

    The window is ``between`` two epoch seconds; ``hours`` are those remembered.
    """

    daily: DailyReference
    hours: HoursMemory
    between: tuple[float, float]


class BatchInput(NamedTuple):
    """A window of a slice, counts by (signals, bins), and what it is to be judged by."""

    reference: Reference
    memory: Memory
    window: Floats
    budget: Budget
    hourly: HourlyInput | None = None


class BatchResult(NamedTuple):
    """What a window led to, and the strongest score of each of its signals."""

    verdict: Verdict
    strongest: StrongestScores


class WindowBatch:
    """Windows, (windows, signals, bins), that follow ``memory``, judged by one reference.

    The signals may be those of several slices, one slice after the other: then ``sizes`` is how
    many signals each slice has, in the order of ``budgets``.
    """

    def __init__(
        self,
        reference: Reference,
        memory: Memory,
        windows: Floats,
        budgets: Sequence[Budget],
        sizes: Sequence[int] | None = None,
    ) -> None:
        self._reference = reference
        self._path = memory.path(windows)
        #: Effective numbers of events, (windows, 4, signals).
        self.events: Floats = self._path.events()
        #: Which signals had enough events to be scored anew, (windows, signals).
        self.moved: Bools = np.asarray(windows.any(axis=-1) & ~self._path.pooled.any(axis=-1))
        self._whose = np.repeat(np.arange(len(budgets)), sizes or [windows.shape[1]])
        #: Thresholds, -ln p, and the looks that they come from, both (windows, slices).
        self.thresholds, self.looks = thresholds(
            budgets, reference, self.events, whose=self._whose, contrasts=True
        )

    @property
    def memory(self) -> Memory:
        """What is remembered after the last window."""
        return self.after(-1)

    def after(self, window: int) -> Memory:
        """Return what is remembered after one of the windows."""
        return self._path.at(window)

    def beyond(self, level: float) -> Bools:
        """Return where a score is above ``level`` times its threshold: (windows, signals)."""
        return self.largest(level * self.thresholds) > 0

    def largest(self, least: Floats) -> Floats:
        """Return the strongest score of each signal, nats, (windows, signals).

        0 where none is above what its slice is to have at ``least``, (windows, slices).
        """
        suspects = np.concatenate(
            [
                may_exceed(self._reference, self._path.at(some), float(least[some].min()))
                for some in _blocks(len(self.events), _WINDOWS_AT_ONCE)
            ]
        )
        where = np.nonzero(suspects)
        windows, _, signals = where
        reference, spans = _rows(self._reference, signals), where[1]
        memory = self._remembered((windows, _SCALES, signals))
        rows = spans, np.arange(len(spans))
        contrast = Contrast.of(memory, reference.total[..., 0]).of_rows(rows)
        counts = memory.effective_at(*rows)
        scores = surprises(reference, counts, GRAINS[spans], contrast, largest_only=True).max(
            axis=-1
        )
        above = scores > least[windows, self._whose[signals]]
        found = np.zeros((len(self.events), self.events.shape[-1]))
        np.maximum.at(found, (windows[above], signals[above]), scores[above])
        return found

    def strongest(self, windows: Places, signals: Places) -> StrongestScores:
        """Return the strongest score of each signal in the window beside it, row by row."""
        blocks = [
            self._strongest(windows[some], signals[some])
            for some in _blocks(len(windows), _SIGNALS_AT_ONCE)
        ]
        return StrongestScores(*(np.concatenate(column) for column in zip(*blocks, strict=True)))

    def effective(self, windows: Places, spans: Places, signals: Places) -> Floats:
        """Return the effective counts of each signal in the window and the span beside it."""
        return self._effective((windows, spans, signals))

    def _strongest(self, windows: Places, signals: Places) -> StrongestScores:
        reference = _rows(self._reference, signals)
        memory = self._remembered((windows, _SCALES, signals))
        thresholds = self.thresholds[windows, self._whose[signals]]
        return StrongestScores.of(_scored(reference, memory), memory, thresholds, reference)

    def _effective(self, where: tuple[Places, ...]) -> Floats:
        return self._remembered(where).effective()

    def _remembered(self, where: tuple[Places, ...]) -> Memory:
        """Return a memory of what is at some places; of what is pooled, nothing."""
        counts, total, squared = (
            array[where] for array in (self._path.counts, self._path.total, self._path.squared)
        )
        return Memory(counts, total, squared, np.zeros(counts.shape[-2:]))


def judge(reference: Reference, memory: Memory, window: Floats, budget: Budget) -> Verdict:
    """Add a window's counts (signals, bins) to what is remembered, and judge that."""
    batch = WindowBatch(reference, memory, window[None], [budget])
    memory = batch.memory
    return Verdict(
        memory,
        _scored(reference, memory),
        batch.events[-1],
        float(batch.thresholds[-1, 0]),
        float(batch.looks[-1, 0]),
    )


def judge_daily(
    daily: DailyReference,
    memory: Memory,
    hours: HoursMemory,
    window: Floats,
    between: tuple[float, float],
    budget: Budget,
) -> Verdict:
    """Do the same by a baseline by hour of day; the window is ``between`` two epoch seconds."""
    hourly = HourlyInput(daily, hours, between)
    [verdict] = _judge_hourly([BatchInput(daily.pooled, memory, window, budget, hourly)])
    return verdict


def _judge_hourly(turns: Sequence[BatchInput]) -> Iterator[Verdict]:
    """Judge windows of one length by one baseline by hour of day, with one budget."""
    budget, memories, every, hourly = turns[0].budget, [], [], turns[0].hourly
    assert hourly is not None  # noqa: S101 - turns without hours are judged by others
    daily, (start, end) = hourly.daily, hourly.between
    for turn in turns:
        its = turn.hourly or hourly
        weights = daily.calendar.weights(*its.between)
        every.append(its.hours.after(turn.memory, turn.window, weights))
        memories.append(turn.memory.after(turn.window))
    counts, events = (
        np.stack(some)
        for some in zip(*((it.effective(), it.events()) for it in memories), strict=True)
    )
    expected = daily.expected(HoursMemory.path(every), end - start, counts)
    limits, looks = thresholds([budget], expected.reference, events, expected.events)
    found = expected.surprises(counts)
    for at, (memory, hours) in enumerate(zip(memories, every, strict=True)):
        threshold, looked = float(limits[at, 0]), float(looks[at, 0])
        yield Verdict(
            memory, found[at], events[at], threshold, looked, hours, expected.of_window(at)
        )


def judge_batch(turns: Sequence[BatchInput]) -> list[BatchResult]:
    """Judge one window of each of several slices: to the bit what each is alone, in less time.

    Sums over bins depend on how far they are padded, so only references of equal width are joined.
    """
    found: dict[int, BatchResult] = {}
    for places in _joinable(turns):
        found.update(zip(places, _judge_joined([turns[at] for at in places]), strict=True))
    for places in _alike_by_hour(turns):
        some = [turns[at] for at in places]
        found.update(zip(places, _with_strongest(some, list(_judge_hourly(some))), strict=True))
    return [found[at] for at in range(len(turns))]


def _alike_by_hour(turns: Sequence[BatchInput]) -> Iterator[list[int]]:
    """Yield the places of turns with hours that are judged by the same, a few at a time."""
    alike: dict[tuple[int, float, Budget], list[int]] = {}
    for at, turn in enumerate(turns):
        if turn.hourly is not None:
            start, end = turn.hourly.between
            alike.setdefault((id(turn.hourly.daily), end - start, turn.budget), []).append(at)
    for places in alike.values():
        for some in _blocks(len(places), _WINDOWS_AT_ONCE):
            yield places[some]


def _joinable(turns: Sequence[BatchInput]) -> Iterator[list[int]]:
    """Yield the places of turns of equal width, so many that there are signals enough."""
    by_width: dict[int, list[int]] = {}
    for at, turn in enumerate(turns):
        if turn.hourly is None:
            by_width.setdefault(turn.reference.counts.shape[-1], []).append(at)
    for places in by_width.values():
        block, signals = list[int](), 0
        for at in places:
            its = len(turns[at].reference.counts)
            if block and signals + its > _SIGNALS_AT_ONCE:
                yield block
                block, signals = [], 0
            block.append(at)
            signals += its
        yield block


def _judge_joined(turns: Sequence[BatchInput]) -> list[BatchResult]:
    reference = Reference.joined([it.reference for it in turns])
    sizes = [len(it.reference.counts) for it in turns]
    memory = Memory.joined([it.memory for it in turns])
    windows = np.concatenate([it.window for it in turns])[None]
    batch = WindowBatch(reference, memory, windows, [it.budget for it in turns], sizes)
    memory, events = batch.memory, batch.events[-1]
    found = _scored(reference, memory)
    limits = np.repeat(batch.thresholds[-1], sizes)
    strongest = StrongestScores.of(found, memory, limits, reference)
    ours = [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]
    return [
        BatchResult(
            Verdict(memory.of(some), found[:, some], events[:, some], threshold, looks),
            strongest.part(some),
        )
        for some, threshold, looks in zip(
            ours, batch.thresholds[-1].tolist(), batch.looks[-1].tolist(), strict=True
        )
    ]


def _with_strongest(
    turns: Sequence[BatchInput], verdicts: Sequence[Verdict]
) -> Iterator[BatchResult]:
    """Yield verdicts by hour of day with the strongest scores, found of all windows at once."""
    signals = len(turns[0].reference.counts)
    strongest = StrongestScores.of(
        np.concatenate([it.surprises for it in verdicts], axis=1),
        Memory.joined([it.memory for it in verdicts]),
        np.repeat([it.threshold for it in verdicts], signals),
        turns[0].reference,
        Expected.joined([it.expected for it in verdicts if it.expected is not None]),
    )
    for verdict, ours in zip(verdicts, _blocks(signals * len(verdicts), signals), strict=True):
        yield BatchResult(verdict, strongest.part(ours))


def size_of(psi_corrected: float) -> Size:
    """Return the word for a corrected PSI: how big a drift is, not whether there is one.

    >>> size_of(0.02), size_of(0.1), size_of(0.25)
    ('minor', 'moderate', 'major')
    """
    if psi_corrected < MODERATE:
        return "minor"
    return "moderate" if psi_corrected < MAJOR else "major"


def _scored(reference: Reference, memory: Memory) -> Floats:
    contrast = Contrast.of(memory, reference.total[..., 0])
    return surprises(reference, memory.effective(), GRAINS[:, None], contrast, largest_only=True)


def _blocks(number: int, at_once: int) -> list[slice]:
    return [slice(start, start + at_once) for start in range(0, number, at_once)]


def _rows(reference: Reference, signals: Places) -> Reference:
    """Lay out a reference anew, one row for each of ``signals``."""
    return Reference(*(getattr(reference, it.name)[signals] for it in fields(Reference)))
