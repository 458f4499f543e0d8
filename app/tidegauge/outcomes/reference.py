"""The outcomes of a baseline: how good the model was on the rows that it was made of."""

import msgspec
import numpy as np

from tidegauge.baseline import Baseline, BaselineOutcomes
from tidegauge.contract import Figure, OutcomeTarget
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.outcomes.labelled_rows import Codes
from tidegauge.outcomes.performance import figures_of
from tidegauge.stats import Floats

#: Of delays and of labels that are missing, a file of training data says nothing.
_NOT_OF_A_FILE = frozenset({"label_coverage", "label_delay_p50", "label_delay_p90"})


def outcomes_of_rows(
    target: OutcomeTarget, value: Floats, predicted: Codes, actual: Floats, rows: int
) -> BaselineOutcomes:
    """Count rows with prediction and actual, as live labels are; ``rows`` have a prediction."""
    counts = OutcomeCounts(target)
    counts.add(value, predicted, actual, np.zeros(len(value)))
    return BaselineOutcomes(
        target=target, predicted=rows, labelled=len(value), performance=counts.to_tally()
    )


def baseline_counts(outcomes: BaselineOutcomes) -> OutcomeCounts:
    """Return the counts of a baseline's own outcomes; raises ``DecodingError`` if it is damaged."""
    return OutcomeCounts.from_tally(outcomes.target, outcomes.performance)


def reference_figures(baseline: Baseline) -> dict[str, Figure]:
    """Return the figures that a model had on its baseline, by name; none without outcomes."""
    if baseline.outcomes is msgspec.UNSET:
        return {}
    found = figures_of(baseline_counts(baseline.outcomes))
    return {name: figure for name, figure in found.items() if name not in _NOT_OF_A_FILE}
