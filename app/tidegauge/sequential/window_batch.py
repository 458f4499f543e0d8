"""Many windows of one slice judged together: what ``judge`` says of one after the other."""

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.bounds import may_exceed
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.ewma import LAMBDAS, Memory
from tidegauge.sequential.ewma_path import ewma_path, remembered
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES, surprises
from tidegauge.sequential.strongest_scores import StrongestScores
from tidegauge.stats import psi_corrected

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

_SCALES = np.arange(len(LAMBDAS))[:, None]

#: Windows at a time, and signals of windows: what they need stays in the cache of a core.
_AT_ONCE = 8
_ROWS_AT_ONCE = 400


class WindowBatch:
    """Windows, (windows, signals, bins), taken in after ``memory``, against one reference."""

    def __init__(
        self, reference: Reference, memory: Memory, windows: Floats, budget: Budget
    ) -> None:
        self._reference = reference
        self._trail = ewma_path(memory, windows)
        #: Effective numbers of events, (windows, 4, signals).
        self.events: Floats = self._trail.events()
        #: Which signals had enough events to be scored anew, (windows, signals).
        self.moved: Bools = np.asarray(windows.any(axis=-1) & ~self._trail.pooled.any(axis=-1))
        self.thresholds, self.looks = budget.thresholds(reference, self.events)

    @property
    def memory(self) -> Memory:
        """What is remembered after the last window."""
        return remembered(self._trail, -1)

    def beyond(self, level: float) -> Bools:
        """Return where a score is above ``level`` times its threshold: (windows, signals)."""
        suspects = np.concatenate(
            [
                may_exceed(
                    self._reference,
                    _part(self._trail, some),
                    level * float(self.thresholds[some].min()),
                )
                for some in _blocks(len(self.events), _AT_ONCE)
            ]
        )
        where = np.nonzero(suspects)
        windows, _, signals = where
        scores = surprises(_rows(self._reference, signals), self._effective(where)).max(axis=-1)
        above = scores > level * self.thresholds[windows]
        found = np.zeros((len(self.events), self.events.shape[-1]), dtype=bool)
        found[windows[above], signals[above]] = True
        return found

    def signs(self, windows: Places, signals: Places) -> StrongestScores:
        """Return the strongest sign of each signal in the window beside it, row by row."""
        blocks = [
            self._signs(windows[some], signals[some])
            for some in _blocks(len(windows), _ROWS_AT_ONCE)
        ]
        return StrongestScores(*(np.concatenate(column) for column in zip(*blocks, strict=True)))

    def effective(self, windows: Places, spans: Places, signals: Places) -> Floats:
        """Return the effective counts of each signal in the window and the span beside it."""
        return self._effective((windows, spans, signals))

    def _signs(self, windows: Places, signals: Places) -> StrongestScores:
        reference, rows = _rows(self._reference, signals), np.arange(len(signals))
        counts = self._effective((windows, _SCALES, signals))
        found = surprises(reference, counts).transpose(1, 0, 2).reshape(len(rows), -1)
        strongest = found.argmax(axis=1)
        spans, scores = np.divmod(strongest, len(SCORES))
        return StrongestScores(
            found[rows, strongest],
            spans,
            scores,
            self.events[windows, spans, signals],
            psi_corrected(counts[spans, rows], reference.counts),
        )

    def _effective(self, where: tuple[Places, ...]) -> Floats:
        counts, total, squared = (
            array[where] for array in (self._trail.counts, self._trail.total, self._trail.squared)
        )
        return Memory(counts, total, squared, counts).effective()


def _blocks(number: int, at_once: int) -> list[slice]:
    return [slice(start, start + at_once) for start in range(0, number, at_once)]


def _part(found: Memory, some: slice) -> Memory:
    return Memory(*(getattr(found, it.name)[some] for it in fields(Memory)))


def _rows(reference: Reference, signals: Places) -> Reference:
    """Lay out a reference anew, one row for each of ``signals``."""
    return Reference(*(getattr(reference, it.name)[signals] for it in fields(Reference)))
