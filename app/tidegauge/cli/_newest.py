"""What the figure of an alert was at first, and what it is in the newest window.

An alert is sent when something changes, which may have been hours ago. Meanwhile the reports of its
windows go on, so the newest of them says how things are now.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tidegauge.alerting import METRICS, SILENCE, measure
from tidegauge.cli._records import SkippedRecords
from tidegauge.config import Settings
from tidegauge.contract import Alert, DecodingError, WindowReport, decode
from tidegauge.kafka import read_tail

#: All reports of this time are read, and so many of each partition in any case.
_SECONDS = 300.0
_AT_LEAST = 200

#: Seconds: a record may say anything of when it began.
_LONGEST = 10**12

_Slice = tuple[str, str, str, tuple[tuple[str, str], ...]]


class Value(NamedTuple):
    """A figure, and the end of the window that it is of, epoch seconds."""

    value: float
    at: int


def first_values(history: Iterable[Alert]) -> dict[str, Value]:
    """Return by episode what each alert fired with."""
    found: dict[str, Value] = {}
    for alert in history:
        if alert.event == "firing":
            found.setdefault(alert.episode, Value(alert.value, alert.window_end))
    return found


def newest_values(
    settings: Settings, alerts: Iterable[Alert], skipped: SkippedRecords, now: float
) -> dict[str, Value]:
    """Return by episode the figure of the newest report, or of the alert if there is none newer."""
    alerts = list(alerts)
    found = {alert.episode: Value(alert.value, alert.window_end) for alert in alerts}
    models = {alert.model for alert in alerts if alert.metric != SILENCE}
    reports = _reports(settings, models, skipped, now) if models else {}
    for alert in alerts:
        if alert.metric == SILENCE and alert.state == "firing":
            found[alert.episode] = Value(
                float(min(max(0, int(now) - alert.starts_at), _LONGEST)), int(now)
            )
        report = reports.get(_slice(alert))
        if report is None or report.window_end <= alert.window_end:
            continue
        value = value_in(alert, report)
        if value is not None:
            found[alert.episode] = Value(value, report.window_end)
    return found


def value_in(alert: Alert, report: WindowReport) -> float | None:
    """Return the worst figure of a report that an alert is about; None if it has none.

    Of an alert of several signals, that of the signals that were not over when it was sent.
    """
    current = [one.signal for one in alert.signals if one.ends_at is None]
    of: list[str | None] = [*current] or [alert.signal]
    metric = next((name for name in METRICS if name == alert.metric), None)
    if metric is None:
        return None
    values = [
        one.value
        for one in measure(metric, report)
        if not METRICS[metric].of_signal or one.signal in of
    ]
    worst = max if alert.comparison == "above" else min
    return worst(values, default=None)


def _reports(
    settings: Settings, models: set[str], skipped: SkippedRecords, now: float
) -> dict[_Slice, WindowReport]:
    """Read the newest report of each slice of some models."""
    newest: dict[_Slice, WindowReport] = {}
    topic, since = settings.topics.windows, now - _SECONDS
    try:
        for record in read_tail(settings.kafka, topic, since, at_least=_AT_LEAST, skipped=skipped):
            try:
                report = decode(record.value, WindowReport)
            except DecodingError as error:
                skipped(record.place, f"no WindowReport: {error}")
                continue
            before = newest.get(_slice(report))
            if report.model in models and (
                before is None or report.window_end >= before.window_end
            ):
                newest[_slice(report)] = report
    except ValueError:  # there is no such topic: the list of alerts is of use all the same
        return {}
    return newest


def _slice(one: Alert | WindowReport) -> _Slice:
    return one.model, one.version, one.variant, tuple(sorted(one.segment.items()))
