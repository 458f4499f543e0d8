"""What the youngest records say: which versions are counted, how alerts stand, how late events are.

All reports of some minutes are read, and some older ones where there are few. Of a report that is
only counted not all is decoded: a model with a thousand signals has a large one.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from tidegauge.alerting import METRICS, SILENCE, measure
from tidegauge.baseline.io import Key
from tidegauge.config import Settings
from tidegauge.contract import Alert, DecodingError, WindowReport, decode, unwrap
from tidegauge.counting import RefusedError, decode_event
from tidegauge.kafka import Message, Skipped, place_of, read_newest, written_at

#: All that was reported in this time is read, and so many reports of each partition in any case.
_SECONDS = 300.0
_AT_LEAST = 200

#: Events looked at of each partition.
_EVENTS = 20

T = TypeVar("T")

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
    return _reports(settings, RecentReport, skipped, now)


def _reports(settings: Settings, kind: type[T], skipped: Skipped, now: float) -> Iterator[T]:
    topic, since = settings.topics.windows, now - _SECONDS
    for message in read_newest(settings.kafka, topic, since, at_least=_AT_LEAST, skipped=skipped):
        try:
            yield decode(unwrap(message.value()), kind)
        except DecodingError as error:
            skipped(place_of(message), f"no window report: {error}")


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
    settings: Settings, alerts: Iterable[Alert], skipped: Skipped, now: float
) -> dict[str, Value]:
    """Return by episode the figure of the newest report, or of the alert if there is none newer."""
    alerts = list(alerts)
    found = {alert.episode: Value(alert.value, alert.window_end) for alert in alerts}
    models = {alert.model for alert in alerts if alert.metric != SILENCE}
    reports = _newest_of(settings, models, skipped, now) if models else {}
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


def _newest_of(
    settings: Settings, models: set[str], skipped: Skipped, now: float
) -> dict[_Slice, WindowReport]:
    """Read the newest report of each slice of some models."""
    newest: dict[_Slice, WindowReport] = {}
    try:
        for report in _reports(settings, WindowReport, skipped, now):
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


class EventTimes(NamedTuple):
    """Of ``events`` looked at, ``late`` come later than their windows take them."""

    events: int
    late: int
    most_seconds: float


def latest_event_times(settings: Settings) -> EventTimes:
    """Look at the youngest events; raises as ``read_newest`` does.

    An event is as late as it was written after it happened. Batches of columns are passed over.
    """
    topic = settings.topics.predictions
    messages = read_newest(settings.kafka, topic, at_least=_EVENTS, skipped=lambda *_: None)
    found = [one for message in messages if (one := _lateness(message, settings)) is not None]
    return EventTimes(
        events=len(found),
        late=sum(late for _, late in found),
        most_seconds=max((seconds for seconds, _ in found), default=0.0),
    )


def _lateness(message: Message, settings: Settings) -> tuple[float, bool] | None:
    """Return how long after its event a record was written, and whether that is too long."""
    written = written_at(message)
    if written is None:
        return None
    try:
        event = decode_event(message.value() or b"")
    except RefusedError:  # what ingest makes a dead letter of
        return None
    seconds = written - event.epoch
    window = settings.window_of(event.model)
    return seconds, seconds > window.seconds + window.grace_seconds + window.late_seconds
