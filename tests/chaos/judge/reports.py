"""Window reports as a reader of the topic sees them, and what of one can be trusted."""

from typing import NamedTuple

import msgspec

from chaos.judge.findings import OutputRecord
from chaos.source import WindowKey
from support.oracle import Histogram


class Range(msgspec.Struct):
    """Source offsets [``start``, ``to``) in which a report counted every event of its window."""

    topic: str
    partition: int
    start: int
    to: int
    topic_id: str = ""


class Signal(msgspec.Struct):
    """One signal of a part."""

    histogram: Histogram


class Part(msgspec.Struct):
    """The share of a window that was binned by one baseline."""

    baseline: str
    events: int
    signals: dict[str, Signal]


class Report(msgspec.Struct):
    """A window report, as far as it is judged."""

    id: str
    model: str
    version: str
    variant: str
    segment: dict[str, str]
    window_start: int
    window_end: int
    revision: int
    events: int
    errors: int
    counted: list[Range]
    parts: list[Part]

    @property
    def window(self) -> WindowKey:
        return (self.model, self.version, self.variant), self.window_start

    def __str__(self) -> str:
        return f"{window_name(self.window)} revision {self.revision}"


class Counts(NamedTuple):
    """A part of a report, with counts that can be trusted."""

    baseline: str
    events: int
    signals: dict[str, Histogram]


class Closed(NamedTuple):
    """A window's first report, as the rules must have seen it."""

    report: Report
    first: OutputRecord
    parts: list[Counts]
    latency: Histogram


def window_name(window: WindowKey) -> str:
    """Name a window for a person.

    >>> window_name((("m0", "1", "canary"), 1_700_000_000))
    'm0/1/canary 1700000000'
    """
    where, start = window
    return f"{'/'.join(name for name in where if name)} {start}"
