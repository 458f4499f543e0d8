"""What was counted lately, by version: the newest of the window reports. For ``check``, ``status``.

Of a report only what is shown is decoded: a model with a thousand signals has a large one.
"""

import time
from collections.abc import Iterable, Iterator

import msgspec

from tidegauge.baseline.store import Key
from tidegauge.contract import DecodingError, decode
from tidegauge.reading import Skipped, read_tail
from tidegauge.settings import Settings

#: Reports of each partition that are read in any case, however old they are.
_AT_LEAST = 200

#: Lately: so much is read of a model's windows, or two of them if they are longer.
_SECONDS = 300.0


class RecentEvidence(msgspec.Struct):
    """Of the evidence of a drift, how big it is."""

    psi_corrected: float | None = None


class RecentSignal(msgspec.Struct):
    """One signal of a window."""

    evidence: RecentEvidence | None = None


class RecentPart(msgspec.Struct):
    """What was counted by one baseline, "" for none."""

    baseline: str
    events: int
    signals: dict[str, RecentSignal]


class RecentReport(msgspec.Struct):
    """A window report, as far as it is shown."""

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    window_start: int
    window_end: int
    revision: int
    events: int
    parts: list[RecentPart]

    @property
    def has_baseline(self) -> bool:
        """Whether any of its events was counted by a baseline."""
        return any(part.baseline for part in self.parts)


def recent_reports(
    settings: Settings, skipped: Skipped, now: float | None = None
) -> Iterator[RecentReport]:
    """Yield the reports of late, and some older ones where there are few."""
    windows = (settings.windows, *settings.model_windows.values())
    lately = max(_SECONDS, *(2 * (one.seconds + one.grace_seconds) for one in windows))
    since = (time.time() if now is None else now) - lately
    topic = settings.topics.windows
    for record in read_tail(settings.kafka, topic, since, at_least=_AT_LEAST, skipped=skipped):
        try:
            yield decode(record.value, RecentReport)
        except DecodingError as error:
            skipped(record.place, f"no window report: {error}")


def newest_reports(reports: Iterable[RecentReport]) -> dict[tuple[str, str, str], RecentReport]:
    """Return the report of the last window of each model, version and variant, without segments."""
    newest: dict[tuple[str, str, str], RecentReport] = {}
    for one in reports:
        name = one.model, one.version, one.variant
        before = newest.get(name)
        if not one.segment and (before is None or _order(before) <= _order(one)):
            newest[name] = one
    return newest


def _order(report: RecentReport) -> tuple[int, int]:
    return report.window_end, report.revision


def counted_without(newest: Iterable[RecentReport], promoted: Iterable[Key]) -> list[Key]:
    """Return the versions whose last window has no baseline and that have none promoted either.

    Those with the most events first: made-up names have few.
    """
    known, events = set(promoted), dict[Key, int]()
    for one in newest:
        key = one.model, one.version
        if key not in known and not one.has_baseline:
            events[key] = events.get(key, 0) + one.events
    return sorted(events, key=lambda key: (-events[key], key))
