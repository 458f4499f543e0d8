"""Many windows of one slice judged together: what ``judge`` says of one after the other."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.bounds import may_exceed
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.detector import Verdict
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import SCORES, surprises
from tidegauge.sequential.trail import remembered, trail

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Windows at a time, and signals of windows: what they need stays in the cache of a core.
_AT_ONCE = 8
_ROWS_AT_ONCE = 400


class Stretch:
    """Windows, (windows, signals, bins), taken in after ``memory``, against one reference."""

    def __init__(
        self, reference: Reference, memory: Memory, windows: Floats, budget: Budget
    ) -> None:
        self._reference = reference
        self._trail = trail(memory, windows)
        self._events = self._trail.events()
        #: Which signals had enough events to be scored anew, (windows, signals).
        self.moved: Bools = np.asarray(windows.any(axis=-1) & ~self._trail.pooled.any(axis=-1))
        self.thresholds, self._looks = budget.thresholds(reference, self._events)

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
                for some in _blocks(len(self._events), _AT_ONCE)
            ]
        )
        where = np.nonzero(suspects)
        windows, _, signals = where
        scores = surprises(_rows(self._reference, signals), self._effective(where)).max(axis=-1)
        above = scores > level * self.thresholds[windows]
        found = np.zeros((len(self._events), self._events.shape[-1]), dtype=bool)
        found[windows[above], signals[above]] = True
        return found

    def verdicts(self, places: Sequence[int], of: Bools | None = None) -> list[Verdict]:
        """Return what ``judge`` says of the windows at ``places``.

        ``of``, (windows, signals), tells which signals are asked for; the surprises of the others
        are left at 0.
        """
        at = np.array(places, dtype=np.intp)
        asked = np.ones_like(self.moved) if of is None else of
        row, signals = np.nonzero(asked[at])
        scores = np.zeros((len(at), *self._events.shape[1:], len(SCORES)))
        scales = np.arange(scores.shape[1])[:, None]
        for some in _blocks(len(row), _ROWS_AT_ONCE):
            where = at[row[some]], scales, signals[some]
            found = surprises(_rows(self._reference, signals[some]), self._effective(where))
            scores[row[some], :, signals[some]] = found.transpose(1, 0, 2)
        return [
            Verdict(
                remembered(self._trail, place),
                score,
                self._events[place],
                float(self.thresholds[place]),
                float(self._looks[place]),
            )
            for place, score in zip(places, scores, strict=True)
        ]

    def _effective(self, where: tuple[npt.NDArray[np.intp], ...]) -> Floats:
        counts, total, squared = (
            array[where] for array in (self._trail.counts, self._trail.total, self._trail.squared)
        )
        return Memory(counts, total, squared, counts).effective()


def _blocks(number: int, at_once: int) -> list[slice]:
    return [slice(start, start + at_once) for start in range(0, number, at_once)]


def _part(found: Memory, some: slice) -> Memory:
    return Memory(*(getattr(found, it.name)[some] for it in fields(Memory)))


def _rows(reference: Reference, signals: npt.NDArray[np.intp]) -> Reference:
    """Lay out a reference anew, one row for each of ``signals``."""
    return Reference(*(getattr(reference, it.name)[signals] for it in fields(Reference)))
