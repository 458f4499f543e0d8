"""What rules need to know of windows of the past, and the evidence of so many signals at once."""

import math
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from tidegauge.alerting import MetricName, RuleSet, measure
from tidegauge.contract import AlarmBudget, DriftPattern, Evidence, ReportPart, WindowReport
from tidegauge.sequential import LAMBDAS, Budget, WindowBatch
from tidegauge.windows import BaselineLayout, alarm_budget

Bools = npt.NDArray[np.bool_]

_SCALES = np.arange(len(LAMBDAS))[:, None]

#: Metrics of what the detector remembers; all others are in a report as it was read.
OF_EVIDENCE: frozenset[MetricName] = frozenset({"surprise", "drifted_signals", "drifted_share"})


class RequiredMetrics:
    """Figures, and on which side of what the rules of a slice look.

    ``first`` is one of the slice's reports.
    """

    def __init__(self, rules: RuleSet, first: WindowReport) -> None:
        watching = [one.rule for one in rules.compiled if one.watches(first)]
        of_evidence = [rule for rule in watching if rule.metric in OF_EVIDENCE]
        self.evidence = bool(of_evidence)
        #: Whether a rule is on what all signals say together, or asks whether values drift.
        self.together = any(
            rule.metric != "surprise" or rule.signal_inhibited_by for rule in of_evidence
        )
        #: Above which multiple of its threshold evidence matters; None if below some it does too.
        #: What is in alarm, above 1, always does.
        self.level: float | None = None
        if all(rule.above is not None for rule in of_evidence):
            surprises = (rule.threshold for rule in of_evidence if rule.metric == "surprise")
            self.level = min([1.0, *surprises])
        #: By metric, the highest threshold that a value may be below, and the lowest that it may be
        #: above.
        self._sides: dict[MetricName, tuple[float, float]] = {}
        for rule in watching:
            if rule.metric in OF_EVIDENCE:
                continue
            low, high = self._sides.get(rule.metric, (-math.inf, math.inf))
            if rule.above is None:
                low = max(low, rule.threshold)
            else:
                high = min(high, rule.threshold)
            self._sides[rule.metric] = low, high

    def may_hold(self, report: WindowReport) -> set[str | None]:
        """Return signals of which a figure is on the far side; None for one of the window."""
        return {
            one.signal
            for metric, sides in self._sides.items()
            for one in measure(metric, report, outside=sides)
        }


class JudgedWindows:
    """What the engine says of the signals of windows that are ``asked`` for, (windows, signals).

    The same figures as those of a live report, without what explains an alarm to a person: counts,
    and what has changed.
    """

    def __init__(
        self, batch: WindowBatch, layout: BaselineLayout, budget: Budget, asked: Bools
    ) -> None:
        self._batch = batch
        self._layout = layout
        self._row = {name: row for row, name in enumerate(layout.names)}
        self._budget = budget
        windows, rows = np.nonzero(asked)
        self._starts = np.searchsorted(windows, np.arange(len(asked) + 1)).tolist()
        self._found = list(zip(rows.tolist(), self._evidence(windows, rows), strict=True))

    def asked(self, at: int) -> dict[str, Evidence]:
        """Return the evidence of the signals asked for of window number ``at``."""
        found = self._found[self._starts[at] : self._starts[at + 1]]
        return {self._layout.names[row]: evidence for row, evidence in found if evidence}

    def of(self, at: int, names: set[str]) -> dict[str, Evidence]:
        """Return the evidence of signals that may not have been asked for."""
        rows = np.array([self._row[name] for name in sorted(names & self._row.keys())], np.intp)
        found = self._evidence(np.full(len(rows), at), rows)
        return {
            self._layout.names[row]: evidence
            for row, evidence in zip(rows.tolist(), found, strict=True)
            if evidence
        }

    def budget(self, at: int) -> AlarmBudget:
        """Return the budget that window number ``at`` is judged by."""
        threshold, looks = self._batch.thresholds[at, 0], self._batch.looks[at, 0]
        return alarm_budget(self._budget, float(threshold), float(looks), by_hour=False)

    def pattern(
        self, at: int, part: ReportPart, dimensions: Collection[str]
    ) -> DriftPattern | None:
        """Return what the signals in alarm say together; all that may be are to be asked for.

        But for the ``dimensions`` of the segment, as in a live report.
        """
        there = part.signals.keys() - set(dimensions)
        counted = np.flatnonzero(self._batch.events[at, 0] > 0).tolist()
        judged = [name for row in counted if (name := self._layout.names[row]) in there]
        threshold = float(self._batch.thresholds[at, 0])
        in_alarm = sorted(
            self._row[name]
            for name, its in self.asked(at).items()
            if its.surprise_nats > threshold and name in there
        )
        alarmed = np.array(in_alarm, dtype=np.intp)
        counts = self._batch.effective(np.array(at), _SCALES, alarmed)
        references = self._layout.reference.counts[alarmed]
        return self._layout.pattern(part, judged, alarmed, counts, references)

    def _evidence(
        self, windows: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]
    ) -> list[Evidence | None]:
        """Return the evidence of each signal in the window beside it; None if never counted."""
        if not len(windows):
            return []
        found = self._layout.evidence(rows, self._batch.strongest(windows, rows))
        counted = (self._batch.events[windows, 0, rows] > 0).tolist()
        return [its if some else None for its, some in zip(found, counted, strict=True)]
