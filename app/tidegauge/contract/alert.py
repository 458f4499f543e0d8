"""Alerts, the actions they request, and the acknowledgements of these."""

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType, field

from tidegauge.contract.performance import CohortEvidence
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, deterministic_id, doc
from tidegauge.contract.report import AlarmBudget, CountedRange, Evidence, MovedBin

Severity = Literal["low", "medium", "high", "critical"]
ActionKind = Literal["retrain", "rollback", "page"]
AlertPhase = Literal["pending", "firing", "inactive", "resolved", "no_data"]

#: ``inactive``: what was pending ceased to hold before it fired. ``reminder``: still firing.
#: ``raised``: still firing, with a higher severity than before. ``no_data``: it is unknown whether
#: it still holds. ``resumed``: still firing, after no data.
AlertEvent = Literal[
    "pending", "firing", "reminder", "raised", "resumed", "no_data", "inactive", "resolved"
]


class Distribution(Record):
    """Both count vectors of a drifted signal, bin by bin, so that the figure can be recomputed."""

    bins: Annotated[list[str], doc("Labels of the bins.")]
    reference: Annotated[
        list[int],
        doc(
            "Counts of the baseline, by bin; of categories, how many of as many new rows are "
            "expected there."
        ),
    ]
    current: Annotated[list[int], doc("Counts of the window, by bin.")]
    edges: Annotated[
        list[float] | None,
        doc(
            "Edges of a numeric signal's value bins, of which there is one more, the outer two "
            "open; three bins follow in which no value lies. Null for categories."
        ),
    ] = None
    excess: Annotated[
        list[float] | None,
        doc(
            "By how much more than that of a count of rows the variance of reference is, by bin. "
            "Null: by nothing."
        ),
    ] = None
    design_effect: Annotated[
        float | UnsetType,
        doc(
            "How many events of the signal tell as much as an independent one, by its baseline; "
            "absent = one."
        ),
    ] = UNSET


class AlertLinks(Record):
    """Where to look, and what to do."""

    dashboard: Annotated[str | None, doc("Address of a dashboard; null if none is configured.")] = (
        None
    )
    runbook: Annotated[str | None, doc("Address of the runbook; null if none is configured.")] = (
        None
    )


class SignalAlert(Record):
    """One signal of an alert that is about several."""

    signal: Annotated[str, doc("Name of the signal.")]
    severity: Annotated[Severity, doc("The highest severity that it had.")]
    value: Annotated[float, doc("The latest value with which the rule held.")]
    starts_at: Annotated[int, doc("Start of the first window in which the rule held on it.")]
    ends_at: Annotated[
        int | None, doc("Start of the window in which that was over; null while it is not.")
    ] = None


class InhibitedAlert(Record):
    """An alert that is not delivered because the alert that carries this one already reports it."""

    rule: Annotated[str, doc("Name of its rule.")]
    severity: Annotated[Severity, doc("Its severity.")]
    signals: Annotated[
        list[str], doc("Its signals, worst first; empty if the rule is about whole windows.")
    ]


class Alert(Record):
    """A step in the life of an alert: one record each time its ``state`` changes.

    A record with a ``reminder`` or ``raised`` above 0 changes no state: the alert is still firing.
    An alert about all signals of a slice on which its rule holds has no ``signal`` but a list of
    ``signals``; its figures are those of the first. Act on an ``id`` once.
    """

    id: Annotated[
        str,
        doc(
            "Fixed by rule, model, signal, the window in which the episode started and its "
            "revision, state, reminder and raised: act on an id once."
        ),
    ]
    fingerprint: Annotated[str, doc("Names the rule and what it watches, over all episodes.")]
    state: Annotated[
        AlertPhase,
        doc(
            "pending: the rule holds, and must hold in more windows before the alert fires. "
            "inactive: it ceased to hold before that. firing: act on it. resolved: it is over. "
            "no_data: it was pending or firing, and for a while no window could be judged."
        ),
    ]
    rule: Annotated[str, doc("Name of the rule.")]
    severity: Annotated[Severity, doc("How severe it is.")]
    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[str, doc("Version of the model.")]
    variant: Annotated[str, doc("Variant of the version; empty for traffic without one.")]
    segment: Annotated[
        dict[str, str], doc("Dimension and value of the segment; empty for all traffic.")
    ]
    signal: Annotated[
        str | None,
        doc(
            "The signal it is about; null if it has a list of signals, or is about the whole "
            "window."
        ),
    ]
    metric: Annotated[str, doc("The metric that the rule compares with its threshold.")]
    comparison: Annotated[
        Literal["above", "below"], doc("On which side of the threshold the rule holds.")
    ]
    threshold: Annotated[
        float,
        doc(
            "A number of the rule file, or by threshold_by a multiple of the threshold in "
            "alarm_budget."
        ),
    ]
    value: Annotated[float, doc("Value of the metric in the window.")]
    unit: Annotated[str, doc("Unit of the value.")]
    events: Annotated[int, doc("Events of the window that the value rests on.")]
    minimum_events: Annotated[int, doc("A window with fewer events is not judged by the rule.")]
    starts_at: Annotated[int, doc("Start of the first window in which the rule held.")]
    ends_at: Annotated[
        int | None, doc("Start of the window in which it was over; null while it is not.")
    ]
    window_start: Annotated[
        int, doc("Start of the window, epoch seconds; for no_data, of the time without windows.")
    ]
    window_end: Annotated[
        int, doc("End of the window, epoch seconds; for no_data, of the time without windows.")
    ]
    report: Annotated[str, doc("Id of the window report that was judged; empty for no_data.")]
    baseline: Annotated[
        str, doc("SHA-256 of the baseline that the value was measured against; empty for none.")
    ]
    counted: Annotated[list[CountedRange], doc("Source offsets that the window counted.")]
    distribution: Annotated[
        Distribution | None, doc("Counts of the signal; null if there are none to show.")
    ]
    actions: Annotated[list[str], doc("Ids of the actions that were requested with this record.")]
    summary: Annotated[str, doc("What happened, in a sentence.")]
    evidence: Annotated[Evidence | None, doc("What an alert by the metric surprise rests on.")] = (
        None
    )
    alarm_budget: Annotated[
        AlarmBudget | None, doc("Where the threshold of surprise comes from.")
    ] = None
    episode: Annotated[str, doc("Id of the episode, from its first window to its end.")] = ""
    reminder: Annotated[
        int, doc("Above 0 nothing has changed: still firing, reported so for this many times.")
    ] = 0
    labels: Annotated[dict[str, str], doc("Labels of the rule; the same over a whole episode.")] = (
        field(default_factory=dict)
    )
    annotations: Annotated[dict[str, str], doc("Annotations of the rule, filled in.")] = field(
        default_factory=dict
    )
    receivers: Annotated[
        list[str], doc("Receivers of the rule; the same over a whole episode.")
    ] = field(default_factory=list)
    rules_sha256: Annotated[str, doc("SHA-256 of the rule file that judged the window.")] = ""
    signals: Annotated[
        list[SignalAlert],
        doc("Signals on which the rule holds, worst first, then those on which it is over."),
    ] = field(default_factory=list)
    inhibited: Annotated[
        list[InhibitedAlert], doc("Alerts that are not delivered while this one fires.")
    ] = field(default_factory=list)
    raised: Annotated[
        int, doc("Above 0: still firing; the severity has risen this many times.")
    ] = 0
    severities_before: Annotated[
        list[Severity], doc("Severities that it was reported with before.")
    ] = field(default_factory=list)
    flapping: Annotated[
        bool,
        doc("It has fired so often that it is resolved only after the rule's flapping_windows."),
    ] = False
    threshold_by: Annotated[
        Literal["rule", "alarm_budget"],
        doc("Whether the threshold is the rule's, or a multiple of the alarm budget's."),
    ] = "rule"
    baseline_events: Annotated[
        int | None, doc("Rows of the baseline; null if no baseline was compared with.")
    ] = None
    top_bins: Annotated[
        list[MovedBin],
        doc(
            "Bins that moved most, at most five: for surprise those of the evidence, otherwise of"
            " the distribution."
        ),
    ] = field(default_factory=list)
    links: Annotated[AlertLinks, doc("Where to look, and what to do.")] = field(
        default_factory=AlertLinks
    )
    action: Annotated[
        ActionKind | None,
        doc(
            "What the episode has requested, from then to its end; null if nothing was, if it was"
            " withheld, or was a dry run."
        ),
    ] = None
    was: Annotated[
        Literal["pending", "firing"] | None,
        doc(
            "For no_data, and the first record after it: the state before the data was missing. "
            "Firing that was firing goes on."
        ),
    ] = None
    revised: Annotated[
        bool,
        doc(
            "The rule holds in the window only with late events, which is found later than the "
            "window's own report."
        ),
    ] = False
    dry_run: Annotated[bool, doc("Actions of the rule are to be reported, not carried out.")] = (
        False
    )
    withheld: Annotated[
        str,
        doc(
            "Why no action was requested with this record; empty if one was, or if there is none "
            "to request."
        ),
    ] = ""
    cohort: Annotated[
        CohortEvidence | UnsetType,
        doc(
            "What an alert on a figure of labels rests on; absent for others. Its window is then "
            "the cohort: when the predictions were made."
        ),
    ] = UNSET
    schema_version: SchemaVersion = SCHEMA_VERSION

    @property
    def time(self) -> int:
        """When it was found, epoch seconds: later than the window's end if labels had to come."""
        return self.window_end if self.cohort is UNSET else self.cohort.time

    @property
    def event(self) -> AlertEvent:
        """What is reported: a new state, or one of three events while it still fires."""
        if self.state == "firing" and self.was == "firing":
            return "resumed"
        return "reminder" if self.reminder else "raised" if self.raised else self.state


class DataRange(Record):
    """The data that an action is about."""

    since: Annotated[float, doc("Start of its event time, epoch seconds.")]
    until: Annotated[float, doc("End of its event time, epoch seconds.")]
    offsets: Annotated[list[CountedRange], doc("Offsets [start, to) of each source partition.")]


class Action(Record):
    """Something to be done, once."""

    id: Annotated[str, doc("Fixed by the alert that requested it and the kind: act on an id once.")]
    kind: Annotated[
        ActionKind,
        doc(
            "retrain, with the range of the latest data; rollback, from version to to_version; "
            "page: a human is needed, and programs that retrain or roll back ignore it."
        ),
    ]
    alert: Annotated[str, doc("Id of the alert that requested it.")]
    rule: Annotated[str, doc("Name of the rule.")]
    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[
        str, doc("The version that must still be active; if it is not, somebody else has acted.")
    ]
    variant: Annotated[str, doc("Variant of the version.")]
    requested_at: Annotated[int, doc("When it was requested, epoch seconds.")]
    reason: Annotated[str, doc("Summary of the alert.")]
    data: Annotated[DataRange | None, doc("Latest data, for retrain; otherwise null.")]
    expires_at: Annotated[int | None, doc("From then on, epoch seconds, it is too late.")] = None
    dry_run: Annotated[bool, doc("It is to be reported, not carried out.")] = False
    to_version: Annotated[
        str | None,
        doc(
            "For rollback: the version that had a baseline promoted last before it; null if none "
            "is known, and the reason says so."
        ),
    ] = None
    segment: Annotated[
        dict[str, str],
        doc("The part of the traffic whose alert requested it; empty for all of it."),
    ] = field(default_factory=dict)
    schema_version: SchemaVersion = SCHEMA_VERSION


Outcome = Literal["taken", "failed"]


class Acknowledgement(Record):
    """An action was carried out, or will not be, and why."""

    id: Annotated[
        str,
        doc(
            "Fixed by the action and the outcome, so that a repetition after a crash adds nothing."
        ),
    ]
    action: Annotated[str, doc("Id of the action.")]
    kind: Annotated[ActionKind, doc("Kind of the action.")]
    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[str, doc("Version of the model.")]
    outcome: Annotated[Outcome, doc("taken: the action was carried out; failed: it will not be.")]
    actor: Annotated[str, doc("Who carried it out.")]
    time: Annotated[float, doc("The sender's clock, epoch seconds.")]
    note: Annotated[str, doc("Why, in words.")]
    result: Annotated[
        dict[str, str],
        doc("What the sender wants remembered, such as the version that a retraining made."),
    ]
    schema_version: SchemaVersion = SCHEMA_VERSION


def acknowledge(
    action: Action,
    outcome: Outcome,
    *,
    actor: str,
    time: float,
    note: str,
    result: dict[str, str] | None = None,
) -> Acknowledgement:
    """Return the record of what became of ``action``."""
    return Acknowledgement(
        id=deterministic_id("acknowledgement", action.id, outcome),
        action=action.id,
        kind=action.kind,
        model=action.model,
        version=action.version,
        outcome=outcome,
        actor=actor,
        time=time,
        note=note,
        result=result or {},
    )
