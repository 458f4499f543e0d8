"""The past as a backtest reads it: reports in the order in which they were published, and alerts.

With what lies beside the windows of a slice: time without any, and late events.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import msgspec

from tidegauge.alerting import (
    MISSED_AFTER_SECONDS,
    AlertState,
    EvaluationResult,
    InactiveSlice,
    RuleSet,
    due_at,
    end_forgotten,
    evaluate_late,
    judge_inactivity,
)
from tidegauge.config import WindowSettings
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
from tidegauge.windows import forgotten_after

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


class Gaps:
    """The time without windows of one slice; ``first`` is one of its reports.

    DETECT checks at every place of its log; a backtest checks when an alert is due. Reminders,
    which a backtest does not count, are left out.
    """

    def __init__(self, rules: RuleSet, settings: WindowSettings, first: WindowReport) -> None:
        self._rules = RuleSet(
            rule.model_copy(update={"repeat_interval": 0}) for rule in rules.rules
        )
        self._settings = settings
        self._first = first
        self._based = any(part.baseline for part in first.parts)

    def longest(self, since: int) -> int:
        """Seconds without windows from ``since`` on after which the slice is forgotten."""
        lived = since - self._first.window_end
        return forgotten_after(self._settings, lived_seconds=lived, based=self._based)

    def is_end(self, since: int, until: int) -> bool:
        """Whether the slice is forgotten if nothing comes in this time."""
        return until - since >= self.longest(since)

    def alerts_until(
        self, since: int, until: int, state: AlertState
    ) -> tuple[AlertState, list[Alert]]:
        """Return the alerts up to ``until`` if the last window ended at ``since``."""
        quiet = self._quiet(since)
        until = min(until, since + self.longest(since))
        alerts: list[Alert] = []
        while (at := due_at(self._rules, quiet, state)) <= until:
            verdict = judge_inactivity(self._rules, quiet, state, now=math.ceil(max(at, since)))
            state = verdict.state
            alerts += verdict.alerts
        return state, alerts

    def forgotten(self, since: int, state: AlertState) -> list[Alert]:
        """Return the alerts when the slice is forgotten."""
        quiet = self._quiet(since)
        return end_forgotten(self._rules, quiet, state, seconds=self.longest(since)).alerts

    def _quiet(self, since: int) -> InactiveSlice:
        first = self._first
        return InactiveSlice(
            first.model,
            first.version,
            first.variant,
            first.segment,
            since=since,
            window_seconds=first.window_end - first.window_start,
            grace_seconds=self._settings.grace_seconds,
            is_missed=self._based or since - first.window_end >= MISSED_AFTER_SECONDS,
        )


class LateReports:
    """The reports of a slice for as long as their windows accept late events, ``seconds``.

    DETECT holds the cells of these windows for as long.
    """

    def __init__(self, rules: RuleSet, seconds: int) -> None:
        self._rules = rules
        self._seconds = seconds
        #: By the start of its window the last report, and the fingerprints of what held in it.
        self._known: dict[int, tuple[WindowReport, Sequence[str]]] = {}

    def earlier(self, report: WindowReport) -> WindowReport | None:
        """Return what was reported of the same window before; None if nothing was."""
        known = self._known.get(report.window_start)
        return known and known[0]

    def knows(self, report: WindowReport) -> bool:
        """Whether what came before a late report is known; before a window's first, nothing did."""
        earlier = self.earlier(report)
        return not report.revision or (
            earlier is not None and earlier.revision == report.revision - 1
        )

    def judge(
        self, report: WindowReport, alerts: AlertState, whole: AlertState | None
    ) -> EvaluationResult:
        """Judge a late report, and remember it."""
        earlier, held = self._known.get(report.window_start, (None, ()))
        verdict, held = evaluate_late(
            self._rules, report, earlier, alerts,
            held=held, distribution=no_distribution, whole=whole,
        )  # fmt: skip
        self._known[report.window_start] = report, held
        return verdict

    def note(self, reports: Sequence[WindowReport]) -> None:
        """Remember reports that were taken in, and forget those that no late event can reach."""
        self._known |= {report.window_start: (report, ()) for report in reports}
        through = max((report.window_end for report, _ in self._known.values()), default=0)
        for start, (report, _) in list(self._known.items()):
            if report.window_end + self._seconds <= through:
                del self._known[start]


def no_distribution(baseline: str, signal: str, histogram: object) -> None:
    """Return no counts: nobody reads these alerts."""
