"""``tidegauge topics``: making the topics as they must be."""

from typing import Annotated

import typer
from rich.table import Table

from tidegauge.acls import ROLES, commands
from tidegauge.cli._errors import reported
from tidegauge.cli._kafka import kafka_settings
from tidegauge.cli._print import PlainConsole, echo
from tidegauge.printable import printable_lines
from tidegauge.settings import load_settings
from tidegauge.topics import Topics, topic_specs

app = typer.Typer(help="The Kafka topics.", no_args_is_help=True)


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


@app.command("acls")
@reported
def acls(
    role: Annotated[str, typer.Option(help="Of this role only; all, if left out.")] = "",
    principal: Annotated[
        str, typer.Option(help="Who it is to Kafka, as User:NAME; ROLE stands for the role.")
    ] = "User:tidegauge-ROLE",
) -> None:
    """Show the commands that allow each role what it does in Kafka, for brokers with ACLs."""
    if role and role not in ROLES:
        raise ValueError(f"there is no role {role}; roles are {', '.join(ROLES)}")
    settings = load_settings()
    for one in [it for it in ROLES if role in ("", it)]:
        for command in commands(settings, one, principal.replace("ROLE", one)):
            echo(command)
