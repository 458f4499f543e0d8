"""Baselines changed by what past windows show, to see what they would be worth. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from tidegauge.baseline import (
    LEAST_DAYS,
    Baseline,
    DailyCycle,
    Dependence,
    NumericSignal,
    RareValues,
    Signal,
    counted_by_bin,
    current_counts,
)
from tidegauge.baseline.io import over_all_spans, signal_hours
from tidegauge.contract import WindowReport
from tidegauge.stats import Floats

_DAY_SECONDS, _MINUTES = 86_400, 1_440

#: Windows have to follow those that the hours are made of for so long.
_REST_SECONDS = _DAY_SECONDS

#: Counts that are held: 400 MB.
_MOST_COUNTS = 100_000_000

Counts = npt.NDArray[np.int32]


class HoursOfWindows:
    """Counts by minute of the first 14 whole days of windows that one baseline has binned."""

    def __init__(self, baseline: Baseline, since: int) -> None:
        self._baseline = baseline
        self._first = -(-since // _DAY_SECONDS)
        self.until = (self._first + LEAST_DAYS) * _DAY_SECONDS
        widths = {name: len(counted_by_bin(it)) for name, it in baseline.signals.items()}
        self._counts = {
            name: np.zeros((LEAST_DAYS, _MINUTES, width), dtype=np.int32)
            for name, width in widths.items()
        }

    @classmethod
    def of(cls, baseline: Baseline, since: int, until: int) -> "HoursOfWindows | None":
        """Return one to be filled; None if there are too few days, or too many signals."""
        found = sum(len(counted_by_bin(it)) for it in baseline.signals.values())
        if baseline.daily or LEAST_DAYS * _MINUTES * found > _MOST_COUNTS:
            return None
        its = -(-since // _DAY_SECONDS) + LEAST_DAYS
        return cls(baseline, since) if until >= its * _DAY_SECONDS + _REST_SECONDS else None

    def take(self, report: WindowReport) -> None:
        """Count a window of all traffic, at the minute at which it began."""
        day, second = divmod(report.window_start, _DAY_SECONDS)
        if not 0 <= day - self._first < LEAST_DAYS or report.segment or report.revision:
            return
        for part in report.parts:
            if part.baseline == self._baseline.id:
                for name in self._counts.keys() & part.signals.keys():
                    signal = self._baseline.signals[name]
                    counts = current_counts(signal, part.signals[name].histogram)
                    self._counts[name][day - self._first, second // 60] += np.array(counts)

    def finish(self) -> Baseline | None:
        """Return the baseline of these days; None if they have too few events to tell hours."""
        found, signals = {}, {}
        for name, counts in self._counts.items():
            signal = _with_counts(self._baseline.signals[name], counts.sum(axis=(0, 1)).tolist())
            effect = self._baseline.design_effect(name)
            try:
                found[name] = signal_hours(signal, counts.astype(np.int64), effect)
            except ValueError:
                return None
            signals[name] = signal
        spans, hours = over_all_spans(found)
        daily = DailyCycle(days=LEAST_DAYS, spans_seconds=spans, signals=hours)
        return replace(self._baseline, signals=signals, daily=daily)


def with_effects(baseline: Baseline, effects: Mapping[str, float]) -> Baseline:
    """Return a baseline whose signals have these design effects beyond those that they have."""
    known = baseline.dependence or Dependence(found_by="rows")
    times = {
        name: effect * baseline.design_effect(name)
        for name, effect in effects.items()
        if name in baseline.signals
    }
    design_effects = {**known.design_effects, **times}
    return replace(baseline, dependence=replace(known, design_effects=design_effects))


def expects_by_rows(signal: Signal) -> bool:
    """Whether what to expect of a signal was told by how many rows each of its values has."""
    return not isinstance(signal, NumericSignal) and bool(signal.rare)


def with_counts(baseline: Baseline, counts: Mapping[str, Floats]) -> Baseline:
    """Return a baseline of these counts by bin, of windows, without hours of the day."""
    signals = {
        name: _with_counts(signal, counts[name].round().astype(int).tolist())
        if name in counts
        else signal
        for name, signal in baseline.signals.items()
    }
    return replace(baseline, signals=signals, daily=None)


def _with_counts(signal: Signal, counts: Sequence[int]) -> Signal:
    """Return a signal with these counts by bin, of windows, as those of the baseline.

    Those of values, and then of missing, not finite and invalid ones, and outside of the range.
    """
    values = list(counts[: len(signal.counts)])
    missing, not_finite = counts[len(values) : len(values) + 2]
    if isinstance(signal, NumericSignal):
        # What was outside of the range is in it now, in a bin of values.
        values[-1] += sum(counts[len(values) + 3 :])
        return replace(
            signal, counts=values, missing=missing, nan=not_finite, minimum=None, maximum=None
        )
    rare = signal.rare and RareValues(seen_once=0, expected=values, excess=[0.0] * len(values))
    return replace(signal, counts=values, missing=missing, rare=rare)
