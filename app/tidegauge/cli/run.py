"""``tidegauge run``: the worker."""

from enum import StrEnum
from typing import Annotated

import typer

from tidegauge.cli._errors import reported
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
    # Faust takes half a second to import, which the other commands need not wait for.
    from tidegauge.roles import run_worker

    settings = load_settings()
    configure_logging(settings.log_level)
    run_worker(settings, role.value)
