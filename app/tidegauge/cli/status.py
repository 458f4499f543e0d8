"""``tidegauge status``: every model version at a glance. Its rows are pure."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Annotated, Literal

import msgspec
import typer
from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidegauge.baseline.io import (
    BaselineStore,
    Key,
    Pointer,
    StoreUnavailable,
    name_of,
    nearest_baseline,
)
from tidegauge.cli.alert_text import fires, latest
from tidegauge.cli.command import (
    SkippedRecords,
    kafka_settings,
    of_model,
    reported,
    skipping,
    warn,
)
from tidegauge.cli.printing import (
    SEVERITY_COLOURS,
    PlainConsole,
    PlainText,
    echo,
    echo_json,
    plain,
)
from tidegauge.cli.recent import RecentReport, newest_reports, recent_reports
from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    counted,
    duration_text,
    figure,
    metric_text,
    quantity,
    segment_text,
    utc_text,
)
from tidegauge.kafka import read_topic

#: Rows of versions without a baseline that have the nearest one: to find it takes milliseconds.
_MOST_NEAREST = 20

_WORST = {"critical": 0, "high": 1, "medium": 2, "low": 3}

Name = tuple[str, str, str]


class Firing(msgspec.Struct):
    """An alert that fires, by the signal that is worst, with its newest figure.

    ``since`` is the start of its first window, epoch seconds. ``more`` are further signals of it.
    """

    id: str
    rule: str
    severity: str
    signal: str
    metric: str
    value: float
    unit: str
    since: int
    segment: dict[str, str]
    more: int
    no_data: bool


class Row(msgspec.Struct):
    """One model version and variant.

    ``events_per_second`` are of the last window, which ended at ``window_end``, epoch seconds; null
    if none was reported. ``alarms`` are the drift alarms of the model in the last 30 days,
    ``alarms_allowed`` the false ones that its budget allows in a month.
    """

    model: str
    version: str
    variant: str
    events_per_second: float | None
    window_end: int | None
    firing: list[Firing]
    baseline: str
    baseline_promoted_at: float | None
    nearest_baseline: str
    alarms: int
    alarms_allowed: float


def status_rows(
    newest: Mapping[Name, RecentReport],
    firing: Iterable[Alert],
    pointers: Mapping[Key, Pointer],
    *,
    alarms: Mapping[str, int],
    allowed: Callable[[str], float],
) -> list[Row]:
    """Return a row for each version that is counted or fires.

    What fires worst comes first, then what has a baseline, then the rest by its traffic.
    Of a model of which nothing is counted, the version whose baseline was promoted last.
    """
    by_name: dict[Name, list[Firing]] = {}
    for alert in firing:
        name = alert.model, alert.version, alert.variant
        by_name.setdefault(name, []).append(_firing(alert, newest.get(name)))
    names = newest.keys() | by_name.keys()
    counted = {model for model, _, _ in names}
    names |= {(*key, "") for key in _last_promoted(pointers) if key[0] not in counted}
    rows = [
        _row(name, newest.get(name), by_name.get(name, []), pointers, alarms, allowed)
        for name in names
    ]
    rows.sort(key=_order)
    for row in [row for row in rows if not row.baseline][:_MOST_NEAREST]:
        nearest = nearest_baseline(pointers, row.model, row.version)
        row.nearest_baseline = name_of(nearest) if nearest else ""
    return rows


def _last_promoted(pointers: Mapping[Key, Pointer]) -> Iterable[Key]:
    """Return of each model the version whose baseline was promoted last."""
    last: dict[str, tuple[float, Key]] = {}
    for key, pointer in pointers.items():
        last[key[0]] = max(last.get(key[0], (0.0, key)), (pointer.promoted_at, key))
    return [key for _, key in last.values()]


def _row(
    name: Name,
    report: RecentReport | None,
    firing: list[Firing],
    pointers: Mapping[Key, Pointer],
    alarms: Mapping[str, int],
    allowed: Callable[[str], float],
) -> Row:
    model, version, variant = name
    pointer = pointers.get((model, version))
    firing.sort(key=lambda one: (bool(one.segment), _WORST.get(one.severity, 9), one.since))
    seconds = report.window_end - report.window_start if report else 0
    return Row(
        model=model,
        version=version,
        variant=variant,
        events_per_second=report.events / seconds if report and seconds > 0 else None,
        window_end=report.window_end if report else None,
        firing=firing,
        baseline=pointer.id if pointer else "",
        baseline_promoted_at=pointer.promoted_at if pointer else None,
        nearest_baseline="",
        alarms=alarms.get(model, 0),
        alarms_allowed=allowed(model),
    )


def _order(row: Row) -> tuple[object, ...]:
    worst = min((_WORST.get(one.severity, 9) for one in row.firing), default=9)
    # Among those without a baseline may be made-up names, which have little traffic.
    traffic = 0.0 if row.baseline else -(row.events_per_second or 0.0)
    return worst, not row.baseline, traffic, row.model, row.version, row.variant


def _firing(alert: Alert, report: RecentReport | None) -> Firing:
    open_signals = [one for one in alert.signals if one.ends_at is None]
    signal, value, metric = alert.signal or "", alert.value, alert.metric
    unit = alert.unit
    if open_signals:
        signal, value = open_signals[0].signal, open_signals[0].value
    if metric == "surprise":
        # The size of a drift is more useful than its certainty.
        psi = _psi(alert, signal, report)
        if psi is not None:
            metric, value, unit = "psi", psi, "nats"
    return Firing(
        id=alert.id,
        rule=alert.rule,
        severity=alert.severity,
        signal=signal,
        metric=metric,
        value=value,
        unit=unit,
        since=alert.starts_at,
        segment=alert.segment,
        more=max(0, len(open_signals) - 1),
        no_data=alert.state == "no_data",
    )


def _psi(alert: Alert, signal: str, report: RecentReport | None) -> float | None:
    """Return the corrected PSI of the last window, or if it has none that of the alert."""
    if report is not None and not alert.segment:
        for part in sorted(report.parts, key=lambda part: -part.events):
            found = part.signals.get(signal)
            if found is not None and found.evidence is not None:
                return found.evidence.psi_corrected
    return None if alert.evidence is None else alert.evidence.psi_corrected


def drift_alarms(alerts: Iterable[Alert], since: float) -> dict[str, int]:
    """Return by model how many alerts by the alarm budget began to fire since, each once."""
    episodes: dict[str, set[str]] = {}
    for alert in alerts:
        if (
            alert.threshold_by == "alarm_budget"
            and alert.event == "firing"
            and alert.window_end >= since
        ):
            episodes.setdefault(alert.model, set()).add(alert.episode or alert.id)
    return {model: len(found) for model, found in episodes.items()}


#: What the budget of alarms is held against.
_MONTH_SECONDS = 30 * 24 * 3600.0

#: Alerts of a version that are named, and versions without a baseline: anybody can make up names.
_NAMED_ALERTS = 3
_NAMED_VERSIONS = 5

#: Of the columns after the first one; a figure or an age fits, and a long name is folded.
_WIDTHS = (9, 11, 15, 8)

#: Characters of the id of a baseline, as the column is narrow.
_SHORT = 8

_WORDS = {"psi": "PSI", "kl": "KL", "kl_values": "KL", "latency_mean_ms": "mean latency"}


@reported
def status(
    model: Annotated[str | None, typer.Option(help="Of this model only.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show every version: events, last window, what drifts, baseline, alarms of the budget."""
    settings, now = kafka_settings(), time.time()
    with skipping() as skipped:
        known = _rows(settings, skipped, now)
        rows = [row for row in known if model is None or row.model == model]
    mode = settings.actions.mode
    if json:
        body: dict[str, object] = {"time": now, "actions_mode": mode, "versions": rows}
        echo_json(body)
        return
    if not rows:
        nothing = "no version is counted, none has a baseline and nothing fires"
        echo(nothing + of_model(model, (row.model for row in known), "version"))
        return
    console = PlainConsole()
    console.print(heading(rows, mode, now))
    console.print(status_table(rows, now, console.width))
    left_out = len(rows) - len(shown_rows(rows))
    if left_out:
        console.print(f"and {left_out:,} more versions without a baseline; --json has them all")


def _rows(settings: Settings, skipped: SkippedRecords, now: float) -> list[Row]:
    newest = newest_reports(recent_reports(settings, skipped, now))
    alerts = read_topic(settings.kafka, settings.topics.alerts, Alert, skipped)
    firing = [alert for alert in latest(alerts) if fires(alert)]
    since = now - _MONTH_SECONDS
    history = read_topic(settings.kafka, settings.topics.alerts_history, Alert, skipped, since)
    return status_rows(
        newest,
        firing,
        _pointers(settings),
        alarms=drift_alarms(history, since),
        allowed=settings.alarms_of,
    )


def _pointers(settings: Settings) -> dict[Key, Pointer]:
    try:
        with closing(BaselineStore.of(settings)) as store:
            return dict(store.snapshot().promoted)
    except StoreUnavailable as error:
        # Counts and alerts can be shown without Redis.
        warn(f"{error}: no baseline is known")
        return {}


def heading(rows: list[Row], mode: str, now: float) -> str:
    """Return the line above the table."""
    parts = [
        counted(len(rows), "version"),
        f"{sum(bool(row.firing) for row in rows)} with alerts",
        f"{sum(not row.baseline for row in rows)} without baseline",
        f"actions {mode}",
    ]
    return f"{utc_text(now, '%Y-%m-%d %H:%MZ')}  {', '.join(parts)}"


def shown_rows(rows: Iterable[Row]) -> list[Row]:
    """Return all rows but those of very many versions without a baseline of which nothing fires."""
    shown: list[Row] = []
    unnamed = 0
    for row in rows:
        unnamed += not row.baseline and not row.firing
        if row.baseline or row.firing or unnamed <= _NAMED_VERSIONS:
            shown.append(row)
    return shown


def status_table(rows: list[Row], now: float, columns: int) -> Table:
    """Return the table; long names and texts go on in the next line, so nothing is cut."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    rest = max(columns - sum(_WIDTHS) - len(_WIDTHS), 1)
    table.add_column("version, and what fires", overflow="fold", max_width=rest)
    heads = ("events/s", "last window", "baseline,\nits age", "alarms,\n30 days")
    for head, width in zip(heads, _WIDTHS, strict=True):
        justify: Literal["left", "right"] = "left" if head in heads[1:3] else "right"
        table.add_column(head, justify=justify, overflow="fold", width=width)
    for row in shown_rows(rows):
        name = " ".join(filter(None, (row.model, row.version, row.variant)))
        table.add_row(
            Group(plain(name, "bold"), *(Padding(one, (0, 0, 0, 2)) for one in _fires(row, now))),
            "-" if row.events_per_second is None else figure(row.events_per_second),
            "none lately" if row.window_end is None else f"{_age(row.window_end, now)} ago",
            _baseline(row, now),
            f"{row.alarms} of {row.alarms_allowed:g}",
        )
    return table


def _age(since: float, now: float) -> str:
    """Write the time since then by its largest unit.

    A record may have any number in the place of a time, one that is no float too.
    """
    seconds = now - min(max(since, 0), now)
    return " ".join(duration_text(seconds).split()[:2])


def _baseline(row: Row, now: float) -> Text:
    if row.baseline_promoted_at is not None:
        return plain(f"{row.baseline[:_SHORT]} {_age(row.baseline_promoted_at, now)}")
    nearest = f", nearest: {row.nearest_baseline}" if row.nearest_baseline else ""
    return plain(f"none{nearest}", "yellow")


def _fires(row: Row, now: float) -> Iterator[Text]:
    for one in row.firing[:_NAMED_ALERTS]:
        yield _firing_text(one, now)
    more = len(row.firing) - _NAMED_ALERTS
    if more > 0:
        yield PlainText(f"and {more:,} more")


def _firing_text(one: Firing, now: float) -> Text:
    where = segment_text(one.segment)
    word = _WORDS.get(one.metric) or metric_text(one.metric)
    # The duration below is more useful than the one when the alert fired.
    silent = one.metric == "seconds_without_events"
    figures = ("nothing sent",) if silent else (word, quantity(one.value, one.unit))
    what = " ".join(filter(None, (where, one.signal, *figures)))
    if one.more:
        what += f", {one.more} more"
    if one.no_data:
        what += ", no data now"
    return plain(f"{what}, for {_age(one.since, now)}", SEVERITY_COLOURS.get(one.severity, ""))
