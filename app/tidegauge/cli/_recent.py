"""What was counted lately, by version: the newest of the window reports. For ``check``, ``status``.

Of a report only what is shown is decoded: a model with a thousand signals has a large one.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from tidegauge.baseline.io import Key
from tidegauge.config import Settings
from tidegauge.contract import DecodingError, decode
from tidegauge.kafka import Skipped, read_tail

#: Reports of each partition that are read in any case, however old they are.
_AT_LEAST = 200

#: All that was reported in this time is read.
_SECONDS = 300.0

#: A version of which no window ended for so long, or for two of its windows, is not counted now.
_COUNTED_SECONDS = 3600.0


#: No detector reports a window that ends after the year 2100, nor more events than a float can
#: count. Whoever may write to the topic may say so all the same, and would hide what is true.
_Time = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class RecentEvidence(msgspec.Struct):
    """Of the evidence of a drift, how big it is."""

    psi_corrected: float | None = None


class RecentSignal(msgspec.Struct):
    """One signal of a window."""

    evidence: RecentEvidence | None = None


class RecentPart(msgspec.Struct):
    """What was counted by one baseline, "" for none."""

    baseline: str
    events: _Count
    signals: dict[str, RecentSignal]


class RecentReport(msgspec.Struct):
    """A window report, as far as it is shown."""

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    window_start: _Time
    window_end: _Time
    revision: int
    events: _Count
    parts: list[RecentPart]

    @property
    def has_baseline(self) -> bool:
        """Whether any of its events was counted by a baseline."""
        return any(part.baseline for part in self.parts)


def recent_reports(settings: Settings, skipped: Skipped, now: float) -> Iterator[RecentReport]:
    """Yield the reports of the last minutes, and some older ones where there are few."""
    topic, since = settings.topics.windows, now - _SECONDS
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


def counted_without(
    newest: Iterable[RecentReport], promoted: Iterable[Key], now: float
) -> list[Key]:
    """Return the versions that are counted now without a baseline, and have none promoted either.

    Those with the most events first: made-up names have few.
    """
    known, events = set(promoted), dict[Key, int]()
    for one in newest:
        key, seconds = (one.model, one.version), one.window_end - one.window_start
        is_counted = now - one.window_end < max(_COUNTED_SECONDS, 2 * seconds)
        if is_counted and key not in known and not one.has_baseline:
            events[key] = events.get(key, 0) + one.events
    return sorted(events, key=lambda key: (-events[key], key))
