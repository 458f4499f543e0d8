"""A month of a model whose traffic has a daily cycle, watched with two weeks of baseline.

Windows of a minute, and a thousand events in each. Every window is judged as the detector does, all
windows of half a day at once: memories are linear recursions (tests/bench holds both together).
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.signal import lfilter

from tidegauge.baseline import numeric_edges
from tidegauge.sequential import (
    GRAINS,
    HOURS,
    LAMBDAS,
    Budget,
    DailyReference,
    Dispersion,
    HoursMemory,
    ProfileCalendar,
    Reference,
    SignalReference,
    dispersion_of,
    surprises,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MINUTES = 1440
EVENTS = 1_000
BASELINE_DAYS = 14
DAYS = 30
BUDGET = Budget(alarms=1.0, windows=float(DAYS * MINUTES))

#: Alarms with a shorter gap than that, in windows, are one incident.
_GAP = 60

#: Windows judged at once: the threshold of the last is taken for all, it hardly moves.
_AT_ONCE = 720

#: By then a memory of 64 windows is full.
_WARM_UP = 400

#: How long a drift lasts, in windows, and how many there are.
LASTS = 180
DRIFTS = 20

_SPECIALS = 3


@dataclass(frozen=True)
class World:
    """Normal signals whose mean has a daily sine and AR(1) noise, in standard deviations.

    ``keep`` is what a minute keeps of the noise of the one before. ``spread_noise`` is that of the
    logarithm of the standard deviation, as slow. ``at_night`` has noise in 12 of 24 hours alone.
    """

    name: str
    cycle: float
    noise: float = 0.0
    keep: float = 0.0
    spread_noise: float = 0.0
    at_night: bool = False
    signals: int = 10


WORLDS = (
    World("cycle 0.2", 0.2, signals=20),
    World("cycle 0.3", 0.3),
    World("cycle 0.3, noise 0.05 over 50 minutes", 0.3, 0.05, 0.98),
    World("cycle 0.3, noise 0.1 over 10 minutes", 0.3, 0.1, 0.9),
    World("cycle 0.3, noise 0.1 over 50 minutes", 0.3, 0.1, 0.98),
    World("cycle 0.3, noise 0.1 over 16 hours", 0.3, 0.1, 0.999),
    World("the same, and of the spread 0.05, over 50 minutes", 0.3, 0.1, 0.98, 0.05),
    World("cycle 0.3, noise 0.1 over 50 minutes, at night", 0.3, 0.1, 0.98, at_night=True),
)
QUICK = (replace(WORLDS[0], signals=2),)


class Month(NamedTuple):
    """Incidents in a month by baseline, the share of minutes in alarm by the fixed one, delays.

    ``delays`` are in windows, of drifts of 0.25 standard deviations, infinite if not found.
    """

    by_hour: int
    fixed: int
    fixed_share: float
    delays: list[float]


def month(world: World, *, seed: int) -> Month:
    """Learn a baseline, watch a month without a drift, and twenty drifts one by one."""
    rng = np.random.default_rng([seed, 5, *map(ord, world.name)])
    signals = _Signals.draw(world, rng)
    hourly, fixed = [], []
    for windows, weights in signals.windows(DAYS, rng):
        hourly.append(_alarms(signals.daily, windows, weights, BUDGET))
        fixed.append(_fixed_alarms(signals.daily.pooled, windows))
    return Month(
        incidents(np.concatenate(hourly)),
        incidents(np.concatenate(fixed)),
        float(np.concatenate(fixed).mean()),
        [_delay(world, signals, rng) for _ in range(DRIFTS)],
    )


class ZoneDelay(NamedTuple):
    """Median windows until a mean that is off is in alarm; infinite if that is not in a day."""

    off: float
    zone_named: float
    no_zone: float


def zone_delays(
    *, runs: int, seed: int, offs: Sequence[float] = (0.05, 0.1, 0.25)
) -> list[ZoneDelay]:
    """Measure what it costs that clocks may change, of signals with a cycle, at any hour."""
    world, found = WORLDS[0], []
    for off in offs:
        rng = np.random.default_rng([seed, 6])
        delays: tuple[list[float], list[float]] = ([], [])
        for _ in range(runs):
            signals = _Signals.draw(replace(world, signals=1), rng)
            without = replace(signals, daily=replace(signals.daily, zone_is_known=False))
            draws = int(rng.integers(2**32))
            for some, its in zip(delays, (signals, without), strict=True):
                same = np.random.default_rng(draws)
                some.append(_delay(world, its, same, off=off, lasts=MINUTES))
        found.append(ZoneDelay(off, *map(statistics.median, delays)))
    return found


def incidents(alarms: Bools) -> int:
    """Count the episodes of alarms, those with a gap of an hour and more between them.

    >>> alarms = np.zeros(500, dtype=bool)
    >>> alarms[[3, 40, 41, 200, 400, 459]] = True
    >>> incidents(alarms)
    3
    """
    at = np.flatnonzero(alarms)
    return int(at.size > 0) + int((np.diff(at) >= _GAP).sum())


@dataclass(frozen=True)
class _Signals:
    """What a baseline has learnt, and what goes on."""

    world: World
    daily: DailyReference
    edges: list[list[float]]
    phases: Floats

    @classmethod
    def draw(cls, world: World, rng: np.random.Generator) -> "_Signals":
        phases = rng.uniform(0, 2 * np.pi, world.signals)
        references, estimates, hours, edges = [], [], [], []
        for phase in phases:
            mean, sd = _levels(world, phase, BASELINE_DAYS * MINUTES, rng)
            sample = rng.integers(0, len(mean), 50_000)
            cuts = numeric_edges(rng.normal(mean[sample], sd[sample]))
            blocks = _counts(mean, sd, cuts, rng).reshape(BASELINE_DAYS, MINUTES, -1)
            whole = blocks.sum(axis=(0, 1)).astype(int).tolist()
            references.append(SignalReference(whole, len(cuts) + 1))
            estimates.append(dispersion_of(Reference.of(references[-1:]), blocks))
            by_hour = blocks.reshape(BASELINE_DAYS, HOURS, -1, blocks.shape[-1])
            hours.append(by_hour.sum(axis=(0, 2)))
            edges.append(cuts)
        fields = ("excess", "degrees", "skewness", "by_hour")
        known = (np.array([getattr(it, field) for it in estimates]) for field in fields)
        dispersion = Dispersion(estimates[0].seconds, *known)
        daily = DailyReference.of(Reference.of(references), np.array(hours), dispersion)
        return cls(world, daily, edges, phases)

    def windows(self, days: int, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
        """Yield what is remembered after each minute, (windows, 4, signals, bins), and its hours.

        Hours are (windows, 4, signals, 24): of all signals alike.
        """
        counted = []
        for phase, cuts in zip(self.phases, self.edges, strict=True):
            mean, sd = _levels(self.world, phase, days * MINUTES, rng)
            counted.append(_counts(mean, sd, cuts, rng))
        yield from remembered(np.stack(counted, axis=1), minute=0)


def remembered(counts: Floats, *, minute: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield the effective counts after windows of counts (windows, signals, bins), and their hours.

    ``minute`` of the day is when the first window begins. Half a day at a time.
    """
    windows, signals, bins = counts.shape
    known = np.array([ProfileCalendar().weights(60 * it, 60 * it + 60) for it in range(MINUTES)])
    hours = EVENTS * known[(minute + np.arange(windows)) % MINUTES]
    series = np.concatenate([counts, np.repeat(hours[:, None], signals, axis=1)], axis=-1)
    keeps = [1 - it for it in LAMBDAS]
    states = [np.zeros((1, *series.shape[1:])) for _ in keeps]
    for first in range(0, windows, _AT_ONCE):
        some = series[first : first + _AT_ONCE]
        age = 1.0 + first + np.arange(len(some))
        found, weights = [], []
        for scale, keep in enumerate(keeps):
            out, states[scale] = lfilter([1.0], [1.0, -keep], some, axis=0, zi=states[scale])
            found.append(out)
            # n_e = N² / Q, where every window has as many events.
            weights.append((1 - keep**age) / (1 - keep) * (1 - keep**2) / (1 - keep ** (2 * age)))
        both = np.stack(found, axis=1)
        yield both[..., :bins] * np.stack(weights, axis=1)[..., None, None], both[..., bins:]


def hours_memory(effective: Floats, hours: Floats) -> HoursMemory:
    """Return the hours behind effective counts of windows of ``EVENTS`` events each."""
    windows = effective.sum(axis=-1) / EVENTS
    return HoursMemory(hours, np.zeros(0), hours.sum(axis=-1) ** 2 / windows)


def _alarms(daily: DailyReference, effective: Floats, hours: Floats, budget: Budget) -> Bools:
    expected = daily.expected(hours_memory(effective, hours), 60.0, effective)
    its = expected.reference
    last = replace(its, counts=its.counts[-1], linear=its.linear[-1], quadratic=its.quadratic[-1])
    threshold, _ = budget.threshold(last, effective[-1].sum(axis=-1))
    return np.asarray((expected.surprises(effective) > threshold).any(axis=(1, 2, 3)))


def _fixed_alarms(pooled: Reference, effective: Floats) -> Bools:
    threshold, _ = BUDGET.threshold(pooled, effective[-1].sum(axis=-1))
    return np.asarray(
        (surprises(pooled, effective, GRAINS[:, None]) > threshold).any(axis=(1, 2, 3))
    )


def _delay(
    world: World,
    signals: "_Signals",
    rng: np.random.Generator,
    off: float = 0.25,
    lasts: int = LASTS,
) -> float:
    """Return the windows from a drift's first to the alarm of its signal, that one included.

    Infinite if there is none as long as it lasts. The signal has its share of the model's budget.
    """
    at = int(rng.integers(_WARM_UP, MINUTES))
    mean, sd = _levels(world, signals.phases[0], at + lasts, rng)
    mean[at:] += off
    before = at - _WARM_UP
    counts = _counts(mean, sd, signals.edges[0], rng)[before:, None]
    share = Budget(BUDGET.alarms / world.signals, BUDGET.windows)
    first = _first_of(signals.daily)
    found = [_alarms(first, *its, share) for its in remembered(counts, minute=before)]
    late = np.flatnonzero(np.concatenate(found)[_WARM_UP:])
    return float(late[0]) + 1 if late.size else float("inf")


def _first_of(daily: DailyReference) -> DailyReference:
    pooled, known = daily.pooled, daily.dispersion
    bins = int(pooled.exists[0].sum())
    one = (slice(0, 1), slice(0, bins))
    fields = (
        pooled.counts,
        pooled.exists,
        pooled.ordered,
        pooled.linear,
        pooled.quadratic,
        pooled.excess,
        pooled.new,
    )
    wide = (known.excess, known.degrees, known.skewness)
    return DailyReference(
        Reference(*(it[one] for it in fields)),
        daily.shares[:1, :, :bins],
        daily.events[:1],
        Dispersion(known.seconds, *(it[:1] for it in wide), known.by_hour[:1]),
        zone_is_known=daily.zone_is_known,
    )


def _levels(
    world: World, phase: float, minutes: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    t = 2 * np.pi * np.arange(minutes) / MINUTES
    noisy = np.sin(t) > 0 if world.at_night else np.ones(minutes)
    mean = world.cycle * np.sin(t + phase) + noisy * _ar(world.noise, world.keep, minutes, rng)
    return mean, np.exp(_ar(world.spread_noise, world.keep, minutes, rng))


def _ar(sd: float, keep: float, minutes: int, rng: np.random.Generator) -> Floats:
    """Return an AR(1) process that has been going on for long."""
    before = 5_000
    steps = rng.normal(size=minutes + before) * sd * np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], steps)[before:])


def _counts(mean: Floats, sd: Floats, cuts: list[float], rng: np.random.Generator) -> Floats:
    below = stats.norm.cdf((np.asarray(cuts) - mean[:, None]) / sd[:, None])
    ends = np.zeros((len(mean), 1)), np.ones((len(mean), 1))
    shares = np.diff(np.hstack([ends[0], below, ends[1]]), axis=1)
    shares = np.hstack([shares, np.zeros((len(mean), _SPECIALS))])
    return rng.multinomial(EVENTS, shares).astype(np.float64)
