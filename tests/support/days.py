"""Days of a signal whose level follows the hour, one block a minute."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.signal import lfilter

from tidegauge.baseline.binning import EDGE_PERCENTS
from tidegauge.sequential.calendar import HOURS
from tidegauge.sequential.daily import DailyReference, Dispersion
from tidegauge.sequential.dispersion import dispersion_of
from tidegauge.sequential.reference import Reference, SignalReference

Floats = npt.NDArray[np.float64]

MINUTES = 1440
CUTS = stats.norm.ppf(np.array(EDGE_PERCENTS) / 100)


def levels(
    days: int, rng: np.random.Generator, *, cycle: float, noise: float = 0.0, keep: float = 0.0
) -> Floats:
    """Return a sine by the day of amplitude ``cycle``, and an AR(1) process of sd ``noise``."""
    t = np.arange(days * MINUTES)
    steps = rng.normal(size=len(t) + 3000) * noise * np.sqrt(1 - keep**2)
    around: Floats = lfilter([1.0], [1.0, -keep], steps)[3000:]
    return cycle * np.sin(2 * np.pi * t / MINUTES) + around


def counted(level: Floats, events: int, rng: np.random.Generator) -> Floats:
    """Return counts by minute of normal values around ``level``: 14 bins, two that stay empty."""
    below = stats.norm.cdf(CUTS[None] - level[:, None])
    ends = np.zeros((len(level), 1)), np.ones((len(level), 1))
    shares = np.diff(np.hstack([ends[0], below, ends[1]]), axis=1)
    shares = np.hstack([shares, np.zeros((len(level), 2))])
    return rng.multinomial(events, shares).astype(np.float64)


class Days(NamedTuple):
    """A baseline of one signal."""

    pooled: Reference
    daily: DailyReference


def learned(blocks: Floats) -> Days:
    """Make a baseline of counts by minute of whole days."""
    blocks = blocks.reshape(-1, MINUTES, blocks.shape[-1])
    whole = blocks.sum(axis=(0, 1)).astype(int).tolist()
    pooled = Reference.of([SignalReference(whole, len(CUTS) + 1)])
    found = dispersion_of(pooled, blocks)
    hours = blocks.reshape(len(blocks), HOURS, -1, blocks.shape[-1]).sum(axis=(0, 2))
    dispersion = Dispersion(
        found.seconds,
        found.excess[None],
        found.degrees[None],
        found.skewness[None],
        found.by_hour[None],
    )
    return Days(pooled, DailyReference.of(pooled, hours[None], dispersion))
