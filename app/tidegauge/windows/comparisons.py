"""The drift figures of one window after the other by the baselines they were binned by. Pure."""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from tidegauge.baseline import Baseline, current_counts, ordered_bins, reference_counts, value_bins
from tidegauge.contract import Drift, SignalHistogram
from tidegauge.sequential import ValueTable, with_values
from tidegauge.stats import DriftTable

Signals = Mapping[str, SignalHistogram]


class _LaidOut(NamedTuple):
    names: list[str]
    table: DriftTable
    values: ValueTable


class Comparisons:
    """Compares windows with baselines, each of which is laid out once and remembered by its id."""

    def __init__(self) -> None:
        self._known: dict[str, _LaidOut] = {}

    def keep(self, baselines: Set[str]) -> None:
        """Forget how baselines other than these are laid out."""
        for baseline_id in self._known.keys() - baselines:
            del self._known[baseline_id]

    def drifts(
        self, baseline_id: str, baseline: Baseline, signals: Signals
    ) -> dict[str, Drift | None]:
        """Return the figures of the signals that the baseline has.

        Raises ``ValueError`` if one was binned by another baseline.
        """
        return self.drifts_together([(baseline_id, baseline, signals)])[0]

    def drifts_together(
        self, windows: Sequence[tuple[str, Baseline, Signals]]
    ) -> list[dict[str, Drift | None]]:
        """Return those of many windows, each by its own baseline: the same, and in less time."""
        laid_out = [self._laid_out(*window) for window in windows]
        currents = [
            [current_counts(baseline.signals[name], signals[name]) for name in it.names]
            for it, (_, baseline, signals) in zip(laid_out, windows, strict=True)
        ]
        figures = DriftTable.together([it.table for it in laid_out], currents)
        of_values = ValueTable.together([it.values for it in laid_out], currents)
        return [
            dict(zip(it.names, map(with_values, its, values), strict=True))
            for it, its, values in zip(laid_out, figures, of_values, strict=True)
        ]

    def _laid_out(self, baseline_id: str, baseline: Baseline, signals: Signals) -> _LaidOut:
        names = [name for name in signals if name in baseline.signals]
        known = self._known.get(baseline_id)
        if known is None or known.names != names:
            references = [baseline.signals[name] for name in names]
            counts = [reference_counts(it) for it in references]
            ordered = [ordered_bins(it) for it in references]
            table = DriftTable(counts, ordered)
            effects = [baseline.design_effect(name) for name in names]
            values = ValueTable(counts, list(map(value_bins, counts, ordered)), effects)
            known = self._known[baseline_id] = _LaidOut(names, table, values)
        return known
