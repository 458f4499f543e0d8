"""How soon a dependence of features that is lost shows in their joint signals.

Features are standard normal before and after; only what they have to do with each other changes:
a correlation of .8 of two of them, or an exclusive or of the signs of three. Which they are is
drawn anew in each run, as are baseline and windows.
"""

import statistics
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.baseline import FeatureScale, JointSums, draw_projections, numeric_counts
from tidegauge.baseline.binning import numeric_edges
from tidegauge.sequential import (
    BatchInput,
    Budget,
    Memory,
    Reference,
    SignalReference,
    judge_batch,
)

Floats = npt.NDArray[np.float64]
_World = Callable[[np.random.Generator, int, Floats], None]

BASELINE, EVENTS = 10_000, 1_000
_WINDOWS_A_MONTH = 30 * 24 * 60
_BEFORE, _LONGEST = 6, 30


class JointDelay(NamedTuple):
    """Median windows to the first alarm, and the share of runs in which it came within 30."""

    case: str
    median: float
    seen: float


def joint_delays(*, quick: bool, seed: int) -> Iterator[JointDelay]:
    """Measure each dependence among so many features, by so many projections or pairs."""
    runs = 5 if quick else 40
    for name, world in (("correlation 0.8 lost", _correlated), ("exclusive or lost", _exclusive)):
        for features in (5, 10) if quick else (5, 10, 20, 50):
            for projections in (8,) if quick else (8, 32):
                rng = np.random.default_rng([seed, features, projections])
                found = [_delay(world, features, projections, rng) for _ in range(runs)]
                seen = sum(it <= _LONGEST for it in found) / runs
                case = f"{name}, {features} features, {projections} projections"
                yield JointDelay(case, statistics.median(found), seen)


class JointStarts(NamedTuple):
    """False alarms that joint signals started of those that they were allowed."""

    case: str
    starts: int
    allowed: float

    @property
    def ratio(self) -> str:
        """Achieved ÷ promised, with its standard error by Poisson's law."""
        error = max(self.starts, 1) ** 0.5 / self.allowed
        return f"{self.starts / self.allowed:.2f} ± {error:.2f}"


def joint_starts(*, quick: bool, seed: int) -> Iterator[JointStarts]:
    """Watch joint signals without a drift, of features some of which depend on each other."""
    runs, windows, allowed = (4, 30, 3.0) if quick else (40, 60, 3.0)
    for features, projections in ((5, 8), (20, 32)):
        rng = np.random.default_rng([seed, 17, features])
        starts = 0
        for _ in range(runs):
            layout, window = _undisturbed(_correlated, features, projections, rng)
            memory = Memory.empty(*layout.counts.shape)
            budget, before = Budget(allowed, float(windows), 1), np.zeros(len(layout.counts), bool)
            for _ in range(windows):
                [judged] = judge_batch([BatchInput(layout, memory, window(), budget)])
                memory, now = judged.verdict.memory, judged.verdict.alarms
                starts += int((now & ~before).sum())
                before = now
        case = f"{features} features, {projections} projections"
        yield JointStarts(case, starts, runs * allowed)


def _correlated(rng: np.random.Generator, rows: int, values: Floats) -> None:
    values[:, 1] = 0.8 * values[:, 0] + 0.6 * values[:, 1]


def _exclusive(rng: np.random.Generator, rows: int, values: Floats) -> None:
    values[:, 2] = np.abs(values[:, 2]) * np.sign(values[:, 0] * values[:, 1])


def _undisturbed(
    world: _World, features: int, projections: int, rng: np.random.Generator
) -> tuple[Reference, Callable[..., Floats]]:
    """Return a baseline's reference of joint signals, and what draws counts of a window of them."""
    names = [f"x{at}" for at in rng.permutation(features)]  # the world's are anywhere in the deal
    weights = {
        str(number): its for number, its in enumerate(draw_projections(names, projections, []))
    }
    sums = JointSums(dict.fromkeys(names, FeatureScale(centre=0.0, scale=1.0)), weights)
    places = [names.index(name) for name in sums.features]

    def columns(rows: int, disturb: bool) -> list[Floats]:
        values = rng.normal(size=(rows, features))
        if not disturb:
            world(rng, rows, values)
        return sums.columns(list(values.T[places]))

    baseline = columns(BASELINE, disturb=False)
    edges = [numeric_edges(column) for column in baseline]
    counted = [_counts(*its) for its in zip(baseline, edges, strict=True)]
    reference = Reference.of([SignalReference(it, len(it) - 3) for it in counted])

    def window(disturb: bool = False) -> Floats:
        counts = np.zeros(reference.counts.shape)
        found = columns(EVENTS, disturb)
        for row, its in zip(counts, zip(found, edges, strict=True), strict=True):
            bins = _counts(*its)
            row[: len(bins)] = bins
        return counts

    return reference, window


def _delay(world: _World, features: int, projections: int, rng: np.random.Generator) -> float:
    reference, window = _undisturbed(world, features, projections, rng)
    memory = Memory.empty(*reference.counts.shape)
    # The features have their part of the budget.
    share = projections / (projections + features)
    budget = Budget(share, float(_WINDOWS_A_MONTH), 1)
    for number in range(_BEFORE + _LONGEST):
        counts = window(number >= _BEFORE)
        [judged] = judge_batch([BatchInput(reference, memory, counts, budget)])
        memory = judged.verdict.memory
        if number >= _BEFORE and judged.verdict.alarms.any():
            return float(number - _BEFORE + 1)
    return float("inf")


def _counts(values: Floats, edges: list[float]) -> list[int]:
    return [*numeric_counts(values, edges).tolist(), 0, 0, 0]
