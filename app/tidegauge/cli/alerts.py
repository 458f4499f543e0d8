"""``tidegauge alerts``: following, listing and showing alerts."""

import math
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from tidegauge.cli import silences
from tidegauge.cli.alert_text import (
    bins_table,
    check_bins,
    course,
    describe,
    facts,
    fires,
    latest,
    record_with_words,
    signals_table,
    state_of,
)
from tidegauge.cli.command import (
    SkippedRecords,
    kafka_settings,
    of_model,
    only,
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
    folding_table,
    plain,
    short,
    table_time,
)
from tidegauge.cli.recent import first_values, newest_values
from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    moment,
    printable,
    with_subject,
)
from tidegauge.kafka import follow, read_topic

app = typer.Typer(help="Alerts.", no_args_is_help=True)

#: What a shell says of a command that was ended by Ctrl-C.
_INTERRUPTED = 130

app.command("silence")(silences.silence)
app.command("silences")(silences.silences)
app.command("unsilence")(silences.unsilence)
app.command("ack")(silences.ack)


@app.command("tail")
@reported
def tail(
    model: Annotated[str | None, typer.Option(help="Of these models only, a glob.")] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(
            help="Of this severity only: low, medium, high or critical; repeatable.",
            metavar="SEVERITY",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Show those first that were sent since: 1h, 2026-11-24T00:00:00Z.", metavar="TIME"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Show all there are first.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="End after so many.", metavar="N")
    ] = None,
) -> None:
    """Follow the alerts as they come, until Ctrl-C; each is shown once, if sent again or not."""
    wrong = sorted(set(severity or ()) - SEVERITY_COLOURS.keys())
    if wrong:
        raise ValueError(
            f"--severity: found {wrong[0]!r}, expected one of {', '.join(SEVERITY_COLOURS)}"
        )
    if from_beginning and since is not None:
        raise ValueError("found --since and --from-beginning, expected one of the two")
    begin = 0.0 if from_beginning else None if since is None else moment(since, time.time())
    settings, console, shown = kafka_settings(), PlainConsole(), 0

    def skipped(place: str, why: str) -> None:
        # At once: this command may never end.
        warn(f"{place} is skipped: {why}")

    topic, seen = settings.topics.alerts_history, set[str]()
    try:
        for found in follow(settings.kafka, topic, Alert, begin, skipped):
            if found is None or found[1].id in seen:  # each once, however often it was sent
                continue
            raw, alert = found
            seen.add(alert.id)
            if model is not None and not fnmatchcase(alert.model, model):
                continue
            if severity and alert.severity not in severity:
                continue
            if json:
                echo_json(raw)
            else:
                console.print(describe(alert))
            shown += 1
            if shown == count:
                return
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


@app.command("list")
@reported
def show_all(
    model: Annotated[str | None, typer.Option(help="Of this model only.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is resolved: the last of each fingerprint.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what fires now, the longest first."""
    settings, now = kafka_settings(), time.time()
    with skipping() as skipped:
        known = latest(_newest(settings, skipped))
        found = [
            alert
            for alert in known
            if (model is None or alert.model == model) and (everything or fires(alert))
        ]
        known_silences = silences.read_silences(settings, skipped)
        if not json:
            firing = [alert for alert in found if fires(alert)]
            since = min((alert.starts_at for alert in firing), default=now)
            first = first_values(_history(settings, skipped, since)) if firing else {}
            newest = newest_values(settings, firing, skipped, now) if firing else {}
    if json:
        for alert in found:
            echo_json(record_with_words(alert, known_silences, now))
        return
    if not found:
        nothing = "nothing has ever fired" if everything else "nothing fires"
        echo(nothing + of_model(model, (alert.model for alert in known), "alert"))
        return
    table = folding_table("since", "id", "severity", "alert", whole=("id", "severity"))
    for alert in sorted(found, key=lambda alert: alert.starts_at):
        about = PlainText.assemble(
            printable(with_subject(alert)),
            "\n",
            state_of(alert, known_silences, now),
        )
        if alert.episode in newest:
            about.append(course(alert, first.get(alert.episode), newest[alert.episode]))
        table.add_row(
            table_time(alert.starts_at),
            short(alert.id),
            Text(alert.severity, SEVERITY_COLOURS[alert.severity]),
            about,
        )
    PlainConsole().print(table)


@app.command("show")
@reported
def show(
    id: Annotated[str, typer.Argument(help="Of the alert, or the beginning of it.")],
    json: Annotated[bool, typer.Option("--json", help="The record as it was sent.")] = False,
) -> None:
    """Show one alert: the figures that decided it, and how the signal's bins have moved."""
    settings = kafka_settings()
    with skipping() as skipped:
        history = _history(settings, skipped)
        alert = only(history, id, "alert", lambda one: [one.id], see="tidegauge alerts list --all")
        if not json:
            known_silences = silences.read_silences(settings, skipped)
    if json:
        echo_json(alert)
        return
    if alert.distribution is not None:
        check_bins(alert.id, alert.distribution)
    console = PlainConsole()
    console.print(describe(alert))
    table = Table(show_header=False, box=None)
    for name, value in facts(alert, known_silences, time.time()):
        table.add_row(name, plain(value))
    console.print(table)
    if alert.signals:
        console.print(signals_table(alert))
    if alert.distribution is not None:
        console.print(bins_table(alert.distribution))


def _newest(settings: Settings, skipped: SkippedRecords) -> Iterator[Alert]:
    """Yield at least the newest record of each fingerprint: compaction leaves some older ones."""
    return read_topic(settings.kafka, settings.topics.alerts, Alert, skipped)


def _history(
    settings: Settings, skipped: SkippedRecords, since: float = -math.inf
) -> Iterator[Alert]:
    topic = settings.topics.alerts_history
    return read_topic(settings.kafka, topic, Alert, skipped, since=since)
