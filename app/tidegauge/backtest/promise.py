"""What an alarm budget was worth: alarms that started beside those that it allowed. Pure.

Starts are counted as the budget counts them: a signal is above the threshold in a window, and was
not in the window before. Those of one cause come together, since memories hold the same windows, so
they are no independent events. A start and those in the 64 windows after it, the span of the
longest memory, are a *clump*; clumps are taken for a Poisson process (Aldous 1989, "Probability
Approximations via the Poisson Clumping Heuristic"), and a ratio's interval is that of their number
(Garwood 1936) times the starts of a clump.
"""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from tidegauge.sequential import LAMBDAS, SCORES, Budget, Reference, thresholds
from tidegauge.stats import Bools, Floats
from tidegauge.windows import BaselineLayout

#: Scores are kept from here on, nats, as tails are exact: see ``sequential.conditional``.
LEAST_NATS = 6.0

#: Windows after which two starts have hardly any data in common.
CLUMP_WINDOWS = round(1 / min(LAMBDAS))

#: Windows after which the longest memory has forgotten what came before.
LASTING_WINDOWS = 4 * CLUMP_WINDOWS

#: How sure intervals are.
SURE = 0.95

#: Of as many starts as were promised, the share that is usual without a drift.
_USUAL = 0.5

Numbers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]


def least_nats(thresholds: Floats) -> Floats:
    """Return from where on scores are kept in windows with these thresholds, nats."""
    return np.minimum(thresholds, LEAST_NATS)


def poisson_interval(number: int, alpha: float) -> tuple[float, float]:
    """Return the limits of a Poisson mean of which ``number`` events were seen (Garwood 1936).

    >>> tuple(round(it, 3) for it in poisson_interval(0, 0.05))
    (0.0, 3.689)
    >>> tuple(round(it, 3) for it in poisson_interval(10, 0.05))
    (4.795, 18.39)
    """
    low = float(chdtri(2 * number, 1 - alpha / 2)) / 2 if number else 0.0
    return low, float(chdtri(2 * number + 2, alpha / 2)) / 2


def enough(alpha: float, ratio: float = _USUAL) -> float:
    """Return of how many promised starts the share ``ratio`` shows that the promise is kept.

    >>> enough(0.05), enough(0.0025), round(enough(0.05, 0.8))
    (16.0, 34.0, 96)
    """
    number = 1
    while poisson_interval(number, alpha)[1] * ratio > number:
        number += 1
    return number / ratio


class Alarms(NamedTuple):
    """Alarms at one budget: ``windows`` in alarm, and when each alarm started, epoch seconds.

    ``gap`` is within how many seconds starts belong together, ``longest`` how many windows the
    longest alarm lasted.
    """

    windows: int
    starts: Numbers
    gap: int
    longest: int

    @classmethod
    def joined(cls, some: "Iterable[Alarms]") -> "Alarms":
        """Return those of several slices or signals."""
        found = list(some)
        return cls(
            sum(it.windows for it in found),
            np.sort(np.concatenate([np.zeros(0, np.int64), *(it.starts for it in found)])),
            max((it.gap for it in found), default=0),
            max((it.longest for it in found), default=0),
        )

    @property
    def clumps(self) -> int:
        """How many times starts came together."""
        found, through = 0, -math.inf
        for start in self.starts.tolist():
            if start > through:
                found, through = found + 1, start + self.gap
        return found

    @property
    def each(self) -> float:
        """How many starts a clump has; 1 if there is none."""
        return len(self.starts) / max(self.clumps, 1) if len(self.starts) else 1.0

    def interval(self, promised: float, alpha: float) -> tuple[float, float]:
        """Return the limits of starts for each that was promised."""
        low, high = poisson_interval(self.clumps, alpha)
        return low * self.each / promised, high * self.each / promised


def round_down(multiple: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 … that is no larger.

    >>> round_down(1.9), round_down(74.0), round_down(200.0)
    (1.0, 50.0, 200.0)
    """
    power = 10.0 ** math.floor(math.log10(multiple))
    return power * next(it for it in (5.0, 2.0, 1.0) if it * power <= multiple * (1 + 1e-9))


class ScoreHistory:
    """The strongest scores of the windows of a slice that were binned by one baseline."""

    def __init__(self, layout: BaselineLayout) -> None:
        self.names = layout.names
        self._ordered = layout.reference.is_ordered
        #: Starts that each signal was promised, and windows in which it was scored.
        self.promised: Floats = np.zeros(len(self.names))
        self.judged: Numbers = np.zeros(len(self.names), np.int64)
        self._columns: list[tuple[Numbers, Floats, Floats, Bools]] = []
        self._hits: list[tuple[Indices, Indices, Floats]] = []
        self._windows = self._seconds = 0
        self._fresh = True

    def forget(self) -> None:
        """Take in that what comes next begins with empty memories."""
        self._fresh = True

    def add(
        self,
        starts: Numbers,
        seconds: int,
        surprises: Floats,
        scored: Bools,
        at: Floats,
        slope: float,
        budget: Budget,
    ) -> None:
        """Take in windows of so many ``seconds`` that began at ``starts``, epoch seconds.

        ``surprises`` (windows, signals) are the strongest scores, nats, 0 where below
        :func:`least_nats`; ``scored`` says which signals a report has, with events enough. The
        thresholds are ``at``, (windows,), and fall by ``slope`` where e times as many alarms are
        allowed.
        """
        fresh = np.zeros(len(starts), bool)
        fresh[0], self._fresh = self._fresh, False
        at = np.where(scored.any(axis=1), at, np.inf)
        self._columns.append((starts, at, np.full(len(at), slope), fresh))
        windows, signals = np.nonzero(surprises > least_nats(at)[:, None])
        hits = (windows + self._windows).astype(np.int32), signals.astype(np.int32)
        self._hits.append((*hits, surprises[windows, signals]))
        self._windows += len(starts)
        self._seconds = max(self._seconds, seconds)
        self.judged += scored.sum(axis=0)
        # Signals of a model differ in the number of their scores, and hardly in anything else.
        looks = scored * np.where(self._ordered, len(SCORES), len(SCORES) - 2)
        total = looks.sum(axis=1, keepdims=True)
        share = (looks / np.where(total > 0, total, 1)).sum(axis=0)
        self.promised += budget.alarms / (budget.windows * budget.slices) * share

    @property
    def is_scored(self) -> bool:
        """Whether any window was scored."""
        return bool(self.judged.any())

    @property
    def span(self) -> tuple[int, int]:
        """Return when the first window began and the last one ended, epoch seconds."""
        starts = self._table[0]
        return int(starts[0]), int(starts[-1]) + self._seconds

    @property
    def scored_windows(self) -> int:
        """How many windows had a signal that was scored."""
        return int(np.isfinite(self._table[1]).sum())

    @cached_property
    def _table(self) -> tuple[Numbers, Floats, Floats, Bools]:
        start, at, slopes, fresh = (np.concatenate(its) for its in zip(*self._columns, strict=True))
        return start, at, slopes, fresh

    @cached_property
    def _found(self) -> tuple[Indices, Indices, Floats]:
        windows, signals, surprises = (np.concatenate(its) for its in zip(*self._hits, strict=True))
        order = np.lexsort((windows, signals))
        return windows[order], signals[order], surprises[order]

    def highest_multiple(self) -> float:
        """Return how many times as many alarms may be allowed until scores are not kept."""
        _, at, slopes, _ = self._table
        return math.exp(max(float(((at - LEAST_NATS) / slopes).min()), 0.0))

    def threshold(self, multiple: float) -> float:
        """Return the median threshold, nats, at so many times the budget."""
        return float(np.median(self._thresholds(multiple)[np.isfinite(self._table[1])]))

    def _thresholds(self, multiple: float) -> Floats:
        _, at, slopes, _ = self._table
        return np.asarray(at - slopes * math.log(multiple))

    def _above(self, multiple: float) -> tuple[Indices, Indices]:
        """Return windows and signals in alarm, one signal after the other."""
        windows, signals, surprises = self._found
        above = surprises > self._thresholds(multiple)[windows]
        return windows[above], signals[above]

    def alarms(self, multiple: float = 1.0) -> dict[str, Alarms]:
        """Return the alarms of each signal at so many times the budget."""
        starts, _, _, fresh = self._table
        windows, signals = self._above(multiple)
        goes_on = np.zeros(len(windows), bool)
        goes_on[1:] = (signals[1:] == signals[:-1]) & (windows[1:] == windows[:-1] + 1)
        begins = np.flatnonzero(~goes_on | fresh[windows])
        lasts = np.diff(np.append(begins, len(windows)))
        rows = np.arange(len(self.names) + 1)
        ends, places = np.searchsorted(signals, rows), np.searchsorted(signals[begins], rows)
        found = {}
        for row, name in enumerate(self.names):
            its = slice(places[row], places[row + 1])
            found[name] = Alarms(
                int(ends[row + 1] - ends[row]),
                starts[windows[begins[its]]],
                CLUMP_WINDOWS * self._seconds,
                int(lasts[its].max(initial=0)),
            )
        return found

    def windows_in_alarm(self, multiple: float = 1.0) -> int:
        """Return in how many windows any signal was in alarm."""
        return len(np.unique(self._above(multiple)[0]))

    def in_alarm(self, name: str, multiple: float = 1.0) -> tuple[Numbers, Bools]:
        """Return the starts of all windows, epoch seconds, and in which a signal was in alarm."""
        windows, signals = self._above(multiple)
        found = np.zeros(self._windows, bool)
        found[windows[signals == self.names.index(name)]] = True
        return self._table[0], found


def slope_of(
    budget: Budget, reference: Reference, events: Floats, compared: Floats | None, at: Floats
) -> float:
    """Return by how much thresholds ``at`` fall if e times as many alarms are allowed, nats.

    By that of the budget with which they are as low as scores are kept. ``events`` are (4,
    signals), and so is ``compared`` if the baseline's are not those of the reference. It hardly
    changes from window to window.
    """
    down = float(at[-1]) - LEAST_NATS
    if down < 1:
        return 1.0
    more = Budget(budget.alarms * math.exp(down), budget.windows, budget.slices)
    lower, _ = thresholds([more], reference, events[None], compared, contrasts=compared is None)
    return (float(at[-1]) - float(lower[0, 0])) / down
