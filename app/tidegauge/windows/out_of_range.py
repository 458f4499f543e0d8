"""How many of a window's numbers are far outside of what the baseline saw, at the least. Pure.

*Far* is farther outside of the baseline's range, from its minimum to its maximum, than that range
is wide: what grows or shifts doesn't get there, another unit or a code that stands for "unknown"
does. A histogram has no bin for that, but its sums and its own minimum and maximum leave no choice
as to how many such values there are at least.
"""

import math

from tidegauge.baseline import NumericSignal
from tidegauge.contract import SignalHistogram

#: Beyond this, sums of squares may have been cut off at the largest float.
_MOST_SQUARES = 1e300


def least_out_of_range(histogram: SignalHistogram, reference: NumericSignal) -> float:
    """Return a lower bound of the share of values far outside of the baseline's range, 0 to 1.

    Of a baseline whose values are all the same, every other value is far, and the share is exact.
    With x in units in which far is below -1 or above 1, m the mean and v the variance of x, R the
    largest abs(x), o the share of the two outermost bins and e the largest abs(x) between them, or
    1, the share is at least each of

    - (abs(m) - 1)² / ((abs(m) - 1)² + v), if abs(m) > 1 (Cantelli's inequality);
    - (abs(m) - o - (1 - o) e) / (R - e), since what is not far adds at most that to abs(m);
    - (m² + v - o - (1 - o) e²) / (R² - e²), likewise.

    >>> signal = NumericSignal(edges=[1.0], counts=[5, 5], missing=0, nan=0,
    ...                        mean=1.0, std=0.5, minimum=0.0, maximum=2.0)
    >>> ten = SignalHistogram(counts=[5, 5], sum=505, sumsq=50_005, minimum=0.0, maximum=100.0)
    >>> 0.4 < least_out_of_range(ten, signal) <= 0.5
    True
    """
    n, low, high = histogram.n, reference.minimum, reference.maximum
    if not n or low is None or high is None:
        return 0.0
    if low == high:
        return 1.0 - histogram.counts[reference.counts.index(max(reference.counts))] / n
    least, most = histogram.minimum, histogram.maximum
    centre, unit = low / 2 + high / 2, 1.5 * (high - low)
    if least is None or most is None or not (0 < unit < math.inf):
        return 0.0
    nearest, farthest = (least - centre) / unit, (most - centre) / unit
    largest = max(-nearest, farthest)
    if not largest > 1.0:
        return 0.0
    if nearest > 1.0 or farthest < -1.0:
        return 1.0
    ends = [abs((edge - centre) / unit) for edge in (reference.edges[:1] + reference.edges[-1:])]
    inner = min(max(ends, default=1.0), 1.0)
    return min(max(_bounds(histogram, centre, unit, largest, inner)), 1.0)


def _bounds(
    histogram: SignalHistogram, centre: float, unit: float, largest: float, inner: float
) -> list[float]:
    n, counts = histogram.n, histogram.counts
    outer = (counts[0] + counts[-1]) / n if len(counts) > 1 else 1.0
    mean = histogram.sum / n
    size = abs((mean - centre) / unit)
    found = [0.0, (size - outer - (1.0 - outer) * inner) / (largest - inner)]
    if histogram.sumsq < _MOST_SQUARES and largest < _MOST_SQUARES**0.5:
        spread = math.sqrt(max(histogram.sumsq / n - mean * mean, 0.0)) / unit
        square, of_inner = size * size + spread * spread, inner * inner
        near = outer + (1.0 - outer) * of_inner
        found.append((square - near) / (largest * largest - of_inner))
        if size > 1.0:
            beyond = (size - 1.0) * (size - 1.0)
            found.append(beyond / (beyond + spread * spread))
    return [one for one in found if math.isfinite(one)]
