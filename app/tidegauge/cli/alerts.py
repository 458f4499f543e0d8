"""``tidegauge alerts``: reading the alert topic."""

import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from tidegauge.cli import silences
from tidegauge.cli._errors import reported
from tidegauge.cli._follow import follow
from tidegauge.cli._kafka import kafka_settings
from tidegauge.cli._print import PlainConsole, echo_json, plain
from tidegauge.cli._skipped import SkippedRecords, skipping, warn
from tidegauge.contract import Alert, Distribution, Silence, encode
from tidegauge.printable import printable
from tidegauge.reading import read_topic
from tidegauge.settings import Settings
from tidegauge.silences import Silences
from tidegauge.when import moment, utc_text
from tidegauge.wording import metric_text

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
        list[str] | None, typer.Option(help="Of this severity only; may be given again.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Those first that were sent since: 1h, 2026-11-24T00:00:00Z.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    from_beginning: Annotated[bool, typer.Option(help="Show all there are first.")] = False,
    count: Annotated[int | None, typer.Option("-n", min=1, help="End after so many.")] = None,
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
        found = [
            alert
            for alert in latest(_newest(settings, skipped))
            if (model is None or alert.model == model) and (everything or fires(alert))
        ]
        said = silences.read_silences(settings, skipped)
    if json:
        for alert in found:
            echo_json(encode(_with_words(alert, said, now)))
        return
    table = Table("since", "id", "state", "severity", "model", "what")
    for alert in sorted(found, key=lambda alert: alert.starts_at):
        table.add_row(
            _time(alert.starts_at),
            alert.id[:_SHORT],
            _state(alert, said, now),
            Text(alert.severity, _COLOURS[alert.severity]),
            plain(f"{alert.model} {alert.version}"),
            plain(alert.summary),
        )
    PlainConsole().print(table)


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
    if seen is not None:
        text += f", seen by {seen.who}"
    if silence is not None:
        text += f", silenced by {silence.who}"
    return plain(text, _STATES.get(alert.state, "dim" if silence else ""))


def _facts(alert: Alert) -> Iterator[tuple[str, str]]:
    signal = alert.signal or (alert.signals[0].signal if alert.signals else "")
    watched = metric_text(alert.metric, signal)
    yield "rule", alert.rule
    yield (
        "figure",
        (
            f"{watched} is {alert.value:.6g} {alert.unit}, {alert.comparison} {alert.threshold:g}, "
            f"in {alert.events:,} events (at least {alert.minimum_events:,})"
        ),
    )
    if alert.evidence is not None and alert.evidence.psi_corrected is not None:
        size = alert.evidence.size or ""
        yield "size", f"{size}, PSI {alert.evidence.psi_corrected:.3f} nats beyond noise"
    if alert.evidence is not None and alert.evidence.change is not None:
        change = alert.evidence.change
        yield (
            "began",
            f"by {_time(change.onset_window_end)}, over {alert.evidence.span_windows} windows",
        )
    for one in alert.inhibited:
        yield "says also", f"{one.rule} ({one.severity}) {', '.join(one.signals)}".rstrip()
    if alert.severities_before:
        yield "severity", " → ".join([*alert.severities_before, alert.severity])
    if alert.flapping:
        yield "flapping", "its end is told once it stays away"
    yield "window", f"{_time(alert.window_start)} to {_time(alert.window_end)}"
    yield "since", _time(alert.starts_at)
    if alert.ends_at is not None:
        yield "until", _time(alert.ends_at)
    if alert.variant:
        yield "variant", alert.variant
    if alert.segment:
        yield "segment", ", ".join(f"{k}={v}" for k, v in sorted(alert.segment.items()))
    yield "baseline", alert.baseline
    yield "report", alert.report
    for counted in alert.counted:
        yield "counted", f"{counted.topic}/{counted.partition} {counted.start} to {counted.to}"
    for action in alert.actions:
        yield "action", action


def _signals(alert: Alert) -> Table:
    table = Table("signal", alert.metric, "severity", "since", "until")
    for one in alert.signals:
        until = "" if one.ends_at is None else _time(one.ends_at)
        table.add_row(
            plain(one.signal), f"{one.value:.6g}", one.severity, _time(one.starts_at), until
        )
    return table


def _check(id: str, distribution: Distribution) -> None:
    """Raise ``ValueError`` if there is not one count for each bin: no detector sent that."""
    sizes = [len(it) for it in (distribution.bins, distribution.reference, distribution.current)]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"alert {id} is damaged: its distribution has {sizes[0]} bins, and counts of "
            f"{sizes[1]} and {sizes[2]}; --json shows it as it is"
        )


def _bins(distribution: Distribution) -> Table:
    table = Table("bin", "baseline", "window")
    reference, current = sum(distribution.reference) or 1, sum(distribution.current) or 1
    for label, of_reference, of_current in zip(
        distribution.bins, distribution.reference, distribution.current, strict=True
    ):
        table.add_row(
            plain(label), f"{of_reference / reference:.2%}", f"{of_current / current:.2%}"
        )
    return table


def _newest(settings: Settings, skipped: SkippedRecords) -> Iterator[Alert]:
    """Yield at least the newest record of each fingerprint: compaction leaves some older ones."""
    return read_topic(settings.kafka, settings.topics.alerts, Alert, skipped)


def _history(settings: Settings, skipped: SkippedRecords) -> Iterator[Alert]:
    return read_topic(settings.kafka, settings.topics.alerts_history, Alert, skipped)


def _time(seconds: float) -> str:
    return utc_text(seconds)


def describe(alert: Alert) -> Text:
    """Return an alert in one line for a person."""
    over = alert.state in ("inactive", "resolved")
    colour = "green" if over else _COLOURS[alert.severity]
    state = f"still firing ({alert.reminder})" if alert.reminder else alert.state.replace("_", " ")
    if alert.event == "raised":
        state = "now"
    what = f"{state} {alert.severity}"
    return Text.assemble(
        (_time(alert.window_end), "dim"),
        " ",
        (what, colour),
        printable(f" {alert.model} {alert.version}: {alert.summary}"),
    )
