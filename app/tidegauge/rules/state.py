"""What the alert fold remembers between windows."""

from typing import Literal

import msgspec

from tidegauge.contract import ActionKind, Severity


class Episode(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An alert that is pending or firing, with all that its last event needs if its rule is gone.

    ``value``, ``events`` and ``baseline`` are those of its last event that was no reminder; while
    pending, of the last window in which the rule held. ``starts_at`` is the start of the first
    window in which it held. ``held`` counts such windows while pending, ``clear`` those in a row in
    which it didn't hold while firing. ``said_at`` is the end of the window in which it fired or was
    reminded of last. ``labels`` and ``receivers`` are those it began with: who was told of an alert
    is told of its end. ``action`` is what it has asked for since it fired, not as a dry run.
    ``judged_at`` is the end of the last window that it was judged in; None in
    what was written before there was ``no_data``. ``no_data`` says that it has been told that such
    windows are missing, and ``outages`` how often that was.
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
    said_at: int | None = None
    labels: dict[str, str] = {}
    receivers: list[str] = []
    reminders: int = 0
    judged_at: int | None = None
    no_data: bool = False
    outages: int = 0
    action: ActionKind | None = None


class SeriesState(msgspec.Struct, kw_only=True, frozen=True):
    """One (model, version, variant, segment): its last window, and its episodes by fingerprint.

    ``through`` is the start of the last window folded in; null before the first. ``asked`` is when
    rules asked for their actions, by rule, as far as that bears on whether they may again.
    """

    through: int | None = None
    #: Written as ``firing``, which is what all episodes were before there were pending ones.
    episodes: dict[str, Episode] = msgspec.field(default_factory=dict, name="firing")
    asked: dict[str, list[int]] = {}


class AlertState(msgspec.Struct, kw_only=True, frozen=True):
    """State of the fold: empty at first, JSON by msgspec; may hold one series or many."""

    series: dict[str, SeriesState] = {}

    @property
    def episodes(self) -> list[Episode]:
        """Everything that is pending or firing now."""
        return [episode for series in self.series.values() for episode in series.episodes.values()]

    @property
    def firing(self) -> list[Episode]:
        """Everything that is firing now."""
        return [episode for episode in self.episodes if episode.phase == "firing"]
