"""What the alert fold remembers between windows."""

from typing import Literal

import msgspec

from tidegauge.contract import Severity


class Episode(msgspec.Struct, kw_only=True, frozen=True):
    """An alert that is firing: all that its ``resolved`` alert needs, were its rule gone by then.

    ``value``, ``events`` and ``baseline`` are those it fired with.
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


class SeriesState(msgspec.Struct, kw_only=True, frozen=True):
    """One (model, version, variant, segment): its last window, and what is firing by fingerprint.

    ``through`` is the start of the last window folded in; null before the first.
    """

    through: int | None = None
    firing: dict[str, Episode] = {}


class AlertState(msgspec.Struct, kw_only=True, frozen=True):
    """State of the fold: empty at first, JSON by msgspec; may hold one series or many."""

    series: dict[str, SeriesState] = {}

    @property
    def firing(self) -> list[Episode]:
        """Everything that is firing now."""
        return [episode for series in self.series.values() for episode in series.firing.values()]
