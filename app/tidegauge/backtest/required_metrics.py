"""What rules ask of the windows of a slice, so that only windows that matter are judged."""

import math

from tidegauge.alerting import MetricName, RuleSet, measure
from tidegauge.contract import WindowReport

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
