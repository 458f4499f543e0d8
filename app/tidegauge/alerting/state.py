"""The state of alerts between windows, and the steps of one episode.

An episode is pending, firing, or over. :func:`hold` and :func:`cease` take its state and what one
judged window shows, and return its new state.
"""

from typing import Literal

import msgspec

from tidegauge.alerting.model import SEVERITIES, Rule
from tidegauge.contract import ActionKind, Severity, SignalAlert


class Episode(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A rule that holds on one signal, or on the whole window: pending, or firing.

    The figures are those of the window in which it fired, or of the latest while pending; ``value``
    is the latest with which the rule held, ``severity`` the highest that there was. ``starts_at``
    is the start of the first window in which it held. ``held`` counts such windows while pending,
    ``clear`` those in a row in which it didn't hold while firing. ``labels`` and ``receivers`` are
    those it began with.
    """

    rule: str
    severity: Severity
    signal: str | None
    metric: str
    comparison: Literal["above", "below"]
    threshold: float
    value: float
    unit: str
    events: int
    minimum_events: int
    baseline: str
    starts_at: int
    phase: Literal["pending", "firing"] = "firing"
    held: int = 0
    clear: int = 0
    labels: dict[str, str] = {}
    receivers: list[str] = []


class Incident(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What is reported as one alert: one episode, or with ``grouped`` all of a rule in a slice.

    ``shown`` is the episode of the last report (before the first, the latest one). It has all that
    the last event needs if the rule is gone: its figures, the start of the incident, and phase,
    severity, labels and receivers of the incident, so that the end goes to the same receivers.
    ``reported`` is the phase that was; null if none was, for example because another rule
    inhibits it. ``reported_at`` is the end of the window of the last report.

    ``action`` was requested since it fired, not as a dry run. ``past`` has the signals that fired
    in it and are over; those that go on are episodes.

    ``judged_at`` is the end of the last window in which one of them was judged. ``no_data``: it was
    reported that such windows are missing; ``outages`` counts these reports.

    ``revision`` is that of its first window, if it began with late events: then an earlier incident
    may have begun in the same window.
    """

    shown: Episode
    grouped: bool = False
    reported: Literal["pending", "firing"] | None = msgspec.field(default=None, name="told")
    reported_at: int = msgspec.field(default=0, name="said_at")
    reminders: int = 0
    severities_before: list[Severity] = []
    flapping: bool = False
    past: list[SignalAlert] = []
    action: ActionKind | None = None
    judged_at: int | None = None
    no_data: bool = False
    outages: int = 0
    revision: int = 0


class SeriesState(msgspec.Struct, kw_only=True, frozen=True):
    """One (model, version, variant, segment): its last window, its episodes, and its incidents.

    ``through`` is the start of the last window folded in; null before the first. ``episodes`` are
    by the fingerprint of rule and signal, ``incidents`` by that of their alerts: there is one
    wherever there is an episode. ``fired`` has the ends of the latest windows in which an incident
    began to fire. ``action_request_times`` are those at which rules requested their actions, as
    far as they limit further requests. ``never_sound`` are the rules on latency with a rollback
    that have held in every window they were judged in, or in none yet, since the first window of
    the slice. ``broken`` has, by signal, the end of the last window in which a rule on quality
    held, for as long as the evidence of drift remembers it.
    """

    through: int | None = None
    #: Written as ``firing``, which is what all episodes were before there were pending ones.
    episodes: dict[str, Episode] = msgspec.field(default_factory=dict, name="firing")
    incidents: dict[str, Incident] = {}
    fired: dict[str, list[int]] = {}
    action_request_times: dict[str, list[int]] = msgspec.field(default_factory=dict, name="asked")
    never_sound: list[str] = []
    broken: dict[str, int] = {}


class AlertState(msgspec.Struct, kw_only=True, frozen=True):
    """The state of alerts: empty at first, JSON by msgspec; may hold one series or many."""

    series: dict[str, SeriesState] = {}

    @property
    def episodes(self) -> list[Episode]:
        """Everything that is pending or firing now, reported or not."""
        return [episode for series in self.series.values() for episode in series.episodes.values()]

    @property
    def firing(self) -> list[Episode]:
        """Everything that is firing now, reported or not."""
        return [episode for episode in self.episodes if episode.phase == "firing"]


def hold(rule: Rule, before: Episode | None, now: Episode) -> Episode:
    """Return the episode after a window in which the rule holds; ``now`` is what was measured.

    It fires in the ``for``-th such window in a row, and is pending before that.
    """
    if before is not None and before.phase == "firing":
        severity = worst(before.severity, now.severity)
        return msgspec.structs.replace(before, clear=0, value=now.value, severity=severity)
    held = 1 if before is None else before.held + 1
    now = same_episode(before, now)
    if held < rule.pending_windows:
        return msgspec.structs.replace(now, phase="pending", held=held)
    return msgspec.structs.replace(now, phase="firing")


def cease(rule: Rule, before: Episode, *, flapping: bool) -> Episode | None:
    """Return the episode after a judged window in which the rule doesn't hold; None if it is over.

    What is pending is over at once; what is firing in the ``keep_firing_for``-th such window in a
    row, or if its alert is ``flapping`` in the ``flapping_windows``-th.
    """
    if before.phase == "pending":
        return None
    windows = rule.keep_firing_for
    if flapping:
        windows = max(windows, rule.flapping_windows)
    clear = before.clear + 1
    return msgspec.structs.replace(before, clear=clear) if clear < windows else None


def same_episode(before: Episode | None, now: Episode) -> Episode:
    """Return what was measured as part of the previous episode, if there is one."""
    if before is None:
        return now
    return msgspec.structs.replace(
        now,
        starts_at=before.starts_at,
        phase=before.phase,
        labels=before.labels,
        receivers=before.receivers,
    )


def worst(*severities: Severity) -> Severity:
    """Return the worst of severities.

    >>> worst("low", "high", "medium")
    'high'
    """
    return max(severities, key=SEVERITIES.index)
