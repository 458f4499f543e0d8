"""Adding up what several tenures counted of the same window. Pure."""

import math
import sys
from collections.abc import Iterable
from operator import add

from tidegauge.contract import SignalHistogram, decode
from tidegauge.detect.values import CellCounts

_MOST = sys.float_info.max

#: What a cell has counted, by signal.
Signals = dict[str, SignalHistogram]


def merge_tenures(tenures: CellCounts) -> dict[str, SignalHistogram]:
    """Add what each tenure counted. In order of their names, so that sums of floats repeat."""
    decoded = [decode(tenures[name].signals, Signals) for name in sorted(tenures)]
    names: dict[str, None] = {}
    for signals in decoded:
        names.update(dict.fromkeys(signals))
    return {name: merge(s[name] for s in decoded if name in s) for name in names}


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
        sum=_sum([h.sum for h in its]),
        sumsq=_sum([h.sumsq for h in its]),
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
    )


def _sum(values: list[float]) -> float:
    """Add one after the other, never beyond the largest float.

    Infinity has no JSON form, so nobody could read it back.
    """
    total = 0.0
    for value in values:
        total += value
        if not -_MOST <= total <= _MOST:
            total = math.copysign(_MOST, total)
    return total
