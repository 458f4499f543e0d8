"""``tidegauge demo``."""

from typing import Annotated

import typer

from tidegauge.cli._errors import reported


@reported
def demo(
    once: Annotated[bool, typer.Option("--once", help="End once the alert has come.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line last.")] = False,
) -> None:
    """Show a drift alert: embedded broker and Redis, a real model, drift after a while."""
    from tidegauge.demo import run_demo

    raise typer.Exit(run_demo(once=once, json=json))
