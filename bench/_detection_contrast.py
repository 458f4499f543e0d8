"""How often a mean that is contrasted with the longest span is beyond a level, without a drift.

The windows of a memory that has seen 160 are drawn one by one, tilted by what each counts in the
contrast, the baseline against that, and weighed by their likelihood ratio (``_detection_tails``).
"""

from dataclasses import fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential import (
    GRAINS,
    LAMBDAS,
    SCORES,
    Contrast,
    Memory,
    Reference,
    SignalReference,
    surprises,
)

Floats = npt.NDArray[np.float64]

_WINDOWS = 160

#: Standard deviations that drifts go to.
_AIMS = (-5.5, -4.8, 4.8, 5.5, 7.0)

#: Memories at a time.
_AT_ONCE = 1_000

#: Exponents of the tilts are cut here.
_MOST = 8.0

_KEPT = np.array([(1 - it) ** np.arange(_WINDOWS) for it in LAMBDAS])


def contrasted(
    shares: Floats, events: int, baseline: int, place: int, samples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return logarithms of weights and the surprises of the mean, both (samples,).

    ``place`` is that of the span in ``LAMBDAS``.
    """
    score = _reference(np.maximum(np.round(shares * 1e6), 1)[None]).linear[0]
    total, squared = ((_KEPT**power).sum(axis=1)[:, None] * events for power in (1, 2))
    empty = np.zeros((4, 1, len(shares)))
    known = Contrast.of(Memory(empty, total, squared, empty[0]), np.array([float(baseline)]))
    c = float(known.weights[place, 0])
    u = _KEPT[place] / _KEPT[place].sum() - c * _KEPT[-1] / _KEPT[-1].sum()
    error = np.sqrt((u**2).sum() / events + (1 - c) ** 2 / baseline)
    laws = [
        _Law(
            shares,
            _cut(aim / error / events * u[:, None] * score),
            _cut(aim / error / baseline * (c - 1) * score),
        )
        for aim in (0.0, *_AIMS)
    ]
    each = max(round(samples / len(laws) / _AT_ONCE), 1)
    parts = []
    for law in laws:
        for _ in range(each):
            windows, rows = law.draw(events, baseline, rng)
            logs = np.array([it.log(windows, rows, events) for it in laws])
            parts.append((np.einsum("swb,kw->ksb", windows, _KEPT), logs, rows))
    counts, logs, theirs = (
        np.concatenate([it[at] for it in parts], axis=axis) for at, axis in enumerate((1, 1, 0))
    )
    top = logs.max(axis=0)
    number = logs.shape[1]
    weights = logs[0] - top - np.log(np.exp(logs - top).mean(axis=0)) - np.log(number)
    rows = _reference(theirs)
    places = np.full(number, place), np.arange(number)
    all_, squares = (np.repeat(it, number, axis=1) for it in (total, squared))
    memory = Memory(counts, all_, squares, np.zeros(counts.shape[1:]))
    contrast = Contrast.of(memory, rows.total[:, 0]).of_rows(places)
    found = surprises(rows, memory.effective_at(*places), GRAINS[place], contrast)
    return weights, found[:, SCORES.index("mean")]


class _Law(NamedTuple):
    """A drift: what the logarithms of the shares change by, in each window and in the baseline."""

    shares: Floats
    windows: Floats
    baseline: Floats

    def draw(self, events: int, baseline: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return counts of windows (some, windows, bins), and of a baseline for each of these."""
        shares = self.shares * np.exp(self.windows)
        shares /= shares.sum(axis=-1, keepdims=True)
        windows = rng.multinomial(events, shares, (_AT_ONCE, _WINDOWS)).astype(np.float64)
        theirs = self.shares * np.exp(self.baseline)
        rows = rng.multinomial(baseline, theirs / theirs.sum(), _AT_ONCE).astype(np.float64)
        return windows, rows

    def log(self, windows: Floats, baseline: Floats, events: int) -> Floats:
        """Return ln of the likelihood ratio to no drift, of each sample."""
        free = events * np.log(np.exp(self.windows) @ self.shares).sum()
        free += baseline[0].sum() * np.log(np.exp(self.baseline) @ self.shares)
        found = np.einsum("swb,wb->s", windows, self.windows)
        return np.asarray(found + baseline @ self.baseline - free)


def _reference(counts: Floats) -> Reference:
    kinds, which = np.unique(counts.astype(int), axis=0, return_inverse=True)
    laid_out = Reference.of([SignalReference(row, counts.shape[1]) for row in kinds.tolist()])
    return Reference(*(getattr(laid_out, it.name)[which.ravel()] for it in fields(Reference)))


def _cut(exponents: Floats) -> Floats:
    return np.asarray(np.clip(exponents, -_MOST, _MOST))
