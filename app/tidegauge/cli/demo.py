"""``tidegauge demo``."""

from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli._errors import reported


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
