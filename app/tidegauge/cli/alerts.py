"""``tidegauge alerts``: reading the alert topic."""

import time
import uuid
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from confluent_kafka import Consumer, KafkaException
from rich.console import Console
from rich.text import Text

from tidegauge.cli._errors import reported
from tidegauge.contract import Alert
from tidegauge.settings import Settings, load_settings

app = typer.Typer(help="Alerts.", no_args_is_help=True)

_COLOURS = {"low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}

_ASSIGN_SECONDS = 30.0


@app.callback()
def _group() -> None:
    """Keep ``tail`` a subcommand: Typer would make a single command the whole group."""


@app.command("tail")
@reported
def tail(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    from_beginning: Annotated[bool, typer.Option(help="Show those there are first.")] = False,
    count: Annotated[int | None, typer.Option("-n", min=1, help="End after so many.")] = None,
) -> None:
    """Follow the alerts as they come; each is shown once, however often it was sent."""
    console = Console()
    for number, raw in enumerate(_follow(load_settings(), from_beginning), start=1):
        if json:
            typer.echo(raw.decode())
        else:
            console.print(describe(msgspec.json.decode(raw, type=Alert)))
        if number == count:
            return


def _follow(settings: Settings, from_beginning: bool) -> Iterator[bytes]:
    consumer = Consumer(
        {
            **settings.kafka.librdkafka(),
            # A group of its own: following takes no alert away from anybody.
            "group.id": f"tidegauge-tail-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest" if from_beginning else "latest",
        }
    )
    seen: set[str] = set()
    try:
        consumer.list_topics(settings.topics.alerts, timeout=_ASSIGN_SECONDS)
        consumer.subscribe([settings.topics.alerts])
        while True:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            raw = message.value() or b""
            try:
                alert_id = msgspec.json.decode(raw, type=Alert).id
            except msgspec.DecodeError as problem:
                raise ValueError(
                    f"{message.topic()}/{message.partition()} at offset {message.offset()} "
                    f"is no alert: {problem}"
                ) from problem
            if alert_id not in seen:
                seen.add(alert_id)
                yield raw
    finally:
        consumer.close()


def describe(alert: Alert) -> Text:
    """Return an alert in one line for a person."""
    at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(alert.window_end))
    over = alert.state in ("inactive", "resolved")
    colour = "green" if over else _COLOURS[alert.severity]
    state = f"still firing ({alert.reminder})" if alert.reminder else alert.state
    what = f"{state} {alert.severity}"
    return Text.assemble(
        (at, "dim"), " ", (what, colour), f" {alert.model} {alert.version}: {alert.summary}"
    )
