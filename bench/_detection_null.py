"""How many false alarms there are for each that the budget allows."""

from typing import NamedTuple

import numpy as np

from _detection_worlds import Kind, draw
from tidegauge.sequential import Budget, Memory
from tidegauge.sequential.engine import judge

#: Signals at once: all models of a cell are stepped together.
_TOGETHER = 400

#: A memory of 64 windows is full by then.
_WINDOWS = 200


class Cell(NamedTuple):
    """A kind of signal, how many of it a model has, events a window, events of the baseline."""

    kind: Kind
    signals: int
    events: int
    baseline: int

    def __str__(self) -> str:
        return f"{self.kind}, d={self.signals}, n={self.events}, m={self.baseline}"


class Achieved(NamedTuple):
    """False alarms seen, and how many the budget allowed; the share of windows ``in_alarm``.

    A permanent alarm is one that starts once.
    """

    seen: int
    nominal: float
    in_alarm: float = 0.0

    @property
    def ratio(self) -> float:
        """Seen ÷ nominal."""
        return self.seen / self.nominal

    @property
    def standard_error(self) -> float:
        """Of the ratio, by Poisson's law."""
        return float(np.sqrt(max(self.seen, 1))) / self.nominal


def achieved(cell: Cell, *, nominal: float, seed: int) -> Achieved:
    """Watch undisturbed models until so many false alarms are allowed, and count them."""
    rng = np.random.default_rng([seed, *map(ord, str(cell))])
    models = max(1, _TOGETHER // cell.signals)
    rounds = 1 if models > 1 else 4
    # All models together have what all of them are allowed: the threshold of each is the same.
    budget = Budget(nominal / rounds, float(_WINDOWS))
    found = np.array([_starts(cell, models, budget, rng) for _ in range(rounds)])
    seen, above = found.sum(axis=0).tolist()
    return Achieved(seen, nominal, above / (rounds * models * _WINDOWS))


def _starts(cell: Cell, models: int, budget: Budget, rng: np.random.Generator) -> tuple[int, int]:
    """Return how many alarms start, and how many windows of all models are in alarm."""
    signals = draw(cell.kind, models * cell.signals, cell.baseline, rng)
    memory = Memory.empty(*signals.shares.shape)
    firing = np.zeros(models, dtype=bool)
    seen = above = 0
    for _ in range(_WINDOWS):
        verdict = judge(signals.reference, memory, signals.window(cell.events, rng), budget)
        memory = verdict.memory
        now = verdict.alarms.reshape(models, cell.signals).any(axis=1)
        seen += int((now & ~firing).sum())
        above += int(now.sum())
        firing = now
    return seen, above
