"""By how much more than by sampling a signal varied in its baseline, for spans of each length.

The days of the baseline are cut into blocks, each compared with what its hours lead one to expect.
Of scores d of blocks of n events, of unit variance for one event, E d² = 1/n + τ²; so with
φ = Σ n d² / blocks,

    τ² = (φ - (1 - shrinkage)) / mean n,

where what is expected was made of the same days and is nearer to them by the shrinkage, 1/days for
blocks of an hour and more. By as much as that the blocks to come will be farther off: τ² is
multiplied by (days + 1) / (days - 1). Days are independent, blocks of a day need not be: the
variance of φ is that between days, and its degrees of freedom are 2 φ² / variance (Satterthwaite
1946; by clusters, Liang & Zeger 1986). Two standard errors are added to τ²: to take a signal for
steadier than it is means false alarms every month.

Blocks begin where hours do, so what comes at the same minutes each day is averaged out of the
longer ones. The same is estimated from memories with falling weights (``day_memories.py``), and the
larger τ² counts.

Degrees of freedom say also how heavy the tails of the scores are (``heavy_tails.py``): the fewer of
the two count.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.calendar import HOURS, ProfileCalendar
from tidegauge.sequential.daily import DailyReference, Dispersion
from tidegauge.sequential.ewma import LEAST_EVENTS, STEPS, remembered
from tidegauge.sequential.expected import (
    BINS,
    MEAN,
    SHAPE,
    SPREAD,
    Expected,
    in_one_direction,
)
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.tails import carried, of_bin, of_score, of_shape, tail_degrees
from tidegauge.sequential.weeks import BaselineDays
from tidegauge.stats import Floats, Places

#: Length of blocks, seconds: the shortest that is counted, and what days can be cut into.
BLOCK_SECONDS = 60
SPANS = (60, 240, 900, 3600, 14_400, 86_400)

#: Degrees of freedom of what is as good as known.
MOST_DEGREES = 10_000.0

#: Hours of day differ by what blocks of about so many seconds tell: an hour has enough of them.
_HOUR_FROM = 900

#: An excess that nothing is significant against: what one event varies by.
_UNKNOWN = 1.0

#: Events that count as sure: those of the hours themselves are accounted for by the shrinkage.
_SURE = 1e12

_HOUR_SECONDS = 3600
_DAY_SECONDS = 86_400


class Estimate(NamedTuple):
    """τ², degrees of freedom, skewness by (spans, directions), for ``seconds`` of each span.

    ``by_hour`` (24,) is what τ² is to be multiplied by. ``own`` is how much of what is expected of
    each kind of day is of its own days; None if all are of one kind.
    """

    seconds: list[int]
    excess: Floats
    degrees: Floats
    skewness: Floats
    by_hour: Floats
    own: Floats | None = None


def dispersion_of(pooled: Reference, blocks: Floats, known: BaselineDays | None = None) -> Estimate:
    """Estimate the dispersion of one signal from its counts, (days, blocks of a minute, bins).

    ``pooled`` is the reference of that one signal, ``known`` says of what kind each of the days is;
    without it, all are of one. Spans whose blocks mostly hold fewer than 200
    events, which the detector would not score either, are left out; raises ``ValueError`` if that
    leaves none.
    """
    days = known or BaselineDays.of(ProfileCalendar(), np.arange(len(blocks)))
    cells = days.cells(blocks)
    own = days.own_weights(pooled, cells)
    if own is None:
        days = days.alike()
    profiles = days.by_kind(cells).reshape(1, -1, blocks.shape[-1])
    zero = np.zeros((1, 1, 1))
    none = Dispersion([1.0], zero, zero, zero, np.ones((1, HOURS)))
    mixed = None if own is None else own[None]
    shares = DailyReference.of(pooled, profiles, none, days.calendar, mixed).shares[0]
    expected = blocks.sum(axis=-1, keepdims=True) * days.expected(shares)
    leverage = days.leverage(own)
    found = [
        _of_span(pooled, blocks, expected, leverage, seconds)
        for seconds in SPANS
        if _is_filled(_longer(blocks, seconds))
    ]
    if not found:
        raise ValueError(f"on most days there are fewer than {LEAST_EVENTS} events")
    of_hours = min(found, key=lambda it: abs(np.log(it.seconds / _HOUR_FROM)))
    by_hour = of_hours.by_hour if of_hours.seconds <= _HOUR_SECONDS else np.ones(HOURS)
    return Estimate(
        [it.seconds for it in found],
        np.array([it.excess for it in found]),
        carried([it.seconds for it in found], np.array([it.degrees for it in found])),
        np.array([it.skewness for it in found]),
        by_hour,
        own,
    )


def _of_span(
    pooled: Reference,
    blocks: Floats,
    expected: Floats,
    leverage: tuple[float, float],
    seconds: int,
) -> "_Span":
    """Compare days with what is expected of them, over blocks and by memories as long.

    Where memories vary by more, as with what comes at the same minutes each day, they count.
    """
    longer, its = _longer(blocks, seconds), _longer(expected, seconds)
    found = _over(pooled, longer, its, leverage, (seconds, seconds))
    if seconds not in STEPS:
        return found
    counts, weight = remembered(blocks, seconds, STEPS[seconds])
    if not _is_filled(counts * weight):
        return found
    its = remembered(expected, seconds, STEPS[seconds])[0] * weight
    other = _over(pooled, counts * weight, its, leverage, (seconds, STEPS[seconds]))
    more = other.excess > found.excess
    excess = np.where(more, other.excess, found.excess)
    part = np.where(more, found.excess / np.where(more, excess, 1.0), 1.0)
    return found._replace(
        excess=excess,
        degrees=np.where(more, np.minimum(other.degrees, found.degrees), found.degrees),
        skewness=found.skewness * part**1.5,  # the same cube, in units of the larger variance
    )


def _longer(blocks: Floats, seconds: int) -> Floats:
    days, _, bins = blocks.shape
    return np.asarray(blocks.reshape(days, _DAY_SECONDS // seconds, -1, bins).sum(axis=2))


def _is_filled(blocks: Floats) -> bool:
    events = blocks.sum(axis=-1)
    return bool(events[events >= LEAST_EVENTS].sum() > events.sum() / 2)


class _Span(NamedTuple):
    """What blocks of one length tell."""

    seconds: int
    excess: Floats
    degrees: Floats
    skewness: Floats
    by_hour: Floats


def _over(
    pooled: Reference,
    blocks: Floats,
    expected: Floats,
    leverage: tuple[float, float],
    spans: tuple[int, int],
) -> _Span:
    """Compare blocks (days, blocks, bins) with what is expected of them.

    Each is so many seconds, the first of ``spans``, and there is one each second of them.
    """
    seconds, step = spans
    events = blocks.sum(axis=-1)
    kept = events >= LEAST_EVENTS
    day, number = np.nonzero(kept)
    of = _Blocks(day, number * step // _HOUR_SECONDS, len(blocks), seconds, leverage)
    counts, n = blocks[kept], events[kept][:, None]
    shares = expected[kept] / n
    directions = BINS + blocks.shape[-1]
    excess, degrees = np.zeros(directions), np.full(directions, MOST_DEGREES)
    skewness, by_hour = np.zeros(directions), np.ones(HOURS)
    df = np.ones(len(n), dtype=np.int64)

    def against() -> Expected:
        return Expected.of(pooled, shares[:, None] * _SURE, excess, degrees, skewness)

    def note(direction: int, squares: Floats, counted: Floats, fourth: Floats) -> None:
        """``squares`` are n d², of blocks of so many events; ``fourth`` see ``tail_degrees``."""
        excess[direction], known = of.excess(squares, counted)
        more = of.by_hour(squares, counted, excess[direction])
        beyond = np.maximum(excess[direction] * more[of.hour], 0.0) * counted
        which = df if direction == SHAPE else np.ones_like(df)
        _, free = in_one_direction(which, beyond)
        size = 1 + beyond
        heavy = tail_degrees(squares / size, free, fourth / size**2, known)
        degrees[direction] = min(known, heavy)
        if direction < BINS:
            np.maximum(by_hour, more, out=by_hour)

    values = (counts * pooled.ordered[0]).sum(axis=-1)
    for direction in (MEAN, SPREAD):  # what is the mean's is taken off the spread
        if (pooled.linear, pooled.quadratic)[direction - MEAN].any():
            expect = against()
            moved = expect.moments(counts[:, None])[direction - MEAN][:, 0]
            score = (expect.reference.linear, expect.reference.quadratic)[direction - MEAN][:, 0]
            note(direction, values * moved**2, values, of_score(shares, score, values))
            third = (shares * score**3).sum(axis=-1) / np.maximum(values, 1.0) ** 2
            skewness[direction] = _skewness(moved, third, excess[direction])
    fitted = against().fitted(counts[:, None]).counts[:, 0] / _SURE
    freed = int(pooled.linear.any()) + int(pooled.quadratic.any())
    df = np.maximum((fitted > 0).sum(axis=-1) - 1 - freed, 1)
    size = n[:, 0]
    note(SHAPE, _pearson(counts, n * fitted).sum(axis=-1) / df, size, of_shape(fitted, size, df))
    each = _pearson(counts, n * fitted) / np.where(fitted < 1, 1 - fitted, 1.0)
    for bin_ in np.flatnonzero(pooled.counts[0]):
        note(BINS + int(bin_), each[:, bin_], size, of_bin(fitted[:, bin_], size))
    return _Span(seconds, excess, degrees, skewness, by_hour)


def _skewness(deviations: Floats, sampling: Floats, excess: float) -> float:
    """Return the mean cube, less what sampling makes it, ÷ τ³; 0 if that is no more than chance.

    Its standard error is sqrt(6 / blocks) of the cube of the deviations' standard deviation, for
    normal ones (Fisher 1930).
    """
    cube = float((deviations**3 - sampling).mean())
    error = np.sqrt(6 / len(deviations)) * float((deviations**2).mean()) ** 1.5
    return cube / excess**1.5 if abs(cube) > 2 * error else 0.0


def _pearson(counts: Floats, expected: Floats) -> Floats:
    there = expected > 0
    return np.where(there, (counts - expected) ** 2 / np.where(there, expected, 1.0), 0.0)


class _Blocks(NamedTuple):
    """Day and hour of day of each block, how many days there are, and the length of a block.

    ``leverage`` is that of ``BaselineDays``.
    """

    day: Places
    hour: Places
    days: int
    seconds: int
    leverage: tuple[float, float]

    def excess(self, squares: Floats, events: Floats) -> tuple[float, float]:
        """Return τ², with two standard errors, and the degrees of freedom of φ."""
        blocks, sums, total = (
            self._by(self.day, self.days, it) for it in (events > 0, squares, events)
        )
        if total.sum() < LEAST_EVENTS * self.days / 2:
            return _UNKNOWN, MOST_DEGREES
        phi = float(sums.sum() / blocks.sum())
        between = ((sums - phi * blocks) ** 2).sum() / blocks.sum() ** 2
        variance = max(
            float(between) * self.days / (self.days - 1), 2 * phi**2 / float(blocks.sum())
        )
        factor = self.leverage[1]
        estimate = max(phi - self._unshrunk, 0.0) * factor + 2 * np.sqrt(variance)
        degrees = 2 * phi**2 / variance if variance > 0 else MOST_DEGREES
        return (
            float(estimate * blocks.sum() / total.sum()),
            float(np.clip(degrees, 1.0, MOST_DEGREES)),
        )

    def by_hour(self, squares: Floats, events: Floats, excess: float) -> Floats:
        """Return τ² of each hour of day with its two neighbours, in units of ``excess``.

        1 in each if that is 0, as it is of the shape of a signal that never varied.
        """
        if not excess:
            return np.ones(HOURS)
        blocks, sums, total = (
            self._by(self.hour, HOURS, it) for it in (events > 0, squares, events)
        )
        blocks, sums, total = (
            np.roll(it, 1) + it + np.roll(it, -1) for it in (blocks, sums, total)
        )
        known = total > 0
        found = (sums - self._unshrunk * blocks) / np.where(known, total, 1.0)
        return np.where(known, found / excess, 1.0)

    @property
    def _unshrunk(self) -> float:
        return 1 - min(self.seconds / _HOUR_SECONDS, 1.0) * self.leverage[0]

    @staticmethod
    def _by(what: Places, size: int, values: npt.NDArray[np.generic]) -> Floats:
        weights = values.astype(np.float64)
        return np.asarray(np.bincount(what, weights=weights, minlength=size), dtype=np.float64)
