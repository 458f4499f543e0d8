"""``tidegauge alerts``: reading the alert topic."""

import math
import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from tidegauge.alerting import Silences, listed
from tidegauge.cli import silences
from tidegauge.cli._errors import reported
from tidegauge.cli._follow import follow
from tidegauge.cli._kafka import kafka_settings
from tidegauge.cli._models import of_model
from tidegauge.cli._newest import Value, first_values, newest_values
from tidegauge.cli._print import PlainConsole, echo, echo_json, plain
from tidegauge.cli._skipped import SkippedRecords, skipping, warn
from tidegauge.cli._tables import folding_table
from tidegauge.config import Settings
from tidegauge.contract import (
    OF_THRESHOLD,
    Alert,
    Distribution,
    SignalAlert,
    Silence,
    counted,
    duration_text,
    encode,
    figure,
    limit_text,
    metric_text,
    moment,
    printable,
    quantity,
    utc_text,
    with_subject,
)
from tidegauge.kafka import read_topic

app = typer.Typer(help="Alerts.", no_args_is_help=True)

_COLOURS = {"low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}

_STATES = {"resolved": "green", "no_data": "magenta"}

#: Enough of an id to type; ``show`` takes any beginning that is unique.
_SHORT = 12

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
    wrong = sorted(set(severity or ()) - _COLOURS.keys())
    if wrong:
        raise ValueError(f"--severity: found {wrong[0]!r}, expected one of {', '.join(_COLOURS)}")
    if from_beginning and since is not None:
        raise ValueError("found --since and --from-beginning, expected one of the two")
    begin = 0.0 if from_beginning else None if since is None else moment(since, time.time())
    settings, console, shown = kafka_settings(), PlainConsole(), 0

    def skipped(place: str, why: str) -> None:
        # At once: this command may never end.
        warn(f"{place} is skipped: {why}")

    try:
        for raw, alert in follow(settings, settings.topics.alerts_history, begin, skipped):
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
        said = silences.read_silences(settings, skipped)
        if not json:
            firing = [alert for alert in found if fires(alert)]
            since = min((alert.starts_at for alert in firing), default=now)
            first = first_values(_history(settings, skipped, since)) if firing else {}
            newest = newest_values(settings, firing, skipped, now) if firing else {}
    if json:
        for alert in found:
            echo_json(encode(_with_words(alert, said, now)))
        return
    if not found:
        nothing = "nothing has ever fired" if everything else "nothing fires"
        echo(nothing + of_model(model, (alert.model for alert in known), "alert"))
        return
    table = folding_table("since", "id", "severity", "alert", whole=("id", "severity"))
    for alert in sorted(found, key=lambda alert: alert.starts_at):
        about = Text.assemble(
            printable(with_subject(alert)),
            "\n",
            _state(alert, said, now),
        )
        if alert.episode in newest:
            about.append(_course(alert, first.get(alert.episode), newest[alert.episode]))
        table.add_row(
            utc_text(alert.starts_at, "%Y-%m-%d\n%H:%M:%SZ"),
            printable(alert.id[:_SHORT]),
            Text(alert.severity, _COLOURS[alert.severity]),
            about,
        )
    PlainConsole().print(table)


def _course(alert: Alert, first: Value | None, newest: Value) -> str:
    """Say what the figure of an alert was at first and what it is in the newest window.

    Nothing, if that is the window it fired in: its summary says so.
    """
    if first is not None and first.at >= newest.at:
        return ""
    now = quantity(newest.value, alert.unit, alert.threshold)
    began = ""
    if first is not None:
        # The unit stands behind the second figure, if it is no part of the first.
        unit = alert.unit if alert.unit in ("s", "share") else ""
        began = f"{quantity(first.value, unit, alert.threshold)} at first, "
    limit = limit_text(alert.threshold, alert.unit)
    at = utc_text(newest.at, "%H:%M:%SZ")
    return f"\n{began}{now} at {at} ({alert.comparison} {limit} fires)"


@app.command("show")
@reported
def show(
    id: Annotated[str, typer.Argument(help="Of the alert, or the beginning of it.")],
    json: Annotated[bool, typer.Option("--json", help="The record as it was sent.")] = False,
) -> None:
    """Show one alert: the figures that decided it, and how the signal's bins have moved."""
    with skipping() as skipped:
        found = {a.id: a for a in _history(kafka_settings(), skipped) if a.id.startswith(id)}
    if not found:
        raise ValueError(f"there is no alert {id}; see: tidegauge alerts list --all")
    if len(found) > 1:
        raise ValueError(f"{len(found)} alerts begin with {id}; give more of the id")
    [alert] = found.values()
    if json:
        echo_json(encode(alert))
        return
    if alert.distribution is not None:
        _check(alert.id, alert.distribution)
    console = PlainConsole()
    console.print(describe(alert))
    facts = Table(show_header=False, box=None)
    for name, value in _facts(alert):
        facts.add_row(name, plain(value))
    console.print(facts)
    if alert.signals:
        console.print(_signals(alert))
    if alert.distribution is not None:
        console.print(_bins(alert.distribution))


def fires(alert: Alert) -> bool:
    """Whether it fires, or did when its data ended: nothing has ended it since."""
    return alert.state == "firing" or (alert.state == "no_data" and alert.was == "firing")


def latest(alerts: Iterable[Alert]) -> list[Alert]:
    """Return the newest alert of each fingerprint, in the order of the topic.

    By its window: a worker that was paused may have sent an older one after it.
    """
    found: dict[str, Alert] = {}
    for alert in alerts:
        before = found.get(alert.fingerprint)
        if before is None or alert.window_end >= before.window_end:
            found.pop(alert.fingerprint, None)
            found[alert.fingerprint] = alert
    return list(found.values())


def _words(alert: Alert, said: Silences, now: float) -> tuple[Silence | None, Silence | None]:
    """Return who has seen an alert that is not over, and what silences it."""
    if alert.state in ("inactive", "resolved"):
        return None, None
    silence = said.over(alert, now)
    return said.seen(alert, now), None if silence and silence.reminders_only else silence


def _with_words(alert: Alert, said: Silences, now: float) -> dict[str, object]:
    """Return the record, with what people have said to the alert."""
    seen, silence = _words(alert, said, now)
    return msgspec.structs.asdict(alert) | {"acknowledgement": seen, "silence": silence}


def _state(alert: Alert, said: Silences, now: float) -> Text:
    seen, silence = _words(alert, said, now)
    text: str = alert.state.replace("_", " ")
    if alert.ends_at is None:
        text += f" for {duration_text(max(0, int(now) - alert.starts_at))}"
    else:
        text += f" after {duration_text(alert.ends_at - alert.starts_at)}"
    if seen is not None:
        text += f", seen by {seen.who}"
    if silence is not None:
        text += f", silenced by {silence.who}"
    return plain(text, _STATES.get(alert.state, "dim" if silence else ""))


def _facts(alert: Alert) -> Iterator[tuple[str, str]]:
    signal = alert.signal or (alert.signals[0].signal if alert.signals else "")
    watched = metric_text(alert.metric, signal)
    yield "rule", alert.rule
    yield "figure", f"{watched}: {_amount(alert)}{_in_events(alert)}"
    if alert.evidence is not None and alert.evidence.psi_corrected is not None:
        size, psi = alert.evidence.size or "", figure(alert.evidence.psi_corrected)
        yield "size", f"{size}, PSI {psi} nats beyond noise".removeprefix(", ")
    if alert.evidence is not None and alert.evidence.change is not None:
        change = alert.evidence.change
        windows = counted(alert.evidence.span_windows, "window")
        yield "began", f"by {_time(change.onset_window_end)}, seen in {windows}"
    for one in alert.inhibited:
        yield "includes", f"{one.rule} ({one.severity}) {listed(one.signals)}".rstrip()
    if alert.severities_before:
        yield "severity", " → ".join([*alert.severities_before, alert.severity])
    if alert.flapping:
        yield "flapping", "resolved is sent only once it has stayed away"
    yield "window", f"{_time(alert.window_start)} to {_time(alert.window_end)}"
    yield "since", _time(alert.starts_at)
    if alert.ends_at is not None:
        lasted = duration_text(alert.ends_at - alert.starts_at)
        yield "until", f"{_time(alert.ends_at)}, after {lasted}"
    if alert.variant:
        yield "variant", alert.variant
    if alert.segment:
        yield "segment", ", ".join(f"{k}={v}" for k, v in sorted(alert.segment.items()))
    for name, id in (("baseline", alert.baseline), ("report", alert.report)):
        if id:
            yield name, id
    for span in alert.counted:
        yield "counted", f"{span.topic}/{span.partition}, offsets {span.start} to {span.to}"
    for action in alert.actions:
        yield "action", action


def _amount(alert: Alert) -> str:
    value = quantity(alert.value, alert.unit, alert.threshold)
    return f"{value}, {alert.comparison} {limit_text(alert.threshold, alert.unit)}"


def _in_events(alert: Alert) -> str:
    """Say how many events a figure rests on, where it rests on any."""
    if not (alert.events or alert.minimum_events):
        return ""
    least = f" (at least {alert.minimum_events:,})" if alert.minimum_events else ""
    return f", in {counted(alert.events, 'event')}{least}"


def _signals(alert: Alert) -> Table:
    metric = printable(alert.metric)
    table = folding_table("signal", metric, "severity", "since", "until", right=(metric,))
    for one in alert.signals:
        until = "" if one.ends_at is None else _time(one.ends_at)
        table.add_row(
            plain(one.signal), _value(one, alert), one.severity, _time(one.starts_at), until
        )
    return table


def _value(one: SignalAlert, alert: Alert) -> str:
    """Write the figure of one signal; a long unit is that of the figure above it."""
    return quantity(one.value, "" if alert.unit == OF_THRESHOLD else alert.unit)


def _check(id: str, distribution: Distribution) -> None:
    """Raise ``ValueError`` if there is not one count for each bin: no detector sent that."""
    sizes = [len(it) for it in (distribution.bins, distribution.reference, distribution.current)]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"alert {id} is damaged: its distribution has {sizes[0]} bins, and counts of "
            f"{sizes[1]} and {sizes[2]}; --json shows it as it is"
        )


def _bins(distribution: Distribution) -> Table:
    table = folding_table("bin", "baseline", "window", right=("baseline", "window"))
    reference, current = sum(distribution.reference) or 1, sum(distribution.current) or 1
    for label, of_reference, of_current in zip(
        distribution.bins, distribution.reference, distribution.current, strict=True
    ):
        table.add_row(
            plain(label), f"{of_reference / reference:.1%}", f"{of_current / current:.1%}"
        )
    return table


def _newest(settings: Settings, skipped: SkippedRecords) -> Iterator[Alert]:
    """Yield at least the newest record of each fingerprint: compaction leaves some older ones."""
    return read_topic(settings.kafka, settings.topics.alerts, Alert, skipped)


def _history(
    settings: Settings, skipped: SkippedRecords, since: float = -math.inf
) -> Iterator[Alert]:
    topic = settings.topics.alerts_history
    return read_topic(settings.kafka, topic, Alert, skipped, since=since)


def _time(seconds: float) -> str:
    return utc_text(seconds)


def _nth(n: int) -> str:
    """Write which of several.

    >>> _nth(1), _nth(2), _nth(11), _nth(23)
    ('1st', '2nd', '11th', '23rd')
    """
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def describe(alert: Alert) -> Text:
    """Return an alert in one line for a person."""
    over = alert.state in ("inactive", "resolved")
    colour = "green" if over else _COLOURS[alert.severity]
    state = alert.state.replace("_", " ")
    if alert.reminder:
        state = f"still firing ({_nth(alert.reminder)} reminder)"
    if alert.event == "raised":
        state = "now"
    what = f"{state} {alert.severity}"
    return Text.assemble(
        (_time(alert.window_end), "dim"),
        " ",
        (what, colour),
        printable(f" {with_subject(alert)} [{alert.id[:_SHORT]}]"),
    )
