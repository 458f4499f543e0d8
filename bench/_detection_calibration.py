"""Detectors made comparable: one rate of false alarms for all, and what their delays then say."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Who detects at all is at least so many times as fast as its own false alarms are.
_DETECTS = 2.0
#: The bar: the best peer takes so many times as long as the detector.
TIMES = 2.0


def threshold(scores: npt.ArrayLike, every: int) -> float:
    """Return what one in ``every`` undisturbed scores lies above.

    Raises ``ValueError`` for fewer scores than that: nothing would be known of such a rate.

    >>> threshold([3.0, 1.0, 5.0, 2.0], every=2)
    2.0
    """
    falling = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    above = len(falling) // every
    if not above:
        raise ValueError(f"scores: found {len(falling)}, expected at least {every}")
    return float(falling[above])


def any_of(share: float, signals: int) -> float:
    """Return the probability that any of so many independent signals alarms.

    >>> any_of(0.5, 2)
    0.75
    """
    return 1 - (1 - share) ** signals


def loosest(
    rate: Callable[[float], float], strict: float, loose: float, allowed: float, steps: int = 10
) -> float:
    """Return the setting nearest to ``loose`` whose rate of false alarms is at most ``allowed``.

    By bisection of its logarithm; ``strict`` is what is returned if no setting tried is that quiet.

    >>> round(loosest(lambda delta: delta, 1e-9, 1.0, 0.001, steps=30), 6)
    0.001
    """
    if rate(loose) <= allowed:
        return loose
    low, high = math.log(strict), math.log(loose)
    for _ in range(steps):
        middle = (low + high) / 2
        if rate(math.exp(middle)) <= allowed:
            low = middle
        else:
            high = middle
    return math.exp(low)


class Late(NamedTuple):
    """A mean delay in windows, the drift's first included; ``at_least`` if some saw nothing."""

    windows: float
    at_least: bool = False

    def __str__(self) -> str:
        if math.isnan(self.windows):
            return ""
        text = f"{self.windows:,.1f}" if self.windows < 100 else f"{self.windows:,.0f}"
        return f"> {text}" if self.at_least else text


#: Of a detector that isn't made for such a signal.
NOT_WATCHED = Late(math.nan)


def of_shares(alarms: int, windows: int) -> Late:
    """Return the delay of who judges each window alone, by how many drifted ones alarmed.

    >>> str(of_shares(30, 600)), str(of_shares(0, 600))
    ('20.0', '> 600')
    """
    return Late(windows / alarms) if alarms else Late(windows, at_least=True)


def of_streams(delays: Sequence[int | None], longest: int) -> Late:
    """Return the mean delay of streams watched for ``longest`` windows; None saw nothing.

    >>> str(of_streams([1, 2], 10)), str(of_streams([4, None], 10))
    ('1.5', '> 7.0')
    """
    mean = float(np.mean([longest if it is None else it for it in delays]))
    return Late(mean, at_least=None in delays)


def detects(delay: Late, every: int) -> bool:
    """Say whether it is a delay at all, and not that of a false alarm."""
    if delay.at_least or math.isnan(delay.windows):
        return False
    return delay.windows <= every / _DETECTS


def best(delays: dict[str, Late], every: int) -> str | None:
    """Return who is the fastest of those that detect, rather than alarm at their own rate.

    >>> best({"a": Late(30.0), "b": Late(3.0), "c": Late(2.0, at_least=True)}, every=100)
    'b'
    >>> best({"a": Late(90.0)}, every=100) is None
    True
    """
    seen = {name: it.windows for name, it in delays.items() if detects(it, every)}
    return min(seen, key=lambda name: seen[name]) if seen else None


def verdict(ours: float, oracle: float, peer: float) -> str:
    """Say whether the detector is ``TIMES`` as fast as the best peer, or if nobody could be.

    >>> verdict(2.0, 1.5, 5.0), verdict(1.1, 1.0, 1.5), verdict(2.0, 1.0, 3.0)
    ('yes', 'nobody could be', 'no')
    >>> verdict(2.0, 1.0, 1.5)
    'slower'
    """
    if peer >= TIMES * ours:
        return "yes"
    if round(peer / ours, 1) < 1:
        return "slower"
    return "no" if peer >= TIMES * oracle else "nobody could be"
