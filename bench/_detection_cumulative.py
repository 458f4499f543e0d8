"""CUSUM and EWMA of the windows' mean: the charts that are made for a small shift, as peers.

Both get the mean of all values of a window (bins of a baseline keep 98 % of what that tells), less
the baseline's, in standard deviations of a window's. A CUSUM is designed for a shift: its reference
value is half of it (Page 1954). An EWMA has a weight for the latest window (Roberts 1959). Each is
calibrated on its own to as many false alarms as the detector is allowed: its average run length is
computed as that of a Markov chain (Brook & Evans 1972), with the baseline's error as part of what a
chart sees, and the limit is found by bisection. They watch the mean, and nothing else.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from _detection_delay import BASELINE, BEFORE, EVERY, LONGEST, Delay, delay_of
from _detection_worlds import Drift, Moved

Floats = npt.NDArray[np.float64]

_STATES = 151

#: Of the baseline's error: nodes and weights of half of its normal law. Charts have two sides.
_NODES, _WEIGHTS = (its[4:] for its in np.polynomial.hermite_e.hermegauss(9))

_ROUNDS = 12
_WIDER = 1.3


@dataclass(frozen=True)
class Cusum:
    """Page's, for a shift of the mean by so many standard deviations of a value, up or down."""

    shift: float
    least: ClassVar[float] = 0.3

    def __str__(self) -> str:
        return f"CUSUM for {self.shift:g} sd"

    def rate(self, limit: float, events: int, bias: float) -> float:
        """Return the false alarms in a window, of steps that are off by ``bias``."""
        reference = self.shift * math.sqrt(events) / 2
        return sum(1 / _cusum_length(limit, reference - its) for its in (bias, -bias))

    def begin(self, runs: int) -> Floats:
        """Return the statistics before the first window, up and down: (2, runs)."""
        return np.zeros((2, runs))

    def step(self, before: Floats, steps: Floats, events: int) -> Floats:
        """Return the statistics after a window."""
        reference = self.shift * math.sqrt(events) / 2
        return np.maximum(before + np.stack([steps, -steps]) - reference, 0.0)


@dataclass(frozen=True)
class Ewma:
    """Exponentially weighted mean, with the weight of the latest window."""

    weight: float
    least: ClassVar[float] = 0.1

    def __str__(self) -> str:
        return f"EWMA 1/{1 / self.weight:.0f}"

    def rate(self, limit: float, events: int, bias: float) -> float:
        """Return the false alarms in a window, of steps that are off by ``bias``."""
        return 1 / _ewma_length(limit, self.weight, bias)

    def begin(self, runs: int) -> Floats:
        """Return the statistics before the first window, (2, runs): one for each side."""
        return np.zeros((2, runs))

    def step(self, before: Floats, steps: Floats, events: int) -> Floats:
        """Return the statistics after a window."""
        return np.asarray(before + self.weight * (np.stack([steps, -steps]) - before))


Chart = Cusum | Ewma
CHARTS: tuple[Chart, ...] = (
    Cusum(0.05), Cusum(0.1), Cusum(0.25), Ewma(1 / 4), Ewma(1 / 16),
)  # fmt: skip


@cache
def limit_of(chart: Chart, events: int, *, baseline: int = BASELINE, every: float = EVERY) -> float:
    """Return the limit at which there is a false alarm once in ``every`` windows of a signal."""
    sd = math.sqrt(events / baseline)
    weights = np.where(_NODES > 0, 2, 1) * _WEIGHTS
    weights /= weights.sum()

    def rate(limit: float) -> float:
        rates = [chart.rate(limit, events, bias) for bias in (sd * _NODES).tolist()]
        return float(weights @ rates)

    high = chart.least
    while rate(high) * every > 1:
        high *= _WIDER
    low = high / _WIDER
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if rate(middle) * every > 1:
            low = middle
        else:
            high = middle
    return high


def delays(drift: Drift, *, runs: int, seed: int) -> Mapping[str, Delay]:
    """Return the delay of each chart on a drift of a normal signal."""
    assert isinstance(drift.change, Moved)
    return {str(chart): _delay(chart, drift.change, drift.events, runs, seed) for chart in CHARTS}


def _delay(chart: Chart, change: Moved, events: int, runs: int, seed: int) -> Delay:
    rng = np.random.default_rng([seed, 6, events, *map(ord, str(chart))])
    limit = limit_of(chart, events)
    bias = rng.normal(size=runs) * math.sqrt(events / BASELINE)
    shift = change.mean * math.sqrt(events)
    statistic, found = chart.begin(runs), np.zeros(runs)
    for number in range(BEFORE + LONGEST):
        noise = rng.normal(size=runs)
        steps = noise - bias if number < BEFORE else noise * change.scale + shift - bias
        statistic = chart.step(statistic, steps, events)
        above = statistic.max(axis=0) >= limit
        if number < BEFORE:
            statistic[:, above] = 0.0  # a false alarm: begin again
            continue
        found[above & (found == 0)] = number - BEFORE + 1
        if found.all():
            break
    return delay_of(found)


def _cusum_length(limit: float, reference: float) -> float:
    """Return the mean windows until S = max(S + x - reference, 0) is at ``limit``, from 0."""
    width = limit / (_STATES - 0.5)
    centres = np.arange(_STATES) * width  # the first state is half as wide: 0, and just above
    return _run_length(lambda edges: ndtr(edges - centres[:, None] + reference), centres, width, 0)


def _ewma_length(limit: float, weight: float, bias: float) -> float:
    """Return the mean windows until an EWMA of steps N(bias, 1) is beyond ``limit``, from 0."""
    width = 2 * limit / _STATES
    centres = (np.arange(_STATES) - _STATES // 2) * width

    def below(edges: Floats) -> Floats:
        return np.asarray(ndtr((edges - (1 - weight) * centres[:, None]) / weight - bias))

    return _run_length(below, centres, width, _STATES // 2, both=True)


def _run_length(
    below: Callable[[Floats], Floats],
    centres: Floats,
    width: float,
    start: int,
    *,
    both: bool = False,
) -> float:
    """Return the mean steps of a Markov chain until it leaves its states.

    ``below`` are the probabilities to go from each state to below an edge, (states, edges).
    """
    upper = below(centres + width / 2)
    lower = below(centres - width / 2)
    if not both:
        lower[:, 0] = 0.0  # nothing is below 0
    moves = upper - lower
    try:
        lengths = np.linalg.solve(np.eye(len(centres)) - moves, np.ones(len(centres)))
    except np.linalg.LinAlgError:
        return math.inf  # no step leaves, as far as a float can tell
    length = float(lengths[start])
    return length if length > 0 else math.inf
