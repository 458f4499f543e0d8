"""The performance report: how good a model was on one cohort of predictions, by its labels."""

from typing import Annotated

import msgspec

from tidegauge.contract.outcome_figure import EstimatedPerformance, Figure, Performance
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc
from tidegauge.contract.report import CountedRange
from tidegauge.contract.target import Problem

#: How the names of figures begin that were estimated without labels.
ESTIMATED = "estimated_"


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
    arrived: Annotated[
        Figure | msgspec.UnsetType,
        doc(
            "Its labels ÷ those that were to be expected by now, if predictions get labels as "
            "often as in cohorts that were mature when it ended: below 1, labels are late or lost. "
            "Absent of groups."
        ),
    ] = msgspec.UNSET
    other_labelled: Annotated[
        int,
        doc(
            "Labelled predictions of the cohort in no figure, since they were counted by another "
            "target: the baseline was replaced meanwhile."
        ),
    ] = 0
    estimated: Annotated[
        EstimatedPerformance | msgspec.UnsetType,
        doc(
            "What the figures of all predictions, labelled or not, will be, by the rates that the "
            "same scores came true with in cohorts that were mature when this one ended; absent of "
            "numbers and of groups."
        ),
    ] = msgspec.UNSET
    counted: Annotated[
        list[CountedRange],
        doc("Offsets of the topic of outcomes up to which labels are counted."),
    ] = msgspec.field(default_factory=list)
    schema_version: SchemaVersion = SCHEMA_VERSION

    def figure(self, name: str) -> Figure | None:
        """Return a figure by its name, such as ``auc``, or ``estimated_auc``; None if unknown."""
        if not name.startswith(ESTIMATED):
            return self.performance.figures.get(name)
        if self.estimated is msgspec.UNSET:
            return None
        return self.estimated.figures.get(name.removeprefix(ESTIMATED))

    @property
    def figure_names(self) -> list[str]:
        """Every name of a figure of it."""
        its = {} if self.estimated is msgspec.UNSET else self.estimated.figures
        return sorted([*self.performance.figures, *(f"{ESTIMATED}{name}" for name in its)])


class CohortEvidence(Record):
    """What an alert on a figure of a cohort rests on, all of it in the report that it names.

    ``chance`` is ``alarms_per_month`` / ``judgements_per_month``. The rule holds where the value
    lies beyond the threshold of the alert and, at its first time, ``bound`` excludes chance: of an
    absolute threshold, that end of the figure's interval lies beyond it too; of a drop, that of
    ``worsening`` is above 0 (if the baseline's figure is 0, that of the difference from it).
    ``bound`` is outside of the truth by chance with ``chance`` only.
    """

    time: Annotated[int, doc("When the cohort was judged, epoch seconds; see time of the report.")]
    predicted: Annotated[int, doc("Predictions of the cohort, with a label or not.")]
    labelled: Annotated[int, doc("Those with a label.")]
    maturity: Annotated[float | None, doc("Share of its labels expected by then; see the report.")]
    figure: Annotated[Figure, doc("The figure, with its interval of 95 %.")]
    baseline_figure: Annotated[
        Figure | None, doc("That of the rows of the baseline; null if it has none.")
    ]
    drop_from_baseline: Annotated[
        float | None, doc("Share of the baseline's figure in the rule; null if it has a threshold.")
    ]
    worsening: Annotated[
        float | None, doc("By which share of the baseline's figure it is worse; null if unknown.")
    ]
    bound: Annotated[float | None, doc("End of the interval at chance; null if there is none.")]
    chance: Annotated[float, doc("With which a rule may hold in a cohort by chance alone.")]
    alarms_per_month: Annotated[
        float, doc("Of the model's budget of false alarms, the part for cohorts.")
    ]
    judgements_per_month: Annotated[
        float, doc("Cohorts of a month times rules times versions, variants and groups.")
    ]
