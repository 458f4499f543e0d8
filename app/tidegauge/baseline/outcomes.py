"""What a model's labels are compared with, and how good it was on the rows of its baseline."""

from typing import Annotated

import msgspec

from tidegauge.contract import (
    SCORE_BINS,
    BinaryCounts,
    BinaryTarget,
    MulticlassCounts,
    OutcomeTally,
    OutcomeTarget,
    Record,
    RegressionTarget,
    doc,
)


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
        if isinstance(target, RegressionTarget):
            size = len(target.residual_edges) + 1
            held = (
                [] if isinstance(tally, BinaryCounts | MulticlassCounts) else tally.residuals.bins
            )
        elif isinstance(target, BinaryTarget):
            size = (SCORE_BINS + 1) * target.actual_codes * target.predicted_codes
            held = tally.outcomes.bins if isinstance(tally, BinaryCounts) else []
        else:
            size = target.actual_codes * target.predicted_codes
            held = tally.confusion.bins if isinstance(tally, MulticlassCounts) else []
        if held and held[-1] >= size:
            raise ValueError(f"outcomes counts bin {held[-1]}, and its target has {size}")
