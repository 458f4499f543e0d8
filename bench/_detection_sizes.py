"""How big a step is said to be from the alarm on, beside an oracle that knows when it began.

The oracle counts the windows since the onset, all with the same weight, and has the same baseline:
nobody who has these events can know the size better, but for one who knows what kind of change it
is. So what it is off by is what so few events leave open.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from _detection_delay import BEFORE
from _detection_worlds import shares_between
from tidegauge.sequential import BatchInput, Budget, Memory, Reference, SignalReference, judge_batch
from tidegauge.stats import psi_corrected

Floats = npt.NDArray[np.float64]

EVENTS, BASELINE = 1_000, 10_000
STEPS = (0.25, 0.5, 1.0)
AGES = (1, 2, 4, 8, 16, 32, 64)

#: What a size may be off by, of itself.
NEAR = 0.25

_CUTS = stats.norm.ppf([0.01, 0.05, *np.arange(1, 10) / 10, 0.95, 0.99]).tolist()
_BINS = len(_CUTS) + 1


class Sizes(NamedTuple):
    """At an age, in windows: medians as multiples of the true PSI, and the shares near it."""

    step: float
    true_psi: float
    age: int
    median: float
    near: float
    oracle_median: float
    oracle_near: float


def sizes(*, runs: int, seed: int) -> Iterator[Sizes]:
    """Let the detector watch so many signals with each step, and say how big those in alarm are."""
    for step in STEPS:
        rng = np.random.default_rng([seed, 10, round(100 * step)])
        before, after = (shares_between(stats.norm(it).cdf, _CUTS) for it in (0.0, step))
        ours, theirs = after[:_BINS], before[:_BINS]
        true = float(((ours - theirs) * np.log(ours / theirs)).sum())
        counts = rng.multinomial(BASELINE, before, size=runs)
        reference = Reference.of([SignalReference(its, _BINS) for its in counts.tolist()])
        memory, since = Memory.empty(*reference.counts.shape), np.zeros(reference.counts.shape)
        # The threshold is that of one of 20 signals of a model.
        budget = Budget(runs / 20, 43_200.0)
        for number in range(BEFORE + AGES[-1]):
            drifted = number >= BEFORE
            window = rng.multinomial(EVENTS, after if drifted else before, size=runs)
            turn = BatchInput(reference, memory, window.astype(np.float64), budget)
            [(verdict, strongest)] = judge_batch([turn])
            memory = verdict.memory
            since += window * drifted
            age = number - BEFORE + 1
            if age in AGES:
                known = psi_corrected(since, reference.counts) / true
                said = strongest.sizes[verdict.alarms] / true
                yield Sizes(
                    step, true, age, float(np.median(said)) if len(said) else np.nan, _near(said),
                    float(np.median(known)), _near(known),
                )  # fmt: skip


def _near(sizes: Floats) -> float:
    return float((np.abs(sizes - 1) <= NEAR).mean()) if len(sizes) else float("nan")
