"""Which profile of a baseline a span of time belongs to: its hours of the day, by a calendar.

A day of local time has *cells*: its 24 hours, and *slots*, minutes of each day at which something
recurs. Days are of *kinds*: one, if all are alike; or the seven of the week, and holidays. Each
cell of a kind is a profile.

Where nobody says whose time the hours are of, traffic may follow a local time that has moved by an
hour against them since the baseline, and memories hold windows from before and after that. Then
what is expected is

    E(a) = (1 - |a|) E(0) + |a| E(±1 h),    -1 ≤ a ≤ 1,

of the shares of the windows' own hours and those an hour earlier or later, with the a of least
Σ (o - E(a))² / variance, o the counts' shares. The residuals of this fit vary no more than those of
the true a, so the scores keep their tails whichever a that is. What a drift has in common with a
moved hour is not seen: a mean that is off by less than an hour makes at that time of the day.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from tidegauge.stats import Floats, Places

HOURS = 24

_HOUR_SECONDS = 3600
_DAY_SECONDS = 86_400

#: 1 January 1970 was a Thursday; Monday is 0.
_FIRST_WEEKDAY = 3


@dataclass(frozen=True)
class ProfileCalendar:
    """How time is divided into profiles, the one of ``cell`` of ``kind`` at kind · cells + cell.

    From each of ``changes`` on, epoch seconds, local time is ahead of UTC by the seconds beside it
    in ``offsets``; before the first one by the first. ``kinds`` is 1, 7 or 8. The local days in
    ``holidays``, counted from 1970, are of the kind ``holiday_kind``. ``slots`` are seconds of the
    local day, each from the first up to the second; they don't overlap.
    """

    changes: Sequence[int] = (0,)
    offsets: Sequence[int] = (0,)
    kinds: int = 1
    holidays: frozenset[int] = frozenset()
    holiday_kind: int = 6
    slots: Sequence[tuple[int, int]] = ()

    @property
    def cells(self) -> int:
        """How many profiles a kind of day has: its hours, then its slots."""
        return HOURS + len(self.slots)

    @property
    def profiles(self) -> int:
        """How many profiles there are."""
        return self.kinds * self.cells

    @cached_property
    def hours(self) -> Places:
        """The hour of the day in which each cell begins."""
        begins = [begin // _HOUR_SECONDS for begin, _ in self.slots]
        return np.array([*range(HOURS), *begins], dtype=np.int64)

    def local(self, seconds: Floats) -> Floats:
        """Return the local time of moments in epoch seconds, as seconds since 1970."""
        at = np.searchsorted(np.asarray(self.changes), seconds, side="right") - 1
        result: Floats = seconds + np.asarray(self.offsets, dtype=np.float64)[np.maximum(at, 0)]
        return result

    def kind_of(self, day: int) -> int:
        """Return the kind of a local day, counted from 1970.

        >>> ProfileCalendar(kinds=7).kind_of(0)  # Thursday
        3
        """
        if self.kinds == 1:
            return 0
        return self.holiday_kind if day in self.holidays else (day + _FIRST_WEEKDAY) % 7

    def weights(self, start: float, end: float) -> Floats:
        """Return the share that each profile has in a span of epoch seconds.

        Each slot has the time inside it. The rest is between the middles of two hours: the mean
        over the span of the straight lines from one to the next.

        >>> ProfileCalendar().weights(5_400, 5_400.001).round(3)[:3].tolist()  # 01:30, a middle
        [0.0, 1.0, 0.0]
        >>> ProfileCalendar().weights(0, 60).round(3)[[23, 0, 1]].tolist()  # midnight
        [0.492, 0.508, 0.0]
        >>> ProfileCalendar().weights(3_600, 7_200).round(3)[:3].tolist()  # reaches into others
        [0.125, 0.75, 0.125]
        """
        found = np.zeros(self.profiles)
        for begin, until in self._local_spans(start, max(end, start + 1e-3)):
            for first, last, cell in self._pieces(begin, until):
                if cell is None:
                    self._add_hours(found, first, last)
                else:
                    day = int(first // _DAY_SECONDS)
                    found[self.kind_of(day) * self.cells + cell] += last - first
        return np.asarray(found / found.sum())

    def _local_spans(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield the spans of local time that a span is made of: several where clocks change."""
        inside = [it for it in self.changes[1:] if start < it < end]
        ends = [start, *inside, end]
        for begin, until in pairwise(ends):
            ahead = float(self.local(np.array(begin))) - begin
            yield begin + ahead, until + ahead

    def _pieces(self, begin: float, until: float) -> Iterator[tuple[float, float, int | None]]:
        """Yield spans of local time outside and, with their cell, inside of slots."""
        if not self.slots:
            yield begin, until, None
            return
        days = range(int(begin // _DAY_SECONDS), int(until // _DAY_SECONDS) + 1)
        at = begin
        for day in days:
            for number, (first, last) in enumerate(self.slots):
                its = first + day * _DAY_SECONDS, last + day * _DAY_SECONDS
                low, high = max(begin, its[0]), min(its[1], until)
                if low < high:
                    if at < low:
                        yield at, low, None
                    yield low, high, HOURS + number
                    at = high
        if at < until:
            yield at, until, None

    def _add_hours(self, found: Floats, begin: float, until: float) -> None:
        hour = int(begin // _HOUR_SECONDS)
        passed, length = begin / _HOUR_SECONDS - hour, (until - begin) / _HOUR_SECONDS
        hours = np.arange(-1, int(passed + length) + 2)
        since: Floats = passed - (hours.astype(np.float64) + 0.5)
        weights: Floats = (_area(since + length) - _area(since)) * _HOUR_SECONDS
        for of, weight in zip((hours + hour).tolist(), weights.tolist(), strict=True):
            day, hour_of_day = divmod(of, HOURS)
            found[self.kind_of(day) * self.cells + hour_of_day] += weight


def _area(x: Floats) -> Floats:
    """Integrate up to ``x`` what is 1 at 0 and goes straight to 0 at -1 and 1."""
    x = np.clip(x, -1.0, 1.0)
    result: Floats = np.where(x < 0, (1 + x) ** 2 / 2, 1 - (1 - x) ** 2 / 2)
    return result


def moved_weights(calendar: ProfileCalendar, weights: Floats, hours: int) -> Floats:
    """Return weights of profiles, (…, profiles), each of so many hours later.

    Monday follows on Sunday; a holiday on itself, because nobody knows which day is next to it.
    What has moved out of a slot may be at any minute of the hour.

    >>> moved_weights(ProfileCalendar(), np.eye(24)[23], 1).argmax()
    np.int64(0)
    """
    cells = calendar.cells
    found = weights[..., _moved(calendar, -hours)]
    for slot in range(HOURS, cells):
        found[..., slot::cells] = 0.0
    later = _moved(calendar, hours)
    for slot in range(HOURS, cells):
        found[..., later[slot::cells]] += weights[..., slot::cells]
    return np.asarray(found)


def _moved(calendar: ProfileCalendar, hours: int) -> Places:
    """Return the profile of the hour so many hours after that of each profile, (profiles)."""
    kinds, week = np.arange(calendar.kinds)[:, None], min(calendar.kinds, 7)
    days, hour = np.divmod(calendar.hours + hours, HOURS)
    after = np.where(kinds < week, (kinds + days) % week, kinds)
    return np.asarray((after * calendar.cells + hour).ravel())


def nearest(
    counts: Floats, shares: Floats, others: Iterable[tuple[Floats, Floats | float]], varies: Floats
) -> Floats:
    """Return the shares on the way to one of the ``others`` that are nearest to counts.

    All are (…, bins); beside each of the others is how far the way may be gone at most, (…).
    ``varies`` is the variance of the share of each bin, in units of that share.
    """
    total = counts.sum(axis=-1, keepdims=True)
    off = np.where(total > 0, counts / np.where(total > 0, total, 1.0) - shares, 0.0)
    weights = np.divide(1.0, shares * varies, out=np.zeros_like(shares), where=shares > 0)
    best, gained = shares, np.zeros(shares.shape[:-1])
    for other, most in others:
        way = other - shares
        along, length = (np.einsum("...b,...b,...b->...", way, weights, it) for it in (off, way))
        part = np.divide(along, length, out=np.zeros_like(along), where=length > 0).clip(0.0, most)
        gain = part * (2 * along - part * length)  # by so much the sum of squares is less
        best = np.where((gain > gained)[..., None], shares + part[..., None] * way, best)
        gained = np.maximum(gain, gained)
    return best


def of_slots(
    calendar: ProfileCalendar, weights: Floats, shares: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the shares of each slot, (…, bins), and how much of it there may be, (…).

    ``weights`` (…, profiles) are those of other hours: what they have in a slot's own hour and
    those beside it may be of the slot. ``shares`` are (signals, profiles, bins).
    """
    kinds, cells = calendar.kinds, calendar.cells
    by_kind = weights.reshape(*weights.shape[:-1], kinds, cells)
    each = shares.reshape(len(shares), kinds, cells, -1)
    for slot in range(HOURS, cells):
        near = [(calendar.hours[slot] + it) % HOURS for it in (-1, 0, 1)]
        of_kind = by_kind[..., near].sum(axis=-1)
        most = of_kind.sum(axis=-1)
        its = np.einsum("...sk,skb->...sb", of_kind, each[:, :, slot])
        yield its / np.where(most > 0, most, 1.0)[..., None], most
