"""Histograms remembered over four spans of windows, so that a slow drift adds up and a spike shows.

Of each span λ: S ← (1-λ)S + o, N ← (1-λ)N + n, Q ← (1-λ)²Q + n. Then S/N are shares, n_e = N²/Q is
the number of events that independent sampling would need to be as certain of them, and S·N/Q are
the counts that many would have made.

**Days of a baseline as the detector remembers them**: with weights that fall, at any minute. Blocks
of a day begin where hours do, and what comes at the same minute each night is in one of them with
what the hours expect of it. A memory that is in the middle of it is not.
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


#: How often a memory is looked at, seconds, by the length of the block that it is worth.
STEPS = {240: 120, 900: 300, 3600: 900, 14_400: 3600}

#: Of counts; what is less is rounding of the transform.
_NOTHING = 1e-9


def remembered(blocks: Floats, span: int, step: int) -> tuple[Floats, Floats]:
    """Return what is remembered at the end of each ``step`` seconds, and what makes it effective.

    ``blocks`` are counts by minute, (days, 1440, bins); the memory is worth a block of ``span``
    seconds: 2/λ - 1 minutes. Each day is taken to come after another like it. The results are
    (days, steps, bins) and (days, steps, 1): S and N/Q of ``ewma.py``.
    """
    minutes = blocks.shape[1]
    keep = 1 - 2 / (span / 60 + 1)
    every = step // 60
    n = blocks.sum(axis=-1, keepdims=True)
    counts, squares = _summed(blocks, keep), _summed(n, keep**2)
    ends = slice(every - 1, minutes, every)
    counts, squares = counts[:, ends], squares[:, ends]
    total = counts.sum(axis=-1, keepdims=True)
    weight = np.divide(total, squares, out=np.zeros_like(total), where=squares > 0)
    return counts, weight


def _summed(series: Floats, keep: float) -> Floats:
    """Return Σ keep^age · series over all minutes before, round the day (a circular filter)."""
    minutes = series.shape[1]
    kernel = keep ** np.arange(minutes) / (1 - keep**minutes)
    transformed = np.fft.rfft(series, axis=1) * np.fft.rfft(kernel)[None, :, None]
    found = np.fft.irfft(transformed, n=minutes, axis=1)
    return np.asarray(np.where(found > _NOTHING, found, 0.0))
