"""``tidegauge topics``: making the topics as they must be."""

import typer
from rich.table import Table

from tidegauge.cli._errors import reported
from tidegauge.cli._kafka import kafka_settings
from tidegauge.cli._print import PlainConsole
from tidegauge.printable import printable_lines
from tidegauge.topics import Topics, topic_specs

app = typer.Typer(help="The Kafka topics.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep ``create`` a subcommand: Typer would make a single command the whole group."""


@app.command("create")
@reported
def create() -> None:
    """Make the topics that are missing, with the right partitions, retention and compaction."""
    settings = kafka_settings()
    topics = Topics(settings)
    made = topics.create()
    table = Table("topic", "partitions", "settings", "")
    for spec in topic_specs(settings):
        config = ", ".join(f"{name}={value}" for name, value in spec.config.items())
        there = "made" if made[spec.name] else "was there"
        table.add_row(spec.name, str(spec.partitions), config, there)
    PlainConsole().print(table)
    for problem in topics.problems():
        typer.secho(printable_lines(f"warning: {problem}"), err=True, fg="yellow")
