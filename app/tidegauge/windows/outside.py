"""How many values of a window lie outside of the baseline's range, as it is at the least. Pure.

No bin ends where the baseline's smallest and largest value are, but counts, sum, sum of squares and
extremes of a histogram imply how many values are beyond them. That many are a bin of their own for
the detector, in which the baseline has none. It needs no law of the values: of n + m of one kind,
in whatever order they come, the k outermost are all among the first n with a probability of about
(n / (n + m))^k, be their tails ever so heavy; and that is what the likelihood ratio of an empty bin
makes of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

from tidegauge.baseline import NumericSignal, Signal
from tidegauge.contract import SignalHistogram

#: Sums of many floats are off by no more than this, relative to the largest of what is added.
_ROUNDING = 1e-9


class Outside(NamedTuple):
    """How many values are below and above the baseline's range."""

    below: int
    above: int


_NONE = Outside(0, 0)


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of a baseline's signal, and what its bins can hold.

    A value in bin i that is within the range is in [``lows[i]``, ``highs[i]``], and the square of
    its distance from ``centre`` is at most ``squares[i]``.
    """

    low: float
    high: float
    centre: float
    lows: Sequence[float]
    highs: Sequence[float]
    squares: Sequence[float]

    @classmethod
    def of(cls, signal: Signal) -> "Range | None":
        """Return that of a numeric signal; None if it is not known, or one value."""
        if not isinstance(signal, NumericSignal) or not signal.edges:
            return None
        low, high = signal.minimum, signal.maximum
        if low is None or high is None or not (low < high and math.isfinite(high - low)):
            return None
        # The last edge may be the float after the largest value, if that is a common one.
        if low > signal.edges[0] or high < math.nextafter(signal.edges[-1], -math.inf):
            return None
        lows, highs = [low, *signal.edges], [*signal.edges, high]
        centre = signal.edges[len(signal.edges) // 2]
        squares = [
            max(_square(a - centre), _square(b - centre)) for a, b in zip(lows, highs, strict=True)
        ]
        return cls(low, high, centre, lows, highs, squares)

    def outside(self, histogram: SignalHistogram) -> Outside:
        """Return how many values of a histogram by the same edges are outside, at the least.

        With a sum S of values, of squares Q of their distances from the centre, and o values in the
        bins, the numbers below and above are at least each of

        - one, where an extreme is outside;
        - (S - Σ o · high) / (maximum - range's end) above: more than that all others can't add;
        - (Σ o · low - S) / (range's begin - minimum) below, likewise;
        - both together, (Q - Σ o · square) / what the farther extreme has more than its end.

        >>> signal = NumericSignal(edges=[1.0], counts=[5, 5], missing=0, nan=0,
        ...                        mean=1.0, std=0.5, minimum=0.0, maximum=2.0)
        >>> ten = SignalHistogram(counts=[5, 5], sum=505, sumsq=50_005, minimum=0.0, maximum=100.0)
        >>> Range.of(signal).outside(ten)
        Outside(below=0, above=5)
        """
        least, most = histogram.minimum, histogram.maximum
        if least is None or most is None or (least >= self.low and most <= self.high):
            return _NONE
        counts, total, centre = histogram.counts, histogram.sum, self.centre
        n = sum(counts)
        above, below, far = 0, 0, 0.0
        shift = total - n * centre  # the sum of the distances from the centre
        slack = _ROUNDING * (abs(total) + n * abs(centre))
        if most > self.high:
            at_most = sum(map(mul, counts, self.highs)) - n * centre
            above = max(_whole((shift - at_most - slack) / (most - self.high)), 1)
            far = _square(most - centre) - _square(self.high - centre)
        if least < self.low:
            at_least = sum(map(mul, counts, self.lows)) - n * centre
            below = max(_whole((at_least - shift - slack) / (self.low - least)), 1)
            far = max(far, _square(least - centre) - _square(self.low - centre))
        squares = histogram.sumsq - centre * (2 * total - n * centre)
        slack = _ROUNDING * (histogram.sumsq + abs(centre) * (2 * abs(total) + n * abs(centre)))
        both = squares - slack - sum(map(mul, counts, self.squares))
        more = max((_whole(both / far) if far > 0 else 0) - below - above, 0)
        if most > self.high and most - centre >= centre - least:
            above += more
        else:
            below += more
        return Outside(min(below, counts[0]), min(above, counts[-1]))


def with_outside(bins: list[int], values: int, found: Outside) -> list[int]:
    """Return a signal's bins, of which the first ``values`` are of values, and one of the outside.

    >>> with_outside([5, 3, 4, 1, 0, 0], 3, Outside(1, 2))
    [4, 3, 2, 1, 0, 0, 3]
    """
    bins = [*bins, found.below + found.above]
    bins[0] -= found.below
    bins[values - 1] -= found.above
    return bins


def _square(x: float) -> float:
    """Return x², infinite where ``x**2`` raises."""
    return x * x


def _whole(x: float) -> int:
    """Return the least whole number that is no less; 0 of what is no number."""
    return math.ceil(x - _ROUNDING) if math.isfinite(x) and x > 0 else 0
