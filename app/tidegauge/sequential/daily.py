"""Baselines by hour of day: what to expect of the windows remembered, and how much that varies.

A baseline by hour of day says what to expect at the middle of each hour, and in between by a
straight line; midnight follows on 23 h. Its calendar may have more profiles than these (see
``calendar.py``). So a window has a weight for each profile, and what is to be expected of
remembered windows is the mean over the profiles by what is remembered of these weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tidegauge.sequential.calendar import (
    HOURS,
    ProfileCalendar,
    moved_weights,
    nearest,
    of_slots,
)
from tidegauge.sequential.ewma import KEEP, LAMBDAS, LEAST_EVENTS, Memory
from tidegauge.sequential.expected import BINS, MEAN, SHAPE, SPREAD, Expected
from tidegauge.sequential.reference import Reference
from tidegauge.sequential.scores import summed
from tidegauge.stats import Floats

#: A profile with a smaller share of what is remembered is forgotten: it is as if it were not there.
_FORGOTTEN = 1e-9

#: By how much the cycle of a day is larger or smaller in other weeks, a standard deviation.
_CYCLE_VARIES = 0.05


@dataclass(frozen=True)
class HoursMemory:
    """Events by profile behind the counts of a ``Memory``: ``events`` is (4, signals, profiles).

    ``pooled`` (signals, profiles) belongs to the counts that wait for more events. ``squares`` (4,
    signals) is Σ w² over the windows, each with the weight w = (1 - λ)^age · n that it has in the
    counts: (Σ w)² / Σ w² is how many windows of equal weight these are worth (Kish 1965).
    """

    events: Floats
    pooled: Floats
    squares: Floats

    @classmethod
    def empty(cls, signals: int, profiles: int = HOURS) -> "HoursMemory":
        """Return what is remembered before the first window."""
        scales = len(LAMBDAS)
        return cls(
            np.zeros((scales, signals, profiles)),
            np.zeros((signals, profiles)),
            np.zeros((scales, signals)),
        )

    @classmethod
    def path(cls, memories: "Sequence[HoursMemory]") -> "HoursMemory":
        """Return those after each of many windows as one: windows are the first axis."""
        return cls(
            np.stack([it.events for it in memories]),
            np.stack([it.pooled for it in memories]),
            np.stack([it.squares for it in memories]),
        )

    @classmethod
    def of_alike(cls, events: Floats, pooled: Floats) -> "HoursMemory":
        """Return what is remembered of very many windows with as many events in each."""
        share = np.array([it / (2 - it) for it in LAMBDAS])[:, None]
        return cls(events, pooled, share * events.sum(axis=-1) ** 2)

    def after(self, before: Memory, window: Floats, weights: Floats) -> "HoursMemory":
        """Return what is remembered after a window; ``before`` is the counts' memory before it."""
        n = (before.pooled + window).sum(axis=-1)
        has_moved = before.moves(window)
        moved = has_moved[:, None]
        pooled = self.pooled + window.sum(axis=-1, keepdims=True) * weights
        events = np.where(moved, KEEP[:, None, None] * self.events + pooled, self.events)
        if events.shape[-1] > HOURS:  # most of them are of other days
            events[events < _FORGOTTEN * events.sum(axis=-1, keepdims=True)] = 0.0
        return HoursMemory(
            events,
            np.where(moved, 0.0, pooled),
            np.where(has_moved, KEEP[:, None] ** 2 * self.squares + n**2, self.squares),
        )

    def windows(self, total: Floats) -> Floats:
        """Return how many windows of equal weight are remembered, (4, signals); at least 1.

        ``total`` (4, signals) is that of the counts. 2/λ - 1 in the steady state, 1 after the first
        window, and few again after one of very many events.
        """
        found = np.divide(
            total**2, self.squares, out=np.ones_like(self.squares), where=self.squares > 0
        )
        return np.asarray(np.maximum(found, 1.0))

    def weights(self) -> Floats:
        """Return the share of each profile, (4, signals, profiles).

        All are alike where nothing was counted.
        """
        total = self.events.sum(axis=-1, keepdims=True)
        alike = 1 / self.events.shape[-1]
        result: Floats = np.where(total > 0, self.events / np.where(total > 0, total, 1), alike)
        return result


@dataclass(frozen=True)
class Dispersion:
    """By how much more than by sampling counts vary, for spans of ``seconds``.

    ``excess`` is τ², in units of the variance of one event, ``degrees`` the degrees of freedom of
    its estimate, and ``skewness`` that of what it is the variance of, where known: (signals, spans,
    directions); directions are shape, mean, spread, each bin. In some hours of the day it may be
    more: τ² times ``by_hour``, (signals, 24), at least 1.
    """

    seconds: Sequence[float]
    excess: Floats
    degrees: Floats
    skewness: Floats
    by_hour: Floats

    def over(self, seconds: Floats) -> tuple[Floats, Floats, Floats]:
        """Return excess, degrees and skewness over spans, (spans, signals, directions).

        ``seconds`` is (spans) or (spans, signals). By straight lines in the logarithm of the span;
        beyond the longest the longest's, and below the shortest as if windows were independent,
        which none that go together can exceed.
        """
        known = np.log(np.asarray(self.seconds, dtype=np.float64))
        at = np.log(np.asarray(seconds, dtype=np.float64))
        at = at if at.ndim > 1 else at[:, None]
        last = len(known) - 1
        right = np.clip(np.searchsorted(known, at), min(1, last), last)
        left = np.maximum(right - 1, 0)
        width = np.where(right > left, known[right] - known[left], 1.0)
        part = np.clip((at - known[left]) / width, 0.0, 1.0)[..., None]
        rows = np.arange(len(self.excess))
        excess, degrees, skewness = (
            it[rows, left] * (1 - part) + it[rows, right] * part
            for it in (self.excess, self.degrees, self.skewness)
        )
        shorter = np.exp(np.maximum(known[0] - at, 0.0))
        return excess * shorter[..., None], degrees, skewness


@dataclass(frozen=True)
class DailyReference:
    """Baselines by profile: ``shares`` expected at the middle of each, (signals, profiles, bins).

    ``events`` (signals, profiles) is how many the baseline counted in each. ``pooled`` is the same
    baseline over all hours: which bins there are, and their scores. ``own`` (signals, kinds, cells)
    is how much of what is expected on a kind of day is of its own days, and the rest is of all;
    None if there is one kind. Unless the ``zone_is_known`` clocks may change: see ``calendar.py``.
    """

    pooled: Reference
    shares: Floats
    events: Floats
    dispersion: Dispersion
    calendar: ProfileCalendar = field(default_factory=ProfileCalendar)
    own: Floats | None = None
    zone_is_known: bool = True

    @classmethod
    def of(
        cls,
        pooled: Reference,
        counts: Floats,
        dispersion: Dispersion,
        calendar: ProfileCalendar | None = None,
        own: Floats | None = None,
        *,
        zone_is_known: bool = True,
    ) -> "DailyReference":
        """Lay out counts by profile, (signals, profiles, bins).

        ``own`` (signals, kinds) is the weight of each kind's own days, as far as they have events:
        that of a cell with e of them is e / (e + 200) times that. A cell that nothing was counted
        in on any day is one event, spread as all are: it tells nothing.
        """
        calendar = calendar or ProfileCalendar()
        signals, _, bins = counts.shape
        by_kind = counts.reshape(signals, calendar.kinds, calendar.cells, bins)
        whole = pooled.counts / pooled.counts.sum(axis=-1, keepdims=True)
        of_all = _shares(by_kind.sum(axis=1), whole[:, None])
        middles = _at_middles(of_all[:, None], calendar)
        events = by_kind.sum(axis=-1)
        weights: Floats | None
        if own is None:
            weights = None
            shares = np.broadcast_to(middles, by_kind.shape)
        else:
            weights = own[..., None] * events / (events + LEAST_EVENTS)
            its = _at_middles(_shares(by_kind, of_all[:, None]), calendar)
            shares = weights[..., None] * its + (1 - weights[..., None]) * middles
        flat = signals, calendar.profiles
        return cls(
            pooled,
            shares.reshape(*flat, bins),
            events.reshape(flat),
            dispersion,
            calendar,
            weights,
            zone_is_known,
        )

    def expected(
        self, hours: HoursMemory, window_seconds: float, counts: Floats | None = None
    ) -> Expected:
        """Return what to expect of the windows remembered, on each of the four scales.

        Their effective ``counts`` tell by how much clocks may have changed.

        Of levels x that windows k apart share the covariance c(k) of, the mean that is remembered,
        Σ w_j x_j / Σ w_j, has the variance Σ_j Σ_k w_j w_k c(j - k) / (Σ w)² (Newey & West 1987).
        Taken for it is that of a block of (Σ w)² / Σ w² windows, one after the other: the same if
        windows are independent, and no less if those near each other are more alike.
        """
        weights = [hours.weights()]
        if not self.zone_is_known:
            weights += [moved_weights(self.calendar, weights[0], it) for it in (-1, 1)]
        shares = self._mean(weights[0])
        events = 1 / np.max([self._variance(it) for it in weights], axis=0)
        spans = window_seconds * hours.windows(hours.events.sum(axis=-1))
        if (spans == spans[..., :1]).all():  # mostly: all signals have had the same events
            spans = spans[..., :1]
        excess, degrees, skewness = self.dispersion.over(spans)
        known = excess * np.max([self._more(it) for it in weights], axis=0)
        if counts is not None and len(weights) > 1:
            n = np.maximum(counts.sum(axis=-1), 1.0)
            varies = (1 / n + 1 / events)[..., None] + known[..., BINS:]
            others = [(self._mean(it), 1.0) for it in weights[1:]]
            shares = nearest(counts, shares, others, varies)
            for its in weights[1:]:
                for slot in of_slots(self.calendar, its, self.shares):
                    shares = nearest(counts, shares, [slot], varies)
        excess = known + self._of_cycle(shares)
        part = np.divide(known, excess, out=np.ones_like(excess), where=excess > 0)
        skewness = skewness * part**1.5  # the same cube, in units of the larger variance
        counts = shares * events[..., None]
        return Expected.of(self.pooled, counts, excess, degrees, skewness, events)

    def _mean(self, weights: Floats) -> Floats:
        """Return the shares expected by weights (…, profiles), (…, bins)."""
        there = np.flatnonzero(weights.reshape(-1, weights.shape[-1]).any(axis=0))
        found: Floats = np.einsum("...st,stb->...sb", weights[..., there], self.shares[:, there])
        return found

    def _more(self, weights: Floats) -> Floats:
        """Return by how much τ² is more than on average by weights (…, profiles), (…, 1)."""
        by_hour = self._by_hour(weights)
        found: Floats = np.einsum("...st,st->...s", by_hour, self.dispersion.by_hour)
        return found[..., None]

    def _of_cycle(self, shares: Floats) -> Floats:
        """Return the variance of ``shares`` expected (…, bins) by the cycle's own size.

        A baseline of some weeks doesn't tell how large the cycle will be in others. It is taken to
        vary by a twentieth (one standard deviation), and with it all that differs from the mean of
        the day. Of signals with an order that is their mean and spread; (…, directions).
        """
        off = _CYCLE_VARIES * (shares - self._whole)
        found = np.zeros((*off.shape[:-1], BINS + off.shape[-1]))
        found[..., MEAN] = summed(off, self.pooled.linear) ** 2
        found[..., SPREAD] = summed(off, self.pooled.quadratic) ** 2
        free = ~self.pooled.is_ordered
        if free.any():
            its, p = off[..., free, :], shares[..., free, :]
            squares = np.divide(its**2, p, out=np.zeros_like(p), where=p > 0)
            others = np.where(p < 1, 1 - p, 1.0)
            found[..., free, BINS:] = squares / others
            bins = np.maximum(self.pooled.exists[free].sum(axis=-1) - 1, 1)
            found[..., free, SHAPE] = squares.sum(axis=-1) / bins
        return found

    @cached_property
    def _whole(self) -> Floats:
        """The shares of all hours together, (signals, bins)."""
        return np.asarray(self.pooled.counts / self.pooled.counts.sum(axis=-1, keepdims=True))

    def _by_hour(self, weights: Floats) -> Floats:
        """Return weights (…, profiles) by hour of the day."""
        calendar = self.calendar
        if calendar.profiles == HOURS:
            return weights
        cells = weights.reshape(*weights.shape[:-1], calendar.kinds, calendar.cells).sum(axis=-2)
        found = cells[..., :HOURS].copy()
        for cell in range(HOURS, calendar.cells):
            found[..., calendar.hours[cell]] += cells[..., cell]
        return np.asarray(found)

    def _variance(self, weights: Floats) -> Floats:
        """Return the variance of what is expected, in units of one event's, (4, signals).

        Of weights u of the cells of each kind k, of which w_k is of its own e_k events and the rest
        of all e = Σ e_k: Σ (w_k u_k)² / e_k + ((Σ u_k)² - (Σ w_k u_k)²) / e, added up over cells.
        """
        calendar = self.calendar
        if self.own is None:
            return np.asarray((weights**2 / np.maximum(self.events, 1.0)).sum(axis=-1))
        by_kind = weights.reshape(*weights.shape[:-1], calendar.kinds, calendar.cells)
        events = self.events.reshape(self.own.shape)
        own = self.own * by_kind
        together = by_kind.sum(axis=-2) ** 2 - own.sum(axis=-2) ** 2
        found = (own**2 / np.maximum(events, 1.0)).sum(axis=-2)
        found += together / np.maximum(events.sum(axis=-2), 1.0)
        return np.asarray(found.sum(axis=-1))


def _shares(counts: Floats, otherwise: Floats) -> Floats:
    """Return the shares of counts (…, bins), and those ``otherwise`` where there are none."""
    events = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(events > 0, counts / np.maximum(events, 1.0), otherwise))


def _at_middles(shares: Floats, calendar: ProfileCalendar) -> Floats:
    """Return the shares at the middle of each hour from those over each.

    Both are (signals, kinds, cells, bins). Straight lines between the hours' means would flatten
    the day. Over an hour, those between v have the mean v + δ²v / 8, with δ² the second difference:
    that is the share over the hour, to the fourth order, at v = share - δ²share / 8. At least a
    quarter of the share stays. Sunday's 23 h comes before Monday's midnight; other kinds than those
    of the week follow on themselves, and slots on nothing.
    """
    signals, kinds, _, bins = shares.shape
    result = shares.copy()
    for some in (slice(0, min(kinds, 7)), slice(7, kinds)):
        hours = shares[:, some, :HOURS].reshape(signals, -1, bins)
        if not hours.shape[1]:
            continue
        before, after = np.roll(hours, 1, axis=1), np.roll(hours, -1, axis=1)
        middle = np.maximum(hours - (before - 2 * hours + after) / 8, hours / 4)
        middle = middle / middle.sum(axis=-1, keepdims=True)
        result[:, some, :HOURS] = middle.reshape(signals, -1, HOURS, bins)
    return result
