"""Results of closing windows: records to publish, a summary for observers, and failures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from tidegauge.config import LinkSettings, TopicSettings
from tidegauge.contract import Action, Alert, AuditFact, Record, WindowReport, links_of
from tidegauge.windows.values import Slice, Window

#: How much data a retrain action names, seconds.
RETRAIN_SECONDS = 24 * 3600


class DataWanted(NamedTuple):
    """The latest data of a source topic as of ``until``, up to the offsets counted by then."""

    topic: str
    covered: Mapping[int, int]
    until: int

    @property
    def since(self) -> int:
        """When that data begins, epoch seconds."""
        return self.until - RETRAIN_SECONDS


class Output(NamedTuple):
    """A record to publish; ``data`` is what has to be looked up for a retrain action."""

    topic: str
    key: str
    record: Record
    data: DataWanted | None = None


NO_LINKS = LinkSettings()


@dataclass
class Closed:
    """What one record led to.

    ``silent`` are slices of which something was told because nothing comes of them, ``late`` those
    of which something was told because of late events.
    """

    reports: list[WindowReport] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    silent: list[Slice] = field(default_factory=list)
    late: list[Slice] = field(default_factory=list)
    forgotten: list[Slice] = field(default_factory=list)


class Failures(Protocol):
    """What is told of a slice that something can't be done for."""

    def failed(self, where: Slice, what: str, error: Exception) -> None:
        """Report it; work goes on without."""

    def window_failed(self, window: Window, error: Exception) -> None:
        """Report that a window has no report."""

    def went_well(self, where: Slice) -> None:
        """Take note that a window of a slice was reported."""


class Raising:
    """Failures as a program has them that wants to know of each at once."""

    def failed(self, where: Slice, what: str, error: Exception) -> None:
        """Raise it."""
        raise error

    def window_failed(self, window: Window, error: Exception) -> None:
        """Raise it."""
        raise error

    def went_well(self, where: Slice) -> None:
        """Do nothing."""


def alert_outputs(
    alerts: Sequence[Alert], topics: TopicSettings, links: LinkSettings
) -> Iterator[Output]:
    """Yield what to publish of alerts, which get their links."""
    for alert in alerts:
        alert.links = links_of(alert, dashboard=links.dashboard, runbook=links.runbook)
        # What is in force now is in the history already.
        for topic in (topics.alerts_history, topics.alerts):
            yield Output(topic, alert.fingerprint, alert)


def dated(fact: AuditFact, data: DataWanted) -> AuditFact:
    """Name the data of a retraining, as far as the log alone tells it."""
    if fact.inputs.get("action") != "retrain":
        return fact
    offsets = (f"{data.topic}/{p}@{to}" for p, to in sorted(data.covered.items()))
    named = {
        "data_since": str(data.since),
        "data_until": str(data.until),
        "data_offsets": " ".join(offsets),
    }
    return msgspec.structs.replace(fact, inputs=fact.inputs | named)
