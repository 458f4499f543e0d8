"""Adding up what several tenures counted of the same window. Pure."""

import math
import sys
from collections.abc import Iterable
from operator import add
from typing import Annotated

import msgspec

from tidegauge.contract import DecodingError, SignalHistogram, decode
from tidegauge.windows.values import LARGEST_COUNT, CellCounts

_MOST = sys.float_info.max

#: Signals that every cell has; all others are of its baseline.
REQUIRED = ("prediction", "latency_ms", "status")

_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)]


class BoundedHistogram(SignalHistogram, kw_only=True, omit_defaults=True):
    """The counts of one signal within the bounds that arithmetic on windows needs."""

    counts: Annotated[list[_Count], msgspec.Meta(min_length=1)]
    absent: _Count = 0
    null: _Count = 0
    nan: _Count = 0
    invalid: _Count = 0


def merge_tenures(tenures: CellCounts) -> dict[str, SignalHistogram]:
    """Add what each tenure counted. In order of their names, so that sums of floats repeat."""
    decoded = [signals_of(tenures[name].signals) for name in sorted(tenures)]
    names: dict[str, None] = {}
    for signals in decoded:
        names.update(dict.fromkeys(signals))
    return {name: merge(s[name] for s in decoded if name in s) for name in names}


def signals_of(signals: msgspec.Raw) -> dict[str, BoundedHistogram]:
    """Decode what a cell has counted, by signal; raises :class:`DecodingError`."""
    found = decode(signals, dict[str, BoundedHistogram])
    for name in REQUIRED:
        if name not in found:
            raise DecodingError(f"signals has no {name}")
    return found


def merge(histograms: Iterable[SignalHistogram]) -> SignalHistogram:
    """Add histograms of one binning."""
    its = list(histograms)
    if not its:
        return SignalHistogram(counts=[])
    counts: Iterable[int] = its[0].counts
    bins = len(its[0].counts)
    for h in its[1:]:
        if len(h.counts) != bins:
            raise ValueError(
                f"histograms of {bins} and of {len(h.counts)} bins: "
                "only those of one binning can be added"
            )
        counts = map(add, counts, h.counts)
    absent = null = nan = invalid = 0
    lows, highs = [], []
    for h in its:
        absent += h.absent
        null += h.null
        nan += h.nan
        invalid += h.invalid
        if h.minimum is not None:
            lows.append(h.minimum)
        if h.maximum is not None:
            highs.append(h.maximum)
    return SignalHistogram(
        counts=list(counts),
        absent=absent,
        null=null,
        nan=nan,
        invalid=invalid,
        sum=bounded_sum([h.sum for h in its]),
        sumsq=bounded_sum([h.sumsq for h in its]),
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
    )


def bounded_sum(values: Iterable[float]) -> float:
    """Add one after the other, never beyond the largest float.

    Infinity has no JSON form, so nobody could read it back.
    """
    total = 0.0
    for value in values:
        total += value
        if not -_MOST <= total <= _MOST:
            total = math.copysign(_MOST, total)
    return total
