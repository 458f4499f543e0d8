"""What a backtest reads: window reports in the order in which they were published, and alerts."""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

import msgspec

from tidegauge.contract import (
    Alert,
    DecodingError,
    Evidence,
    ReportPart,
    SignalReport,
    WindowReport,
    decode,
)
from tidegauge.kafka import KafkaRecord, Skipped, refuse

#: A name that no report has. What DETECT had made of a window is not to be mistaken for what it
#: would make of it now, and not to decode it saves a quarter of the time.
_UNREAD = "-"


class _Signal(SignalReport):
    evidence: Evidence | None = msgspec.field(default=None, name=_UNREAD)


class _PastPart(ReportPart):
    signals: dict[str, _Signal]  # type: ignore[assignment]


class _Report(WindowReport):
    parts: list[_PastPart]  # type: ignore[assignment]


def slices_of(report: WindowReport) -> int:
    """Return how many slices shared the budget of the model, as far as DETECT knew."""
    return max((part.alarm_budget.slices for part in report.parts if part.alarm_budget), default=1)


class ReportsInOrder:
    """Yields reports of windows that ended in (``since``, ``until``], each once, without evidence.

    In the order in which DETECT published them, and judged them; ``with_revisions`` or without.
    """

    def __init__(
        self,
        since: float,
        until: float,
        skipped: Skipped = refuse,
        *,
        with_revisions: bool = True,
    ) -> None:
        self._since = since
        self._skipped = skipped
        self._until = until
        self._with_revisions = with_revisions
        self._seen: set[str] = set()
        #: Reports passed over because they were there twice, as after a crash, and as revisions.
        self.repeated = 0
        self.revisions = 0

    def of(self, records: Iterable[KafkaRecord]) -> Iterator[WindowReport]:
        """Decode; what is no window report is skipped, or a ``ValueError`` by default."""
        for record in records:
            try:
                report = cast(WindowReport, decode(record.value, _Report))
            except DecodingError as error:
                self._skipped(record.place, f"no window report: {error}")
                continue
            if not self._since < report.window_end <= self._until:
                continue
            if report.revision and not self._with_revisions:
                self.revisions += 1
            elif report.id in self._seen:
                self.repeated += 1
            else:
                self._seen.add(report.id)
                yield report


class ModelKeys:
    """Tells by its key whether a window report is of a model that matches; notes the others.

    A key that names none is kept, since the report itself does.
    """

    def __init__(self, matches: Callable[[str], bool]) -> None:
        self._matches = matches
        self.others: set[str] = set()

    def __call__(self, key: bytes | None) -> bool:
        """Return whether the record is to be read."""
        try:
            named = decode(key, list[object])
        except DecodingError:
            return True
        if not named or not isinstance(named[0], str) or self._matches(named[0]):
            return True
        self.others.add(named[0])
        return False


def fired(
    history: Iterable[Alert], newest: Iterable[Alert], since: float, until: float
) -> list[Alert]:
    """Return a record of each episode that fired at some time in (``since``, ``until``].

    As a replay counts them: one that had begun before is one that is found at once. ``history``
    has every step from ``since`` on, ``newest`` the last one of each alert: those that fired all
    the time are in it.
    """
    found: dict[str, Alert] = {}
    for alert in history:
        if _has_fired(alert) and since < alert.window_end <= until:
            found.setdefault(alert.episode or alert.id, alert)
    for alert in newest:
        still = _has_fired(alert) and alert.state != "resolved"
        if still and alert.starts_at < until and alert.window_end <= since:
            found.setdefault(alert.episode or alert.id, alert)
    return list(found.values())


def _has_fired(alert: Alert) -> bool:
    """Whether it fires, did when its data ended, or is over: not what was only pending."""
    return alert.state in ("firing", "resolved") or (alert.state, alert.was) == (
        "no_data",
        "firing",
    )
