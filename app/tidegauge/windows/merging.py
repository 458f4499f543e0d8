"""The histograms of a window: decoded, checked, and added over its tenures. Pure."""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import add
from typing import Annotated

import msgspec

from tidegauge.baseline import Baseline, NumericSignal
from tidegauge.contract import (
    LATENCY_EDGES_MS,
    STATUS_CATEGORIES,
    DecodingError,
    SignalHistogram,
    decode,
)
from tidegauge.windows.values import (
    CellCounts,
)

#: More events than a tenure can count; up to here a float holds every integer.
LARGEST_COUNT = 2**53

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


#: Bins of the signals that every cell has; a prediction has one for each interval of its baseline.
_OUTPUT_BINS = {"latency_ms": len(LATENCY_EDGES_MS) + 1, "status": len(STATUS_CATEGORIES) + 2}


def histograms_of(
    signals: msgspec.Raw, events: int, *, baseline: str
) -> Mapping[str, BoundedHistogram]:
    """Return the histograms of a cell of so many events; raises :class:`DecodingError`."""
    found = signals_of(signals)
    for name, bins in {**_OUTPUT_BINS, "prediction": None if baseline else 1}.items():
        if bins is not None and len(found[name].counts) != bins:
            raise DecodingError(f"{name} has {len(found[name].counts)} bins, expected {bins}")
    for name, histogram in found.items():
        counted = (
            histogram.n + histogram.absent + histogram.null + histogram.nan + histogram.invalid
        )
        if counted != events:
            raise DecodingError(f"{name} has {counted} events, the cell has {events}")
    return found


def misfits(
    parts: Mapping[str, CellCounts], baselines: Mapping[str, Baseline]
) -> list[tuple[str, str, str]]:
    """Return baseline, tenure and reason of what can't be a count of this window, in their order.

    A cell is decoded in full only when its window closes. A cell that somebody sent under the name
    of a real tenure, or with other bins, must not cost the window what real tenures have counted.
    Where the baseline is not known, what most tenures have of a signal is taken for its binning.
    """
    found: list[tuple[str, str, str]] = []
    for baseline, tenures in parts.items():
        layouts: dict[str, set[tuple[str, int]]] = {}
        for tenure in sorted(tenures):
            counts = tenures[tenure]
            try:
                signals = histograms_of(counts.signals, counts.events, baseline=baseline)
                _check_bins(signals, baselines.get(baseline))
            except DecodingError as error:
                found.append((baseline, tenure, str(error)))
            else:
                layouts[tenure] = {(name, len(it.counts)) for name, it in signals.items()}
        seen = Counter(one for layout in layouts.values() for one in layout)
        # Of two that are as frequent, that with more bins.
        usual = {name: bins for (name, bins), _ in sorted(seen.items(), key=_frequency)}
        found += [
            (baseline, tenure, "it has other bins than the other tenures")
            for tenure, layout in layouts.items()
            if layout - usual.items()
        ]
    return found


def _frequency(seen: tuple[tuple[str, int], int]) -> tuple[int, int]:
    (_, bins), number = seen
    return number, bins


def _check_bins(signals: Mapping[str, BoundedHistogram], baseline: Baseline | None) -> None:
    if baseline is None:
        return
    for name, signal in baseline.signals.items():
        if name == "prediction" and not isinstance(signal, NumericSignal):
            continue
        bins = len(signals[name].counts) if name in signals else None
        if bins != len(signal.counts):
            raise DecodingError(f"{name} has {bins} bins, its baseline {len(signal.counts)}")
