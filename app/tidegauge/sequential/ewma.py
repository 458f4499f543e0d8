"""Histograms remembered over four spans of windows, so that a slow drift adds up and a spike shows.

Of each span λ: S ← (1-λ)S + o, N ← (1-λ)N + n, Q ← (1-λ)²Q + n. Then S/N are shares, n_e = N²/Q is
the number of events that independent sampling would need to be as certain of them, and S·N/Q are
the counts that many would have made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegauge.stats import Bools, Floats, Places

#: Weight of the latest window: itself alone, and means over about 4, 16 and 64 windows.
LAMBDAS = (1.0, 1 / 4, 1 / 16, 1 / 64)

#: Windows are added up until they hold so many events of a signal: the χ² tails need them.
LEAST_EVENTS = 200

#: What is kept of the windows before.
KEEP = np.array([1 - it for it in LAMBDAS])


@dataclass(frozen=True)
class Memory:
    """Sums of ``signals`` signals at four scales; ``counts`` is (4, signals, bins).

    ``total`` and ``squared`` are (4, signals); ``pooled`` (signals, bins) waits for more events.
    """

    counts: Floats
    total: Floats
    squared: Floats
    pooled: Floats

    @classmethod
    def empty(cls, signals: int, bins: int) -> "Memory":
        """Return what is remembered before the first window."""
        scales = len(LAMBDAS)
        return cls(
            np.zeros((scales, signals, bins)),
            np.zeros((scales, signals)),
            np.zeros((scales, signals)),
            np.zeros((signals, bins)),
        )

    @classmethod
    def joined(cls, memories: "Sequence[Memory]") -> "Memory":
        """Return the signals of memories of equal width one after the other."""
        if len(memories) == 1:
            return memories[0]
        return cls(
            np.concatenate([it.counts for it in memories], axis=1),
            np.concatenate([it.total for it in memories], axis=1),
            np.concatenate([it.squared for it in memories], axis=1),
            np.concatenate([it.pooled for it in memories]),
        )

    def of(self, signals: slice | Places) -> "Memory":
        """Return what is remembered of some of the signals."""
        return Memory(
            self.counts[:, signals],
            self.total[:, signals],
            self.squared[:, signals],
            self.pooled[signals],
        )

    def after(self, window: Floats) -> "Memory":
        """Return what is remembered after a window's counts, (signals, bins).

        A signal moves on once its windows since the last time hold ``LEAST_EVENTS``.
        """
        return self.path(window[None]).at(0)

    def path(self, windows: Floats) -> "Memory":
        """Return what is remembered after each of ``windows``, (windows, signals, bins).

        The arrays of the result have windows as their first axis: ``counts`` is (windows, 4,
        signals, bins).
        """
        number, signals, bins = windows.shape
        scales = len(LAMBDAS)
        found = Memory(
            np.empty((number, scales, signals, bins)),
            np.empty((number, scales, signals)),
            np.empty((number, scales, signals)),
            np.zeros((number, signals, bins)),
        )
        counts, total, squared, pooled = self.counts, self.total, self.squared, self.pooled
        keep = KEEP[:, None]
        waits = bool(pooled.any())
        for at, window in enumerate(windows):
            into = pooled + window if waits else window
            n = into.sum(axis=-1)
            moved = n >= LEAST_EVENTS
            step = found.counts[at]
            np.multiply(counts, keep[..., None], out=step)
            step += into
            found.total[at] = keep * total + n
            found.squared[at] = keep**2 * squared + n
            waits = not bool(moved.all())
            if waits:
                found.counts[at] = np.where(moved[:, None], step, counts)
                found.total[at] = np.where(moved, found.total[at], total)
                found.squared[at] = np.where(moved, found.squared[at], squared)
                found.pooled[at] = np.where(moved[:, None], 0.0, into)
            counts, total, squared = found.counts[at], found.total[at], found.squared[at]
            pooled = found.pooled[at]
        return found

    def at(self, windows: int | slice) -> "Memory":
        """Return what a path says of one of its windows, or the path of some of them."""
        return Memory(
            self.counts[windows], self.total[windows], self.squared[windows], self.pooled[windows]
        )

    def moves(self, window: Floats) -> Bools:
        """Return which signals a window's counts move on."""
        return np.asarray((self.pooled + window).sum(axis=-1) >= LEAST_EVENTS)

    def events(self) -> Floats:
        """Return the effective numbers of events, N²/Q, (4, signals)."""
        return np.divide(
            self.total**2, self.squared, out=np.zeros_like(self.total), where=self.squared > 0
        )

    def effective(self) -> Floats:
        """Return the effective counts, (4, signals, bins)."""
        return self.counts * self._weight[..., None]

    def effective_at(self, scales: Places, signals: Places) -> Floats:
        """Return those of some signals on the scale of each, (some, bins)."""
        return np.asarray(self.counts[scales, signals] * self._weight[scales, signals][..., None])

    @property
    def _weight(self) -> Floats:
        return np.divide(
            self.total, self.squared, out=np.zeros_like(self.total), where=self.squared > 0
        )
