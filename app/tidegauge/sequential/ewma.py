"""Histograms remembered over four spans of windows, so that a slow drift adds up and a spike shows.

Of each span λ: S ← (1-λ)S + o, N ← (1-λ)N + n, Q ← (1-λ)²Q + n. Then S/N are shares, n_e = N²/Q is
the number of events that independent sampling would need to be as certain of them, and S·N/Q are
the counts that many would have made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

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

    def of(self, signals: slice) -> "Memory":
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
        pooled = self.pooled + window
        n = pooled.sum(axis=-1)
        moved = n >= LEAST_EVENTS
        keep = KEEP[:, None]
        return Memory(
            np.where(moved[:, None], keep[..., None] * self.counts + pooled, self.counts),
            np.where(moved, keep * self.total + n, self.total),
            np.where(moved, keep**2 * self.squared + n, self.squared),
            np.where(moved[:, None], 0.0, pooled),
        )

    def moves(self, window: Floats) -> npt.NDArray[np.bool_]:
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
