"""``tidegauge status``: every model version at a glance."""

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import typer
from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidegauge.baseline.io import BaselineStore, Key, Pointer, StoreUnavailable
from tidegauge.cli._alert_text import fires, latest
from tidegauge.cli._errors import reported
from tidegauge.cli._kafka import kafka_settings
from tidegauge.cli._print import (
    SEVERITY_COLOURS,
    PlainConsole,
    PlainText,
    echo,
    echo_json,
    plain,
)
from tidegauge.cli._recent import newest_reports, recent_reports
from tidegauge.cli._records import SkippedRecords, of_model, skipping, warn
from tidegauge.cli._status import Firing, Row, drift_alarms, status_rows
from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    DecodingError,
    counted,
    decode,
    duration_text,
    figure,
    metric_text,
    quantity,
    segment_text,
    utc_text,
)
from tidegauge.kafka import read_span, read_topic

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
    return status_rows(
        newest,
        firing,
        _pointers(settings),
        alarms=drift_alarms(_history(settings, since, skipped), since),
        allowed=settings.alarms_of,
    )


def _history(settings: Settings, since: float, skipped: SkippedRecords) -> Iterator[Alert]:
    topic = settings.topics.alerts_history
    for record in read_span(settings.kafka, topic, since, skipped=skipped):
        try:
            yield decode(record.value, Alert)
        except DecodingError as error:
            skipped(record.place, f"no Alert: {error}")


def _pointers(settings: Settings) -> dict[Key, Pointer]:
    store = BaselineStore.of(settings)
    try:
        return dict(store.snapshot().promoted)
    except StoreUnavailable as error:
        # Counts and alerts can be shown without Redis.
        warn(f"{error}: no baseline is known")
        return {}
    finally:
        store.close()


def heading(rows: list[Row], mode: str, now: float) -> str:
    """Return the line above the table."""
    said = [
        counted(len(rows), "version"),
        f"{sum(bool(row.firing) for row in rows)} with alerts",
        f"{sum(not row.baseline for row in rows)} without baseline",
        f"actions {mode}",
    ]
    return f"{utc_text(now, '%Y-%m-%d %H:%MZ')}  {', '.join(said)}"


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
        yield _firing(one, now)
    more = len(row.firing) - _NAMED_ALERTS
    if more > 0:
        yield PlainText(f"and {more:,} more")


def _firing(one: Firing, now: float) -> Text:
    where = segment_text(one.segment)
    word = _WORDS.get(one.metric) or metric_text(one.metric)
    # The duration below is more useful than the one when the alert fired.
    silent = one.metric == "seconds_without_events"
    said = ("nothing sent",) if silent else (word, quantity(one.value, one.unit))
    what = " ".join(filter(None, (where, one.signal, *said)))
    if one.more:
        what += f", {one.more} more"
    if one.no_data:
        what += ", no data now"
    return plain(f"{what}, for {_age(one.since, now)}", SEVERITY_COLOURS.get(one.severity, ""))
