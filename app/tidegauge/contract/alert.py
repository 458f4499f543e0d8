"""Alerts, and the actions they ask for."""

from typing import Literal

from msgspec import field

from tidegauge.contract._base import SCHEMA_VERSION, Record
from tidegauge.contract.report import AlarmBudget, CountedRange, Evidence, MovedBin

Severity = Literal["low", "medium", "high", "critical"]
ActionKind = Literal["retrain", "rollback", "page"]


class Distribution(Record):
    """Both count vectors of a drifted signal, bin by bin, so that the figure can be recomputed.

    ``bins`` are labels. ``edges`` are those of a numeric signal's value bins, of which there is one
    more, the outer two open; three bins follow in which no value lies. Null for categories.
    """

    bins: list[str]
    reference: list[int]
    current: list[int]
    edges: list[float] | None = None


class AlertLinks(Record):
    """Where to look, and what to do: addresses, null where nobody has given one."""

    dashboard: str | None = None
    runbook: str | None = None


class SignalAlert(Record):
    """One signal of an alert that is about several.

    ``value`` is the latest with which the rule held, ``severity`` the highest that it had.
    ``starts_at`` is the start of the first window in which the rule held on it, ``ends_at`` that of
    the window in which that was over; null = it isn't.
    """

    signal: str
    severity: Severity
    value: float
    starts_at: int
    ends_at: int | None = None


class InhibitedAlert(Record):
    """What a rule found and was not told, as the alert that carries this says it already.

    ``signals`` are its signals, worst first; none if the rule is about whole windows.
    """

    rule: str
    severity: Severity
    signals: list[str]


class Alert(Record):
    """A step in the life of an alert: one record each time its ``state`` changes.

    ``pending``: the rule began to hold, and must hold in more windows before it fires;
    ``inactive``: it ceased to before that; ``firing``: act on it; ``resolved``: it is over. With a
    ``reminder`` above 0 nothing has changed: it is firing still, and this is said that many times.
    With ``raised`` above 0 it is firing still and more severe than it was said to be, which rose
    that many times; ``severities_before`` has what it was told with before.

    ``revised``: the rule holds in the window only with events that came after it was reported, or
    after a later window of the slice was; so this is said later than it would have been.

    ``no_data``: of what was pending or firing, no window could be judged for a while; such an alert
    rests on no ``report``, and its window is the time without. ``was`` is what it was before that,
    here and in what is told with the first window after it: firing that ``was`` firing goes on.

    An alert about all signals of a slice on which its rule holds has no ``signal`` but a list of
    ``signals``: the worst first, which all figures are of, then those that are over. ``inhibited``
    is what is not told while this fires. ``flapping``: it has fired so often that its end is told
    only after the rule's ``flapping_windows``.

    ``id`` is fixed by rule, model, signal, the window the episode started in and its revision,
    state, ``reminder`` and ``raised``: act on an id once. ``fingerprint`` names the rule and what
    it watches, over all episodes and whatever is in the list; ``episode`` one of them, from its
    first window to its end. ``starts_at`` is the start of the first window in which the rule held,
    ``ends_at`` that of the window in which it was over. An alert by the metric ``surprise`` carries
    the ``evidence`` and the ``alarm_budget`` that it rests on. ``labels``, ``annotations`` and
    ``receivers`` are the rule's, over a whole episode the same labels and receivers;
    ``rules_sha256`` is the hash of the rule file that judged the window.

    ``value`` is of ``events`` of the window, against ``baseline_events`` of the baseline that has
    the SHA-256 ``baseline``; null where no baseline was asked. ``threshold`` is a number of the
    rule file, or if ``threshold_by`` says so, a multiple of the threshold in ``alarm_budget``.
    ``top_bins`` are the bins that moved most, at most five: for ``surprise`` those of the evidence,
    otherwise of the two vectors of ``distribution``.

    ``actions`` are the ids of what was asked for with this record. ``action`` is what the episode
    has asked for, from then to its end; null if that was withheld, or a dry run. ``dry_run``: what
    the rule asks for is to be said, not done. ``withheld`` is why nothing was asked for with this
    record; empty if something was, or if there is nothing to ask for.
    """

    id: str
    fingerprint: str
    state: Literal["pending", "firing", "inactive", "resolved", "no_data"]
    rule: str
    severity: Severity
    model: str
    version: str
    variant: str
    segment: dict[str, str]
    signal: str | None
    metric: str
    comparison: Literal["above", "below"]
    threshold: float
    value: float
    unit: str
    events: int
    minimum_events: int
    starts_at: int
    ends_at: int | None
    window_start: int
    window_end: int
    report: str
    baseline: str
    counted: list[CountedRange]
    distribution: Distribution | None
    actions: list[str]
    summary: str
    evidence: Evidence | None = None
    alarm_budget: AlarmBudget | None = None
    episode: str = ""
    reminder: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    receivers: list[str] = field(default_factory=list)
    rules_sha256: str = ""
    signals: list[SignalAlert] = field(default_factory=list)
    inhibited: list[InhibitedAlert] = field(default_factory=list)
    raised: int = 0
    severities_before: list[Severity] = field(default_factory=list)
    flapping: bool = False
    threshold_by: Literal["rule", "alarm_budget"] = "rule"
    baseline_events: int | None = None
    top_bins: list[MovedBin] = field(default_factory=list)
    links: AlertLinks = field(default_factory=AlertLinks)
    action: ActionKind | None = None
    was: Literal["pending", "firing"] | None = None
    revised: bool = False
    dry_run: bool = False
    withheld: str = ""
    schema_version: int = SCHEMA_VERSION

    @property
    def event(
        self,
    ) -> Literal[
        "pending", "firing", "reminder", "raised", "inactive", "resolved", "no_data", "resumed"
    ]:
        """What is told: a new state, or one of the three that go on firing."""
        if self.state == "firing" and self.was == "firing":
            return "resumed"
        return "reminder" if self.reminder else "raised" if self.raised else self.state


class DataRange(Record):
    """The data an action is about: offsets [``start``, ``to``) of each source partition."""

    since: float
    until: float
    offsets: list[CountedRange]


class Action(Record):
    """Something to be done, once: ``id`` is fixed by the alert that asked for it and the kind.

    ``retrain`` carries the range of the latest data. ``rollback`` leaves ``version`` for
    ``to_version``, which had a baseline promoted last before it; null if no such is known, and the
    reason says so. ``page`` asks for a human; what retrains or rolls back passes it by.

    ``version`` is the one that must be in force still: if it isn't, somebody else has acted. From
    ``expires_at`` on, epoch seconds, it is too late. With ``dry_run`` it is to be said, not done.
    ``segment`` is the part of the traffic whose alert asked for it; empty for all of it.
    """

    id: str
    kind: ActionKind
    alert: str
    rule: str
    model: str
    version: str
    variant: str
    requested_at: int
    reason: str
    data: DataRange | None
    expires_at: int | None = None
    dry_run: bool = False
    to_version: str | None = None
    segment: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
