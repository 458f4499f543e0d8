"""``tidegauge run`` and ``tidegauge demo``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.command import reported
from tidegauge.config import load_settings
from tidegauge.telemetry import configure_logging


class RoleName(StrEnum):
    """The roles a process can have."""

    all = "all"
    ingest = "ingest"
    detect = "detect"
    notify = "notify"
    ledger = "ledger"


@reported
def run(
    role: Annotated[
        RoleName,
        typer.Option(
            help="What this process does: ingest, detect, notify, ledger, or all of it.",
            metavar="ROLE",
        ),
    ] = RoleName.all,
) -> None:
    """Run a worker until SIGTERM or SIGINT; it waits for brokers and topics that aren't up yet."""
    # Imported late: Faust takes half a second, which other commands need not wait for.
    from tidegauge.roles import run_worker

    settings = load_settings()
    configure_logging(settings.log_level)
    run_worker(settings, role.value)


@reported
def demo(
    once: Annotated[bool, typer.Option("--once", help="End once the alert has come.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line last.")] = False,
    services: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start the broker and Redis alone, for the other commands, and write their "
            "settings to FILE (tidegauge.yaml is read without being named), until Ctrl-C.",
        ),
    ] = None,
) -> None:
    """Show a drift alert: embedded broker and Redis, a real model, drift after a while."""
    from tidegauge.demo import run_demo, run_services

    if services is not None:
        if once or json:
            raise ValueError("--services shows no drift: it goes with neither --once nor --json")
        raise typer.Exit(run_services(services))
    raise typer.Exit(run_demo(once=once, json=json))
