"""By how much more of a signal's values are unusable in a window than in its baseline. Pure.

A baseline with a fifth of its values missing expects a fifth, and one malformed value in a thousand
may be chance: a figure is above 0 only beyond the baseline's own share and the sampling noise of
both sides.
"""

import math

from tidegauge.baseline.compare import (
    RARE_ROWS,
    nan_is_missing,
    reference_counts,
    tells_unseen,
)
from tidegauge.baseline.document import CategoricalSignal, NumericSignal, Signal
from tidegauge.contract import Quality, SignalHistogram

#: Standard errors of sampling that a share must be above the baseline's: by chance alone that is
#: passed once in some three million windows of a signal.
_STANDARD_ERRORS = 5.0

#: -ln of how probable it may be that all values of a window are the same by chance.
_CONSTANT_NATS = 16.0

#: Fewer values than this are not called constant.
_CONSTANT_VALUES = 100


def quality_of(histogram: SignalHistogram, reference: Signal) -> Quality | None:
    """Compare what is unusable of a signal with its baseline; None if it is no more than there."""
    n = histogram.n
    missing, not_finite = histogram.absent + histogram.null, histogram.nan
    if nan_is_missing(reference):
        missing, not_finite = missing + not_finite, 0
    unseen = histogram.counts[-1] if tells_unseen(reference) else 0
    constant = _is_constant(histogram, n, reference)
    if not (missing or not_finite or histogram.invalid or unseen or constant):
        return None
    events = n + missing + not_finite + histogram.invalid
    bins = reference_counts(reference)
    rows, without = sum(bins), bins[len(reference.counts)]
    if not rows:
        return None

    def excess(count: int, expected: float) -> float:
        return _excess(count / events, events, expected / rows, rows)

    found = Quality(
        absent_excess=excess(histogram.absent, without),
        missing_excess=excess(missing, without),
        not_finite_excess=excess(not_finite, 0),
        invalid_excess=excess(histogram.invalid, 0),
        unseen_excess=excess(unseen, _new_by_chance(reference)) if unseen else 0.0,
        constant=constant,
    )
    return None if found == _AS_EXPECTED else found


_AS_EXPECTED = Quality()


def _excess(share: float, events: int, expected: float, rows: int) -> float:
    """Return the part of what should have been usable that isn't, less what may be chance.

    >>> _excess(0.25, 5_000, 0.2, 10_000) < 0.03, _excess(1.0, 5_000, 0.2, 10_000) > 0.9
    (True, True)
    """
    if share <= expected:
        return 0.0
    pooled = (share * events + expected * rows) / (events + rows)
    noise = _STANDARD_ERRORS * math.sqrt(pooled * (1 - pooled) * (1 / events + 1 / rows))
    return max(share - expected - noise, 0.0) / (1 - expected)


def _new_by_chance(reference: Signal) -> float:
    """Return how many of as many values as the baseline has would be new without any change.

    The share of values that a sample has not met is about that of those it has met once (Good
    1953). How many that are is known of the categories with a bin; of the others it is at most as
    many as there are.
    """
    assert isinstance(reference, CategoricalSignal)  # noqa: S101 - numbers are never new
    *own, others, _ = reference.counts
    return sum(count == 1 for count in own) + min(len(reference.known), others)


def _is_constant(histogram: SignalHistogram, n: int, reference: Signal) -> bool:
    """Whether all values are one, in a way that the baseline makes out to be no chance."""
    is_numeric = isinstance(reference, NumericSignal)
    # Others, and those never seen, need not be one value.
    own = histogram.counts if is_numeric else histogram.counts[:-2]
    if n < _CONSTANT_VALUES or max(own, default=0) < n:
        return False
    if isinstance(reference, NumericSignal):
        if histogram.minimum is None or histogram.minimum != histogram.maximum:
            return False
        if reference.minimum == reference.maximum:
            return False
    most, rows = max(reference.counts), sum(reference.counts)
    if most == rows or rows < RARE_ROWS:
        return False
    return -n * math.log((most + 1) / (rows + 1)) > _CONSTANT_NATS
