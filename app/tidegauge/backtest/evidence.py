"""The evidence of many windows at once: as much of it as rules ask for, and no reasons."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from tidegauge.contract import AlarmBudget, DriftPattern, Evidence, ReportPart
from tidegauge.sequential import LAMBDAS, SCORES, Budget, WindowBatch, size_of
from tidegauge.windows import BaselineLayout, drift_of_values, pattern_of

Bools = npt.NDArray[np.bool_]


class JudgedWindows:
    """What the detector says of the signals of windows that are ``asked`` for, (windows, signals).

    The same figures as those of ``with_evidence``, without what explains an alarm to a person:
    counts, and what has changed.
    """

    def __init__(
        self, stretch: WindowBatch, watched: BaselineLayout, budget: Budget, asked: Bools
    ) -> None:
        self._stretch = stretch
        self._names = watched.names
        self._watched = watched
        self._row = {name: row for row, name in enumerate(watched.names)}
        self._bins = watched.reference.exists.sum(axis=1).tolist()
        self._baseline_events = watched.reference.counts.sum(axis=1).astype(int).tolist()
        self._budget = budget
        windows, rows = np.nonzero(asked)
        self._starts = np.searchsorted(windows, np.arange(len(asked) + 1)).tolist()
        self._found = list(zip(rows.tolist(), self._evidence(windows, rows), strict=True))

    def asked(self, at: int) -> dict[str, Evidence]:
        """Return the evidence of the signals asked for of window number ``at``."""
        found = self._found[self._starts[at] : self._starts[at + 1]]
        return {self._names[row]: evidence for row, evidence in found if evidence is not None}

    def of(self, at: int, names: set[str]) -> dict[str, Evidence]:
        """Return the evidence of signals that may not have been asked for."""
        rows = np.array([self._row[name] for name in sorted(names & self._row.keys())], np.intp)
        found = self._evidence(np.full(len(rows), at), rows)
        return {
            self._names[row]: evidence
            for row, evidence in zip(rows.tolist(), found, strict=True)
            if evidence is not None
        }

    def budget(self, at: int) -> AlarmBudget:
        """Return the budget that window number ``at`` is judged by."""
        return AlarmBudget(
            threshold_nats=float(self._stretch.thresholds[at, 0]),
            looks=float(self._stretch.looks[at, 0]),
            alarms_per_month=self._budget.alarms,
            windows_per_month=self._budget.windows,
            slices=self._budget.slices,
            guaranteed=False,
            reason="baseline_without_hours",
        )

    def pattern(
        self, at: int, part: ReportPart, dimensions: Collection[str]
    ) -> DriftPattern | None:
        """Return what the signals in alarm say together; all that may be are to be asked for.

        But for the ``dimensions`` of the segment, as in ``with_evidence``.
        """
        counted = np.flatnonzero(self._stretch.events[at, 0] > 0).tolist()
        there = part.signals.keys() - set(dimensions)
        judged = [self._names[row] for row in counted if self._names[row] in there]
        threshold = float(self._stretch.thresholds[at, 0])
        in_alarm = {
            name
            for name, its in self.asked(at).items()
            if its.surprise_nats > threshold and name in there
        }
        if not judged:
            return None
        references, widths = self._watched.reference.counts, self._watched.widths
        spans = np.arange(len(LAMBDAS))
        sizes = {}
        for name in in_alarm:
            row = self._row[name]
            counts = self._stretch.effective(
                np.full_like(spans, at), spans, np.full_like(spans, row)
            )
            sizes[name] = drift_of_values(
                part.signals[name], self._watched.bins[name],
                counts[:, : widths[row]], references[row, : widths[row]],
            )  # fmt: skip
        return pattern_of(judged, {name: it for name, it in sizes.items() if it is not None})

    def _evidence(
        self, windows: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]
    ) -> list[Evidence | None]:
        """Return the evidence of each signal in the window beside it; None if never counted."""
        if not len(windows):
            return []
        strongest = self._stretch.strongest(windows, rows)
        columns = (rows, *strongest, self._stretch.events[windows, 0, rows] > 0)
        return [
            Evidence(
                score=SCORES[score],
                span_windows=_SPANS[span],
                surprise_nats=surprise,
                events=events,
                baseline_events=self._baseline_events[row],
                bins=self._bins[row],
                psi_corrected=size,
                size=size_of(size),
            )
            if counted
            else None
            for row, surprise, span, score, events, size, counted in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]


_SPANS = [round(1 / weight) for weight in LAMBDAS]
