"""``tidegauge topics``: create the topics, and show the ACLs for the roles."""

from typing import Annotated

import typer
from rich.console import Group
from rich.padding import Padding

from tidegauge.cli._command import kafka_settings, reported, warn
from tidegauge.cli._print import PlainConsole, echo, folding_table, plain
from tidegauge.config import load_settings
from tidegauge.contract import duration_text
from tidegauge.kafka import ROLES, Topics, commands, topic_specs

app = typer.Typer(help="The Kafka topics.", no_args_is_help=True)


def _setting(name: str, value: str) -> str:
    """Write a setting of a topic with its unit.

    >>> _setting("retention.ms", "345600000"), _setting("retention.bytes", "-1")
    ('retention 4 d', 'retention.bytes unlimited')
    >>> _setting("max.message.bytes", "8388608"), _setting("cleanup.policy", "compact")
    ('max.message 8 MiB', 'cleanup.policy compact')
    """
    if value == "-1":
        return f"{name} unlimited"
    if name.endswith(".ms"):
        return f"{name.removesuffix('.ms')} {duration_text(int(value) / 1000)}"
    if name.endswith(".bytes") and int(value) % 2**20 == 0:
        return f"{name.removesuffix('.bytes')} {int(value) // 2**20} MiB"
    return f"{name} {value}"


@app.command("create")
@reported
def create() -> None:
    """Create the topics that are missing, with the right partitions, retention and compaction."""
    settings = kafka_settings()
    topics = Topics(settings)
    made = topics.create()
    # The settings stand below the name: beside it, they would force it to break.
    table = folding_table(
        "topic and settings", "partitions", "", whole=("partitions", ""), right=("partitions",)
    )
    for spec in topic_specs(settings):
        config = ", ".join(_setting(name, value) for name, value in spec.config.items())
        there = "made" if made[spec.name] else "was there"
        below = [Padding(plain(config, "dim"), (0, 0, 0, 2))] if config else []
        table.add_row(Group(plain(spec.name), *below), f"{spec.partitions:,}", there)
    PlainConsole().print(table)
    for problem in topics.problems():
        warn(problem, fg="yellow")


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
            echo(command, wrap=False)
