"""The performance report: how good a model was on one cohort of predictions, by its labels."""

from typing import Annotated

import msgspec

from tidegauge.contract.outcome_figure import Figure, Performance
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc
from tidegauge.contract.report import CountedRange
from tidegauge.contract.target import Problem


class PerformanceReport(Record):
    """Figures of one cohort of predictions by the labels that have come, anew when they change.

    A cohort is all the predictions that were made in one window of event time. ``maturity`` says
    how far it is from having all its labels.
    """

    id: Annotated[str, doc("Stable over restarts: a report that was sent again has the same id.")]
    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[str, doc("Version of the model.")]
    variant: Annotated[str, doc("Variant of the version; empty for traffic without one.")]
    group: Annotated[
        dict[str, str], doc("Dimension and value of the group; empty for all traffic.")
    ]
    cohort_start: Annotated[int, doc("Start of the cohort's window, epoch seconds.")]
    cohort_end: Annotated[int, doc("Its end, exclusive.")]
    revision: Annotated[int, doc("0 for the first report of it, counting up.")]
    time: Annotated[
        int,
        doc(
            "End of the arrival window that closed last, epoch seconds: labels that had arrived by "
            "then are counted."
        ),
    ]
    problem: Annotated[Problem, doc("What the model predicts.")]
    baseline: Annotated[
        str,
        doc("Id of the baseline that has the target; of several, that of the most labels."),
    ]
    performance: Annotated[Performance, doc("The figures.")]
    joinable: Annotated[int, doc("Predictions of the cohort that a label can find by their id.")]
    maturity: Annotated[
        float | None,
        doc(
            "Which share of its labels is to be expected by now, 0 to 1, by the delays in other "
            "cohorts of the model; null = none of them is old enough."
        ),
    ]
    mature: Annotated[bool, doc("Whether maturity has reached 0.95.")]
    baseline_figures: Annotated[
        dict[str, float], doc("Figures of the rows that the baseline was made of.")
    ] = msgspec.field(default_factory=dict)
    worsening: Annotated[
        dict[str, Figure],
        doc(
            "By which share of the baseline's figure each is worse: 0.05 = 5 % worse, below 0 = "
            "better. If the lower end of its interval is above 0, that is beyond chance."
        ),
    ] = msgspec.field(default_factory=dict)
    other_labelled: Annotated[
        int,
        doc(
            "Labelled predictions of the cohort in no figure, since they were counted by another "
            "target: the baseline was replaced meanwhile."
        ),
    ] = 0
    counted: Annotated[
        list[CountedRange],
        doc("Offsets of the topic of outcomes up to which labels are counted."),
    ] = msgspec.field(default_factory=list)
    schema_version: SchemaVersion = SCHEMA_VERSION
