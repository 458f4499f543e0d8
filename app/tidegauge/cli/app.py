"""The ``tidegauge`` command with its subcommands, each imported when it is called."""

import logging
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import tidegauge


def readable(command: Any) -> Any:
    """Return a command whose help page shows what it means; its types are private to typer.

    An option that takes no value has none beside it: typer writes ``--json <bool>``. A paragraph
    breaks where the terminal ends, and not also where the lines of its source do.
    """
    if command.help:
        paragraphs = command.help.split("\n\n")
        command.help = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    for option in [*command.params, _help_option(command)]:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return command


def _help_option(command: Any) -> Any:
    # Created once for each command, and cached by it.
    return command.get_help_option(command.context_class(command))


#: By name, the module in here and what it has: a group of commands, or a function.
_COMMANDS = {
    "run": ("setup", "run"),
    "status": ("status", "status"),
    "check": ("check", "check"),
    "config": ("setup", "config_app"),
    "verify": ("audit", "verify_alert"),
    "backtest": ("backtest", "try_rules"),
    "demo": ("setup", "demo"),
    "baseline": ("baseline", "app"),
    "labels": ("labels", "app"),
    "topics": ("setup", "topics_app"),
    "performance": ("performance", "app"),
    "alerts": ("alerts", "app"),
    "actions": ("actions", "app"),
    "audit": ("audit", "app"),
}


class _Commands(TyperGroup):
    """Imports a command when it is called: a worker needs no modules of other commands.

    Typer has taken click's types into a private package, so they can't be named here.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        readable(self)
        super().format_help(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        found = getattr(import_module(f"tidegauge.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            group = typer.main.get_group(found)
            group.name = cmd_name
            for command in group.commands.values():
                readable(command)
            return readable(group)
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(found)
        return readable(typer.main.get_command(alone))


app = typer.Typer(
    cls=_Commands,
    help="Drift monitoring for models on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidegauge {tidegauge.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    # Logs of Kafka clients are for workers; a command reports their errors itself.
    logging.getLogger("tidegauge").addHandler(logging.NullHandler())


def main() -> None:
    """Run the command line."""
    app()
