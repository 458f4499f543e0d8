"""Of a window that can't be closed: which tenures don't fit, so that the others can be. Pure.

A cell is read in full when its window closes. One that anybody sent under a real tenure's name, or
that was binned by something else, must not cost the window what real tenures have counted.
"""

from collections import Counter
from collections.abc import Mapping

from tidegauge.baseline import Baseline, NumericSignal
from tidegauge.contract import DecodingError
from tidegauge.windows.merging import BoundedHistogram
from tidegauge.windows.validation import histograms_of
from tidegauge.windows.values import CellCounts


def misfits(
    parts: Mapping[str, CellCounts], baselines: Mapping[str, Baseline]
) -> list[tuple[str, str, str]]:
    """Return baseline, tenure and reason of what can't be a count of this window, in their order.

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
