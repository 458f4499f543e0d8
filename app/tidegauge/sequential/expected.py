"""What to compare windows with where their hours are known, and how surprising they are.

By how much more than sampling a score varies without a drift is known from the baseline, as a
variance τ² (``dispersion.py``): a score of n events against the equivalent of m has the dispersion

    φ = 1 + τ² / (1/n + 1/m),

never below 1, and score² / φ has the tail of F with the degrees of freedom that τ² was estimated
with: that of Student's t (McCullagh & Nelder 1989, 4.5; for τ², Williams 1982).

The scores differ in two ways from those against a fixed baseline, since a level that moves up and
down each day will also do so a little without anybody's calling it a drift: ``spread`` is about the
counts' own mean, not the expected one, and ``shape`` and ``bin`` are of what is left after mean and
spread have been brought to the counts', shape with two degrees of freedom less.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import (
    dispersion,
    g_terms,
    shape_statistic,
    summed,
    terms_of_rest,
)
from tidegauge.sequential.tails import f_surprise, normal_square, unskewed
from tidegauge.stats import Bools, Floats, Places

#: Of the directions that have a dispersion, the first; then each bin.
SHAPE, MEAN, SPREAD, BINS = 0, 1, 2, 3

#: Tilts beyond this are cut: that far off, mean and spread say it all.
_MOST_TILT = 5.0

#: Newton's: a change by a standard deviation is fitted to 1e-3 by then.
_STEPS = 3

#: After a shorter step what is left is about its square, of which G takes no note: it is at its
#: minimum there.
_NEAR = 0.01

#: Of shares that are so small all, the inverse of the sum may be no number.
_UNDERFLOWS = 1e-200

#: A score whose standard deviation is below this is the same everywhere.
_LEAST_SIZE = 1e-4

#: -ln of less than what F is above 1 by, whatever its degrees of freedom.
_ONE_IN_THREE = 1.2

#: Rounding, in scores that are compared with a level.
_SLACK = 1 - 1e-9


@dataclass(frozen=True)
class Expected:
    """What to compare counts (…, signals, bins) with: ``reference`` has the same leading axes.

    Its counts are what is expected, times the number of events that make a sample as certain.
    ``bend`` (…, signals) is what the quadratic score's mean grows by with the square of the linear
    one's, without a change of spread. ``excess``, ``degrees`` and ``skewness`` are those of
    ``Dispersion``, (…, signals, directions). ``events`` (…, signals) is the total of its counts.
    """

    reference: Reference
    events: Floats
    bend: Floats
    excess: Floats
    degrees: Floats
    skewness: Floats

    @classmethod
    def of(
        cls,
        pooled: Reference,
        counts: Floats,
        excess: Floats,
        degrees: Floats,
        skewness: Floats,
        events: Floats | None = None,
    ) -> "Expected":
        """Lay out expected ``counts`` with the baseline's scores, made orthogonal under them.

        ``events`` are their totals, if they are known better than by adding up.
        """
        ordered = counts * pooled.ordered
        total = ordered.sum(axis=-1, keepdims=True)
        p = ordered / np.where(total > 0, total, 1.0)
        linear, _ = _unit(p, np.broadcast_to(pooled.linear, p.shape))
        linear = np.where(pooled.is_ordered[..., None] & pooled.ordered, linear, 0.0)
        square = linear**2
        third = summed(p, square * linear)[..., None]
        quadratic, size = _unit(p, square - third * linear)
        there = np.asarray(pooled.quadratic.any(axis=-1))[..., None] & pooled.ordered
        quadratic = np.where(there, quadratic, 0.0)
        reference = Reference(
            counts, pooled.exists, pooled.ordered, linear, quadratic, pooled.excess, pooled.new
        )
        bend = np.where(there.any(axis=-1), size / 2, 0.0)
        known = reference.total[..., 0] if events is None else events
        return cls(reference, known, bend, excess, degrees, skewness)

    def surprises(self, counts: Floats) -> Floats:
        """Return -ln p, nats, by each of ``SCORES``, (…, signals, 4): see the module."""
        (g, df), mean, spread, by_bin = self._statistics(counts)
        degrees = self.degrees
        found = np.stack(
            [
                f_surprise(g, df, degrees[..., SHAPE]),
                f_surprise(mean, 1, degrees[..., MEAN]),
                f_surprise(spread, 1, degrees[..., SPREAD]),
                np.maximum(_largest(by_bin, degrees[..., BINS:]) - self.reference.log_bins, 0.0),
            ],
            axis=-1,
        )
        # A report with a surprise that is no number can't be read. Whoever makes a baseline by hand
        # can have degrees of freedom near 0, and nothing expected beside 2^53.
        return np.asarray(np.nan_to_num(found, copy=False))

    def exceed(self, counts: Floats, level: npt.ArrayLike) -> Bools:
        """Return of which signals a score is above ``level``, nats, (…, signals).

        The same as to compare :meth:`surprises`, in less time: the tails of Student's t are no
        shorter than those of a normal score, and F is above its mean once in three times or more.
        """
        (g, df), mean, spread, by_bin = self._statistics(counts)
        level = np.broadcast_to(level, g.shape) * _SLACK
        log_bins, degrees = np.broadcast_to(self.reference.log_bins, g.shape), self.degrees
        found = np.asarray(level < 0)
        its = ~found & (g > np.where(level > _ONE_IN_THREE, 1.0, 0.0))
        found[its] = f_surprise(g[its], df[its], degrees[its, SHAPE]) > level[its]
        normal = normal_square(level)
        for square, direction in ((mean, MEAN), (spread, SPREAD)):
            its = ~found & (square > normal)
            found[its] = f_surprise(square[its], 1, degrees[its, direction]) > level[its]
        its = ~found & (by_bin.max(axis=-1) > normal_square(level + log_bins))
        found[its] = _largest(by_bin[its], degrees[its, BINS:]) - log_bins[its] > level[its]
        return found

    def _statistics(self, counts: Floats) -> tuple[tuple[Floats, Floats], Floats, Floats, Floats]:
        """Return what the tails are of: F of the shape and its degrees, the squares of the others.

        Of ``bin`` those of all bins, (…, signals, bins).
        """
        n, m = counts.sum(axis=-1), self.reference.total[..., 0]
        beyond = self.excess / (1 / np.maximum(n, 1.0) + 1 / m)[..., None]
        mean, spread = self._standardised(counts)
        fitted = self.fitted(counts)
        terms = g_terms(counts, n[..., None], fitted.counts, m[..., None])
        rest = terms_of_rest(counts, fitted.counts)
        if self.reference.has_expected:
            varies = dispersion(self.reference, counts, n[..., None])
            terms, rest = terms / varies, rest / varies
        g, df = shape_statistic(fitted, counts, terms)
        df = np.maximum(df - self._freed, 0)
        size, directions = in_one_direction(df, beyond[..., SHAPE])
        by_bin = (terms + rest) / (1 + beyond[..., BINS:])
        return (g / size, directions), mean**2, spread**2, by_bin

    def at(self, spans: Places, rows: Places) -> "Expected":
        """Return what is expected of each of the signals in ``rows``, on the scale in ``spans``."""
        ours = self.reference
        reference = Reference(
            ours.counts[spans, rows],
            ours.exists[rows],
            ours.ordered[rows],
            ours.linear[spans, rows],
            ours.quadratic[spans, rows],
            ours.excess[rows],
            ours.new[rows],
        )
        others = (self.events, self.bend, self.excess, self.degrees, self.skewness)
        return Expected(reference, *(it[spans, rows] for it in others))

    def of_window(self, window: int) -> "Expected":
        """Return what is expected of one of several windows, which are the first axis."""
        ours = self.reference
        reference = replace(
            ours,
            counts=ours.counts[window],
            linear=ours.linear[window],
            quadratic=ours.quadratic[window],
        )
        others = (self.events, self.bend, self.excess, self.degrees, self.skewness)
        return Expected(reference, *(it[window] for it in others))

    @classmethod
    def joined(cls, several: "Sequence[Expected]") -> "Expected":
        """Lay out the signals of several, of spans first, one after the other."""
        if len(several) == 1:
            return several[0]
        references = [it.reference for it in several]
        by_span = {
            name: np.concatenate([getattr(it, name) for it in references], axis=1)
            for name in ("counts", "linear", "quadratic")
        }
        by_signal = {
            name: np.concatenate([getattr(it, name) for it in references])
            for name in ("exists", "ordered", "excess", "new")
        }
        return cls(
            Reference(**by_span, **by_signal),
            *(
                np.concatenate([getattr(it, name) for it in several], axis=1)
                for name in ("events", "bend", "excess", "degrees", "skewness")
            ),
        )

    def moments(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return how far the means of the linear and the quadratic score are from what is expected.

        Of the quadratic one's, what follows from the linear one's is taken off, bend · linear², as
        far as that is more than it will be by chance: bend · its variance.
        """
        n, m = self._values(counts)
        linear = summed(counts, self.reference.linear) / n
        quadratic = summed(counts, self.reference.quadratic) / n
        by_chance = 1 / n + 1 / m + self.excess[..., MEAN]
        return linear, quadratic - self.bend * (linear**2 - by_chance)

    def fitted(self, counts: Floats) -> Reference:
        """Return the reference with the means of both scores brought to the counts'.

        Its shares times exp(a · linear + b · quadratic): the member of that exponential family that
        is likeliest for the counts, by Newton's steps from where small changes have it.
        """
        ours = self.reference
        p = ours.counts * ours.ordered
        n, _ = self._values(counts)
        family = _Family(p, ours.linear, ours.quadratic)
        aims = summed(counts, ours.linear) / n, summed(counts, ours.quadratic) / n
        a, b, length = family.step(*self.moments(counts), aims)
        far = length > _NEAR
        if far.any():  # seldom, and only of these: what is near is fitted by now
            some = _Family(*(it[far] for it in family))
            u, v = a[far], b[far]
            for _ in range(_STEPS - 1):
                u, v, _ = some.step(u, v, (aims[0][far], aims[1][far]))
            a[far], b[far] = u, v
        tilted, per_event = family.tilted(a, b)
        scale = (ours.ordered_total * per_event)[..., None]
        return replace(ours, counts=np.where(ours.ordered, tilted * scale, ours.counts))

    @cached_property
    def _there(self) -> list[Bools]:
        """Which signals have a linear score, and which a quadratic one."""
        scores = self.reference.linear, self.reference.quadratic
        return [np.asarray(it.any(axis=-1)) for it in scores]

    @property
    def _freed(self) -> npt.NDArray[np.int64]:
        """How many degrees of freedom the fit takes."""
        return np.asarray(np.sum(self._there, axis=0), dtype=np.int64)

    def _values(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return the events in ordered bins, counted and expected; at least one."""
        n, m = summed(counts, self.reference.in_order), self.reference.ordered_total
        return np.maximum(n, 1.0), np.maximum(m, 1.0)

    def _standardised(self, counts: Floats) -> list[Floats]:
        """Return mean and spread as standard normals, if there is no drift."""
        n, m = self._values(counts)
        ours = self.reference
        some = summed(counts, ours.in_order) > 0
        found = []
        for deviation, score, scored, direction in zip(
            self.moments(counts),
            (ours.linear, ours.quadratic),
            self._there,
            (MEAN, SPREAD),
            strict=True,
        ):
            error = np.sqrt(1 / n + 1 / m + self.excess[..., direction])
            third = summed(ours.counts, score * score * score) / m
            sampling = third * (1 / n**2 - 1 / m**2) / error**3
            beyond = (
                self.skewness[..., direction] * (np.sqrt(self.excess[..., direction]) / error) ** 3
            )
            z = deviation / error
            both = [unskewed(z, it) for it in (sampling, sampling + beyond)]
            # What is estimated from days may take from a surprise, and never make one.
            z = np.where(np.abs(both[1]) < np.abs(both[0]), both[1], both[0])
            found.append(np.where(scored & some, z, 0.0))
        return found


class _Family(NamedTuple):
    """Shares ``p``, up to a factor, times exp(a · linear + b · quadratic); all (…, bins)."""

    p: Floats
    linear: Floats
    quadratic: Floats

    def step(self, a: Floats, b: Floats, aims: tuple[Floats, Floats]) -> tuple[Floats, ...]:
        """Take one of Newton's steps; also return its length."""
        tilted, per_event = self.tilted(a, b)
        by_linear, by_quadratic = tilted * self.linear, tilted * self.quadratic
        u, v = (np.einsum("...b->...", it) * per_event for it in (by_linear, by_quadratic))
        uu = summed(by_linear, self.linear) * per_event - u**2
        uv = summed(by_linear, self.quadratic) * per_event - u * v
        vv = summed(by_quadratic, self.quadratic) * per_event - v**2
        # A score that isn't there stays where it is.
        uu, vv = np.maximum(uu, _LEAST_SIZE), np.maximum(vv, _LEAST_SIZE)
        det = np.maximum(uu * vv - uv**2, _LEAST_SIZE * uu * vv)
        x, y = aims[0] - u, aims[1] - v
        more_a, more_b = (vv * x - uv * y) / det, (uu * y - uv * x) / det
        return a + more_a, b + more_b, np.maximum(np.abs(more_a), np.abs(more_b))

    def tilted(self, a: Floats, b: Floats) -> tuple[Floats, Floats]:
        """Return the member of the family, and what makes its shares add up to 1; or 0."""
        a, b = (np.clip(it, -_MOST_TILT, _MOST_TILT)[..., None] for it in (a, b))
        power = a * self.linear + b * self.quadratic
        power -= power.max(axis=-1, keepdims=True)
        tilted = self.p * np.exp(power, out=power)
        total = np.einsum("...b->...", tilted)
        low = total < _UNDERFLOWS
        if low.any():  # the largest power is that of a bin in which nothing is expected
            power = np.where(self.p > 0, a * self.linear + b * self.quadratic, -np.inf)
            largest = power.max(axis=-1, keepdims=True)
            power -= np.where(np.isfinite(largest), largest, 0.0)
            tilted = np.where(low[..., None], self.p * np.exp(power), tilted)
            total = np.einsum("...b->...", tilted)
        return tilted, np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)


def in_one_direction(df: npt.NDArray[np.int64], beyond: Floats) -> tuple[Floats, Floats]:
    """Return the mean of χ² over ``df`` directions with an excess, and its degrees of freedom.

    What is beyond sampling, ``beyond`` of it in each direction on average, mostly is one way to
    vary: χ² with df - 1 and df · beyond + 1 times one with 1. That has about the distribution of a
    multiple of one χ² with its mean and variance (Satterthwaite 1946).
    """
    mean = df * (1 + beyond)
    half_variance = df - 1 + (1 + df * beyond) ** 2
    there = df > 0
    directions = np.where(there, mean**2 / np.where(there, half_variance, 1.0), 0.0)
    return np.where(there, mean, 1.0), directions


def _largest(x: Floats, degrees: Floats) -> Floats:
    """Return the -ln p of the bin that is farthest out, as F with 1 and its degrees of freedom.

    Which one that is follows from (df + 1) ln(1 + x / df), as in the exponent of Student's density.
    """
    x, degrees = np.broadcast_arrays(x, degrees)
    far = ((degrees + 1) * np.log1p(x / degrees)).argmax(axis=-1)[..., None]
    x, degrees = (np.take_along_axis(it, far, axis=-1)[..., 0] for it in (x, degrees))
    return f_surprise(x, 1, degrees)


def _unit(p: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Return a score centred and of unit variance under shares, and what it was divided by."""
    centred = score - summed(p, score)[..., None]
    size = np.sqrt(summed(p, centred**2))[..., None]
    return centred / np.where(size > _LEAST_SIZE, size, np.inf), size[..., 0]
