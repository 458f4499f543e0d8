"""How far the days of a baseline are of kinds: those of the week, and holidays.

Days of a kind that differ from all days by no more than days of one kind differ from each other
tell nothing of that kind. With F the ratio of the two mean squares, of K days of each kind, the
variance between kinds is (F - 1) / K times that within one; and the expectation nearest to the
truth, on average, has the weight

    w = K r / (1 + K r),    r = (F - 1) / K

on the days of the kind and the rest on all days (empirical Bayes; Efron & Morris 1973). It is 0 if
F is no more than what it exceeds by chance in one of a hundred baselines. Hours of one day vary
together: F has the degrees of freedom of as many independent ones as the spectrum of what days
differ by within a kind tells.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

from tidegauge.sequential.calendar import HOURS, ProfileCalendar
from tidegauge.sequential.reference import Reference
from tidegauge.stats import Floats, Places

#: Days of each kind that it takes, on average.
LEAST_WEEKS = 3

#: Three ways for days to differ are looked at: by mean, spread and shares.
_BY_CHANCE = 0.01 / 3

#: Squares of differences that are no larger than this part of those of the values are rounding.
_ROUNDING = 1e-12

_MINUTES = 1440


@dataclass(frozen=True)
class BaselineDays:
    """Whose hours the days of a baseline are: ``kinds`` (days), and those of the days beside them.

    ``calendar`` has as many kinds of days as there are numbers for.
    """

    calendar: ProfileCalendar
    kinds: Places
    before: Places
    after: Places

    @classmethod
    def of(cls, calendar: ProfileCalendar, days: Places) -> "BaselineDays":
        """Return the kinds of local days, counted from 1970."""
        kinds = [
            np.array([calendar.kind_of(it) for it in (days + more).tolist()], dtype=np.int64)
            for more in (0, -1, 1)
        ]
        return cls(calendar, *kinds)

    def alike(self) -> "BaselineDays":
        """Return the same days as if all were of one kind."""
        one = replace(self.calendar, kinds=1, holidays=frozenset())
        none = np.zeros_like(self.kinds)
        return BaselineDays(one, none, none, none)

    def cells(self, blocks: Floats) -> Floats:
        """Count by cell what is counted by minute, (days, 1440, bins)."""
        inside = np.zeros(_MINUTES, dtype=bool)
        slots = []
        for begin, end in self.calendar.slots:
            minutes = slice(begin // 60, end // 60)
            inside[minutes] = True
            slots.append(blocks[:, minutes].sum(axis=1))
        rest = np.where(inside[:, None], 0, blocks)
        hours = rest.reshape(len(blocks), HOURS, -1, blocks.shape[-1]).sum(axis=2)
        return np.concatenate([hours, *(it[:, None] for it in slots)], axis=1)

    def by_kind(self, cells: Floats) -> Floats:
        """Add up the cells (days, cells, bins) of days of each kind, (kinds, cells, bins)."""
        found = np.zeros((self.calendar.kinds, *cells.shape[1:]), dtype=cells.dtype)
        np.add.at(found, self.kinds, cells)
        return found

    def expected(self, shares: Floats) -> Floats:
        """Return the shares that each minute is expected to have, (days, 1440, bins).

        ``shares`` (profiles, bins) are those of the middles of hours, and of slots.
        """
        cells = self.calendar.cells
        by_kind = shares.reshape(self.calendar.kinds, cells, -1)
        line, found = _line(tuple(self.calendar.slots)), []
        for kind, before, after in zip(self.kinds, self.before, self.after, strict=True):
            ours = by_kind[kind]
            rows = [by_kind[before, HOURS - 1][None], ours[:HOURS], by_kind[after, 0][None]]
            found.append(line @ np.concatenate([*rows, ours[HOURS:]]))
        return np.array(found)

    def own_weights(self, pooled: Reference, cells: Floats) -> Floats | None:
        """Return the weight of each kind's own days, (kinds); None if all days are of one.

        ``cells`` is what one signal had in each, (days, cells, bins).
        """
        days, present = np.bincount(self.kinds, minlength=self.calendar.kinds), set(self.kinds)
        if len(present) < 2 or len(self.kinds) < LEAST_WEEKS * len(present):
            return None
        ratio = max(_ratio(it, self.kinds) for it in _differences(pooled, cells))
        weights = days * ratio / (1 + days * ratio)
        return np.asarray(weights) if ratio > 0 else None

    def leverage(self, own: Floats | None) -> tuple[float, float]:
        """Return how much less and more than it is days vary about what is expected.

        What is expected is made of the days too, so that each varies about it by 1 - the first of
        its variance. A day to come varies by the second times as much as these.
        """
        total = len(self.kinds)
        w = np.zeros(self.calendar.kinds) if own is None else own
        days = np.bincount(self.kinds, minlength=self.calendar.kinds)[self.kinds]
        other = (1 - w[self.kinds]) / total
        mine = w[self.kinds] / days + other
        squares = days * mine**2 + (total - days) * other**2
        near = float((1 - 2 * mine + squares).mean())
        return 1 - near, float((1 + squares).mean()) / near


@cache
def _line(slots: tuple[tuple[int, int], ...]) -> Floats:
    """Return the weights of each minute of a day, (1440, 26 hours and the slots).

    The hours are from the last one of the day before to the first one of the day after.
    """
    day = ProfileCalendar(slots=slots)
    each = np.array([day.weights(it * 60, it * 60 + 60) for it in range(_MINUTES)])
    none, half = np.zeros((_MINUTES, 1)), _MINUTES // 48
    line = np.hstack([none, each[:, :HOURS], none, each[:, HOURS:]])
    line[:half, 0], line[:half, HOURS] = line[:half, HOURS].copy(), 0.0
    line[-half:, HOURS + 1], line[-half:, 1] = line[-half:, 1].copy(), 0.0
    return line


def _differences(pooled: Reference, cells: Floats) -> list[Floats]:
    """Return days by mean, spread and shares, each (days, …), weighted by the events of cells."""
    events = cells.sum(axis=-1, keepdims=True)
    weight = np.sqrt(events.mean(axis=0) / events.mean())
    shares = cells / np.maximum(events, 1.0)
    whole = pooled.counts[0] / pooled.counts[0].sum()
    scale = np.sqrt(np.where(whole > 0, whole, np.inf))
    found = [(shares / scale * weight).reshape(len(cells), -1)]
    for score in (pooled.linear[0], pooled.quadratic[0]):
        if score.any():
            found.append(((shares * score).sum(axis=-1) * weight[..., 0]).reshape(len(cells), -1))
    return found


def _ratio(values: Floats, kinds: Places) -> float:
    """Return the variance between kinds in units of that within one; 0 if it may be chance."""
    names, place, days = np.unique(kinds, return_inverse=True, return_counts=True)
    means = np.array([values[kinds == it].mean(axis=0) for it in names])
    within = values - means[place]
    between = (days[:, None] * (means - values.mean(axis=0)) ** 2).sum()
    gram = within @ within.T
    squares = float((gram**2).sum())
    independent = float(np.trace(gram)) ** 2 / squares if squares > 0 else 1.0
    total = float(np.trace(gram)) + _ROUNDING * float((values**2).sum())
    if not total > 0:
        return 0.0
    first, second = len(names) - 1, len(values) - len(names)
    f = float(between) / first / (total / second)
    chance = stats.f.isf(_BY_CHANCE, first * independent, second * independent)
    return (f - 1) / float(stats.hmean(days)) if f > chance else 0.0
