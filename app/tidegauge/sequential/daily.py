"""Baselines by hour of day: what to expect of the windows remembered, and how much that varies.

A baseline by hour of day (UTC) says what to expect at the middle of each hour, and in between by a
straight line; midnight follows on 23 h. So a window has a weight for each hour, and what is to be
expected of remembered windows is the mean over the hours by what is remembered of these weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegauge.sequential.ewma import KEEP, LAMBDAS, Memory
from tidegauge.sequential.expected import Expected
from tidegauge.sequential.reference import Reference
from tidegauge.stats import Floats

HOURS = 24


def hour_weights(start: float, end: float) -> Floats:
    """Return the weight of each hour of day in a span of time, epoch seconds; they add up to 1.

    The mean over the span of the straight lines between the middles of the hours.

    >>> hour_weights(5_400, 5_400.001).round(3)[:3].tolist()  # 01:30, the middle of an hour
    [0.0, 1.0, 0.0]
    >>> hour_weights(0, 60).round(3)[[23, 0, 1]].tolist()  # midnight
    [0.492, 0.508, 0.0]
    >>> hour_weights(3_600, 7_200).round(3)[:3].tolist()  # an hour reaches into its neighbours
    [0.125, 0.75, 0.125]
    """
    begin = start / 3600 % HOURS
    length = max((end - start) / 3600, 1e-9)
    days = np.arange(-1, int((begin + length) // HOURS) + 2)
    middles = np.arange(HOURS, dtype=np.float64) + 0.5 + HOURS * days[:, None]
    passed: Floats = begin - middles
    weights: Floats = (_area(passed + length) - _area(passed)).sum(axis=0)
    weights /= weights.sum()
    return weights


def _area(x: Floats) -> Floats:
    """Integrate up to ``x`` what is 1 at 0 and goes straight to 0 at -1 and 1."""
    x = np.clip(x, -1.0, 1.0)
    result: Floats = np.where(x < 0, (1 + x) ** 2 / 2, 1 - (1 - x) ** 2 / 2)
    return result


@dataclass(frozen=True)
class HoursMemory:
    """Events by hour of day behind the counts of a ``Memory``: ``events`` is (4, signals, 24).

    ``pooled`` (signals, 24) belongs to the counts that wait for more events. ``squares`` (4,
    signals) is Σ w² over the windows, each with the weight w = (1 - λ)^age · n that it has in the
    counts: (Σ w)² / Σ w² is how many windows of equal weight these are worth (Kish 1965).
    """

    events: Floats
    pooled: Floats
    squares: Floats

    @classmethod
    def empty(cls, signals: int) -> "HoursMemory":
        """Return what is remembered before the first window."""
        scales = len(LAMBDAS)
        return cls(
            np.zeros((scales, signals, HOURS)),
            np.zeros((signals, HOURS)),
            np.zeros((scales, signals)),
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
        return HoursMemory(
            np.where(moved, KEEP[:, None, None] * self.events + pooled, self.events),
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
        """Return the share of each hour, (4, signals, 24); all alike where nothing was counted."""
        total = self.events.sum(axis=-1, keepdims=True)
        result: Floats = np.where(total > 0, self.events / np.where(total > 0, total, 1), 1 / HOURS)
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
    """Baselines by hour of day: ``shares`` expected at the middle of each, (signals, 24, bins).

    ``events`` (signals, 24) is how many the baseline counted in each. ``pooled`` is the same
    baseline over all hours: which bins there are, and their scores.
    """

    pooled: Reference
    shares: Floats
    events: Floats
    dispersion: Dispersion

    @classmethod
    def of(cls, pooled: Reference, counts: Floats, dispersion: Dispersion) -> "DailyReference":
        """Lay out counts by hour of day, (signals, 24, bins).

        An hour that nothing was counted in is one event, spread as all are: it tells nothing.
        """
        whole = pooled.counts / pooled.counts.sum(axis=-1, keepdims=True)
        events = counts.sum(axis=-1)
        empty = events[..., None] <= 0
        shares = np.where(empty, whole[:, None], counts / np.maximum(events[..., None], 1.0))
        return cls(pooled, _at_middles(shares), np.maximum(events, 1.0), dispersion)

    def expected(self, hours: HoursMemory, window_seconds: float) -> Expected:
        """Return what to expect of the windows remembered, on each of the four scales.

        Of levels x that windows k apart share the covariance c(k) of, the mean that is remembered,
        Σ w_j x_j / Σ w_j, has the variance Σ_j Σ_k w_j w_k c(j - k) / (Σ w)² (Newey & West 1987).
        Taken for it is that of a block of (Σ w)² / Σ w² windows, one after the other: the same if
        windows are independent, and no less if those near each other are more alike.
        """
        weights = hours.weights()
        shares = np.einsum("...st,stb->...sb", weights, self.shares)
        events = 1 / (weights**2 / self.events).sum(axis=-1)
        spans = window_seconds * hours.windows(hours.events.sum(axis=-1))
        if (spans == spans[..., :1]).all():  # mostly: all signals have had the same events
            spans = spans[..., :1]
        excess, degrees, skewness = self.dispersion.over(spans)
        more = np.einsum("...st,st->...s", weights, self.dispersion.by_hour)[..., None]
        counts = shares * events[..., None]
        return Expected.of(self.pooled, counts, excess * more, degrees, skewness, events)


def _at_middles(shares: Floats) -> Floats:
    """Return the shares at the middle of each hour from those over each, (signals, 24, bins).

    Straight lines between the hours' means would flatten the day. Over an hour, those between v
    have the mean v + δ²v / 8, with δ² the second difference: that is the share over the hour, to
    the fourth order, at v = share - δ²share / 8. At least a quarter of the share stays.
    """
    before, after = np.roll(shares, 1, axis=1), np.roll(shares, -1, axis=1)
    middle = np.maximum(shares - (before - 2 * shares + after) / 8, shares / 4)
    result: Floats = middle / middle.sum(axis=-1, keepdims=True)
    return result
