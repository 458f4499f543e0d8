"""By how much more of a signal's values are unusable in a window than in its baseline. Pure.

A baseline with a fifth of its values missing expects a fifth, and one malformed value in a thousand
may be chance: a figure is above 0 only beyond the baseline's own share and the sampling noise of
both sides.
"""

import math

from tidegauge.baseline import (
    RARE_ROWS,
    CategoricalSignal,
    NumericSignal,
    Signal,
    nan_is_missing,
    reference_counts,
    tells_unseen,
)
from tidegauge.contract import Quality, SignalHistogram

#: Standard errors of sampling that a share must be above the baseline's: by chance alone that is
#: passed once in some three million windows of a signal.
_STANDARD_ERRORS = 5.0

#: -ln of how probable it may be by chance that all values of a window are the same, or that so many
#: are out of range.
_CHANCE_NATS = 16.0

#: Fewer values than this are not called constant.
_CONSTANT_VALUES = 100

#: Numbers that lie in so small a part of what holds the baseline's values, but for the outermost
#: one in a hundred at each end, are as good as constant: another unit, or the values of another
#: column.
_CONSTANT_WIDTH = 0.1


def quality_of(
    histogram: SignalHistogram, reference: Signal, effect: float = 1.0
) -> Quality | None:
    """Compare what is unusable of a signal with its baseline; None if it is no more than there.

    ``effect`` is the signal's design effect: what may be chance is by so many fewer events, on both
    sides. Not so of what the baseline has none of at all, as then nothing goes together there.
    """
    n = histogram.n
    missing, not_finite = histogram.absent + histogram.null, histogram.nan
    if nan_is_missing(reference):
        missing, not_finite = missing + not_finite, 0
    unseen = histogram.counts[-1] if tells_unseen(reference) else 0
    outside = _out_of_range(histogram, n, reference, effect)
    constant = _is_constant(histogram, n, reference, effect)
    if not (missing or not_finite or histogram.invalid or unseen or outside or constant):
        return None
    events = n + missing + not_finite + histogram.invalid
    bins = reference_counts(reference)
    rows, without = sum(bins), bins[len(reference.counts)]
    if not rows:
        return None

    def excess(count: int, expected: float) -> float:
        its = effect if expected else 1.0
        return _excess(count / events, events / its, expected / rows, rows / its)

    def new() -> float:
        expected, certain = _new_by_chance(reference, rows)
        return _excess(unseen / events, events / effect, expected / rows, certain / effect)

    found = Quality(
        absent_excess=excess(histogram.absent, without),
        missing_excess=excess(missing, without),
        not_finite_excess=excess(not_finite, 0),
        invalid_excess=excess(histogram.invalid, 0),
        unseen_excess=new() if unseen else 0.0,
        out_of_range_share=outside / events,
        constant=constant,
    )
    return None if found == _AS_EXPECTED else found


_AS_EXPECTED = Quality()


def _excess(share: float, events: float, expected: float, rows: float) -> float:
    """Return the part of what should have been usable that isn't, less what may be chance.

    Of few events no standard error says what may be chance, so the likelihood ratio of the two
    shares must be beyond it too: of 20 events, two that are lost are not enough for anything.

    >>> _excess(0.25, 5_000, 0.2, 10_000) < 0.03, _excess(1.0, 5_000, 0.2, 10_000) > 0.9
    (True, True)
    >>> _excess(1.0, 20, 0.0, 10_000) > 0.9, _excess(0.1, 20, 0.0, 10_000)
    (True, 0.0)
    """
    if share <= expected:
        return 0.0
    pooled = (share * events + expected * rows) / (events + rows)
    noise = _STANDARD_ERRORS * math.sqrt(pooled * (1 - pooled) * (1 / events + 1 / rows))
    lost = share - expected - noise
    if lost <= 0:
        return 0.0
    ratio = events * _divergence(share, pooled) + rows * _divergence(expected, pooled)
    return lost / (1 - expected) if ratio > _CHANCE_NATS else 0.0


def _divergence(share: float, other: float) -> float:
    """Return the KL divergence of two shares, nats."""
    pairs = ((share, other), (1 - share, 1 - other))
    return sum(p * math.log(p / q) for p, q in pairs if p > 0 and q > 0)


def _new_by_chance(reference: Signal, rows: int) -> tuple[float, float]:
    """Return how many of as many values as the baseline has would be new without any change.

    And as many rows as are as certain of that. The share of values that a sample has not met is
    about that of those it has met once (Good 1953). A baseline of release 0.1.0 doesn't say how
    many that are: it is known of the categories with a bin, and of the others it is at most as many
    as there are.
    """
    assert isinstance(reference, CategoricalSignal)  # noqa: S101 - numbers are never new
    *own, others, _ = reference.counts
    if reference.rare:
        return reference.rare.expected[-1], rows / (1 + reference.rare.excess[-1])
    return sum(count == 1 for count in own) + min(len(reference.known), others), rows


def _out_of_range(histogram: SignalHistogram, n: int, reference: Signal, effect: float) -> float:
    """Return how many numbers are far out of range at the least; 0 if that may be chance.

    Of n + m values of one kind, in whatever order they come, the k outermost are all among the
    first n with a probability of at most (n / (n + m))^k, times k + 1 ways to have some of them at
    either end. That holds for every distribution, be its tails ever so heavy.
    """
    if not isinstance(reference, NumericSignal):
        return 0.0
    found = n * least_out_of_range(histogram, reference)
    if not found:
        return 0.0
    independent = found / effect
    chance = independent * math.log1p(sum(reference.counts) / n) - math.log1p(independent)
    return found if chance > _CHANCE_NATS else 0.0


def _is_constant(histogram: SignalHistogram, n: int, reference: Signal, effect: float) -> bool:
    """Whether all values are one, or nearly, in a way that the baseline makes out to be no chance.

    It is none where so many values would hardly all fall into the bins that they are in, nor all
    into the largest one.
    """
    if n < _CONSTANT_VALUES:
        return False
    if isinstance(reference, NumericSignal):
        if histogram.minimum is None or histogram.maximum is None:
            return False
        width = reference.edges[-1] - reference.edges[0] if reference.edges else 0.0
        if histogram.maximum - histogram.minimum > _CONSTANT_WIDTH * width:
            return False
        if reference.minimum == reference.maximum:
            return False
    # Others, and those never seen, need not be one value.
    elif max(histogram.counts[:-2], default=0) < n:
        return False
    pairs = zip(reference.counts, histogram.counts, strict=True)
    most = max(*reference.counts, sum(known for known, count in pairs if count))
    rows = sum(reference.counts)
    if most == rows or rows < RARE_ROWS:
        return False
    return -n / effect * math.log((most + 1) / (rows + 1)) > _CHANCE_NATS


#: Beyond this, sums of squares may have been cut off at the largest float.
_MOST_SQUARES = 1e300


def least_out_of_range(histogram: SignalHistogram, reference: NumericSignal) -> float:
    """Return a lower bound of the share of values far outside of the baseline's range, 0 to 1.

    *Far* is farther outside of the range, from minimum to maximum, than the range is wide: growth
    or a shift doesn't get there, another unit or a code for "unknown" does. A histogram has no bin
    for that, but its sums, minimum and maximum imply how many such values there are at least.

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
