"""Puts the subcommands together."""

from typing import Annotated

import typer

import tidegauge
from tidegauge.cli import alerts, backtest, baseline, check, demo, run, topics, verify

app = typer.Typer(
    help="Drift monitoring for models on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("verify")(verify.verify)
app.command("backtest")(backtest.try_rules)
app.command("demo")(demo.demo)
app.add_typer(baseline.app, name="baseline")
app.add_typer(topics.app, name="topics")
app.add_typer(alerts.app, name="alerts")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidegauge {tidegauge.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app()
