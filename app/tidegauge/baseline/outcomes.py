"""What a model's labels are compared with, and how good it was on the rows of its baseline."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from tidegauge.contract import (
    SCORE_BINS,
    BinaryCounts,
    OutcomeTally,
    OutcomeTarget,
    Record,
    RegressionCounts,
    RegressionTarget,
    doc,
)

#: The smallest float is 2^-1074, and no sum of floats has a smaller unit.
_MOST_EXPONENT = 1074


class BaselineOutcomes(Record):
    """The target of a model, which makes its labels count, and the outcomes of its baseline."""

    target: Annotated[OutcomeTarget, doc("How actuals and predictions are read.")]
    predicted: Annotated[
        int, msgspec.Meta(ge=0, description="Rows of the baseline with a prediction.")
    ]
    labelled: Annotated[
        int, msgspec.Meta(ge=0, description="Those of them with an actual, which are counted.")
    ]
    performance: Annotated[OutcomeTally, doc("The counts of those, of which figures are made.")]

    def __post_init__(self) -> None:
        target, tally = self.target, self.performance
        found = tally.__struct_config__.tag
        if found != target.problem:
            raise ValueError(f"outcomes counts {found}, and its target is {target.problem}")
        for name, bins, size in _histograms(target, tally):
            if bins and bins[-1] >= size:
                raise ValueError(f"outcomes counts bin {bins[-1]} of {name}, which has {size}")
        if isinstance(tally, RegressionCounts):
            for value in msgspec.structs.asdict(tally).values():
                if isinstance(value, str) and abs(int(value.partition("p")[2])) > _MOST_EXPONENT:
                    raise ValueError(f"outcomes has the sum {value[:40]}, which no float has")


def _histograms(target: OutcomeTarget, tally: OutcomeTally) -> Iterator[tuple[str, list[int], int]]:
    """Yield each histogram's name, the bins that it has, and how many there are."""
    if isinstance(tally, RegressionCounts):
        if isinstance(target, RegressionTarget):
            yield "residuals", tally.residuals.bins, len(target.residual_edges) + 1
    elif not isinstance(target, RegressionTarget):
        bins, scores = target.actual_codes * target.predicted_codes, 2 * SCORE_BINS
        if isinstance(tally, BinaryCounts):
            yield "outcomes", tally.outcomes.bins, (SCORE_BINS + 1) * bins
            yield "scores", tally.scores.bins, scores
        else:
            yield "confusion", tally.confusion.bins, bins
            yield "confidence", tally.confidence.bins, scores
