"""What recurs at the same minutes of most days of a baseline: they get profiles of their own.

The mean of each minute over the days is compared with the running median of 91 minutes around it,
which neither a daily cycle nor some minutes of a batch move. It stands out if by far most days do
so, or if the mean does by Student's t.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy import ndimage, stats

from tidegauge.sequential.calendar import HOURS
from tidegauge.sequential.reference import Reference
from tidegauge.stats import Floats

#: Events that a minute of a day has on average, or nothing can be told of it.
_LEAST_EVENTS = 20

#: Minutes around one that its level is taken from.
_AROUND = 91

#: A day stands out by so many standard deviations, and so many of the days must.
_FAR, _MOST_DAYS = 4.0, 0.6

#: The chance that a minute of a day stands out by Student's t, in one series, without a cause.
_BY_CHANCE = 1e-3

#: In standard deviations of one event: less is no change that the default rules would report.
_LEAST = 0.03

#: A bin of fewer events than that share is not looked at.
_LEAST_SHARE = 0.001

#: Minutes of a slot, slots of a day, and minutes that must be left of an hour.
_LONGEST, _MOST_SLOTS, _LEAST_LEFT = 15, 24, 10

_MINUTES = 1440


def standing_out(pooled: Reference, blocks: Floats) -> Floats:
    """Return by how much each minute of the day stands out on most days, 0 where it doesn't.

    ``blocks`` are counts of one signal, (days, 1440, bins); in standard deviations of one event.
    """
    found = np.zeros(_MINUTES)
    events = blocks.sum(axis=-1)
    if len(blocks) < 2 or np.median(events) < _LEAST_EVENTS:
        return found
    sampling = 1 / np.sqrt(np.maximum(events.mean(axis=0), 1.0))
    chance = stats.t.isf(_BY_CHANCE / 2 / _MINUTES, len(blocks) - 1)
    for series in _series(pooled, blocks / np.maximum(events, 1.0)[..., None]):
        level = ndimage.median_filter(series.mean(axis=0), _AROUND, mode="wrap")
        off = series - level
        mean = off.mean(axis=0)
        spread = np.maximum(off.std(axis=0, ddof=1), sampling)
        usual = np.maximum(np.median(spread), sampling)
        far = (off * np.sign(mean) > _FAR * usual).mean(axis=0) >= _MOST_DAYS
        sure = np.abs(mean) * np.sqrt(len(blocks)) > chance * spread
        there = (far | sure) & (np.abs(mean) >= _LEAST)
        np.maximum(found, np.where(there, np.abs(mean), 0.0), out=found)
    return found


def slots_of(minutes: Floats) -> list[tuple[int, int]]:
    """Return the slots, seconds of the day, of how much each minute stands out in any signal.

    Each has up to 15 minutes. If there are more than 24, or little is left of an hour, those that
    stand out least are left out.

    >>> found = np.zeros(1440)
    >>> found[125:145] = 0.5
    >>> slots_of(found)
    [(7500, 8100), (8100, 8700)]
    """
    runs = np.flatnonzero(np.diff(np.concatenate([[0], minutes > 0, [0]])))
    pieces = [
        piece
        for begin, end in zip(runs[::2].tolist(), runs[1::2].tolist(), strict=True)
        for piece in _cut(begin, end)
    ]
    pieces.sort(key=lambda it: (-float(minutes[slice(*it)].sum()), it))
    left, kept = np.full(HOURS, 60), list[tuple[int, int]]()
    for begin, end in pieces:
        taken = np.bincount(np.arange(begin, end) // 60, minlength=HOURS)
        if len(kept) < _MOST_SLOTS and (left - taken >= _LEAST_LEFT).all():
            left -= taken
            kept.append((begin * 60, end * 60))
    return sorted(kept)


def _cut(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield pieces of about equal length of a run."""
    number = -(-(end - begin) // _LONGEST)
    ends = [begin + (end - begin) * it // number for it in range(number + 1)]
    yield from pairwise(ends)


def _series(pooled: Reference, shares: Floats) -> Iterator[Floats]:
    """Yield what is looked at of shares (days, 1440, bins), each of unit variance of one event."""
    for score in (pooled.linear[0], pooled.quadratic[0]):
        if score.any():
            yield np.asarray(shares @ score)
    whole = pooled.counts[0] / pooled.counts[0].sum()
    for bin_ in np.flatnonzero((whole >= _LEAST_SHARE) & ~(pooled.linear[0] != 0)):
        p = float(whole[bin_])
        if p < 1:
            yield shares[..., bin_] / np.sqrt(p * (1 - p))
