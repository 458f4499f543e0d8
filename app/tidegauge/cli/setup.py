"""``tidegauge run`` and ``demo``; ``config`` and ``topics``, which workers need first."""

import json as jsonlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Group
from rich.padding import Padding

from tidegauge.alerting import load_rules, rule_schema
from tidegauge.cli.command import BAD_INPUT, kafka_settings, reported, warn
from tidegauge.cli.printing import PlainConsole, echo, echo_json, folding_table, plain
from tidegauge.config import (
    FileError,
    Settings,
    config_file,
    load_settings,
    load_settings_file,
    parse_document,
)
from tidegauge.contract import counted, duration_text
from tidegauge.kafka import ROLES, Topics, commands, topic_specs
from tidegauge.telemetry import configure_logging

config_app = typer.Typer(help="Files of settings, rules and receivers.", no_args_is_help=True)


class FileKind(StrEnum):
    """The kinds of files."""

    settings = "settings"
    rules = "rules"
    receivers = "receivers"


class _CheckedFile(NamedTuple):
    """What was found in a file: ``names`` of what it has, and what is wrong."""

    kind: FileKind
    names: list[str]
    problems: list[str]
    sha256: str | None = None


@config_app.command("validate")
@reported
def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of settings, rules or receivers; if left out, the settings as a worker "
            "reads them here, and the files they name."
        ),
    ] = None,
    kind: Annotated[
        FileKind | None, typer.Option(help="What they are of; found out if left out.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
) -> None:
    """Find everything that is wrong with files, by line and column; exit with 2 if anything is.

    Secrets that a file of receivers names are read too, so check it where they are.
    """
    if kind is not None and not files:
        raise ValueError(f"--kind {kind.value}: expected a file of that kind")
    wrong = False
    found = ((str(file), _read(file, kind or _kind_of(file))) for file in files or ())
    for file, read in found if files else _in_force():
        wrong = wrong or bool(read.problems)
        if json:
            echo_json(jsonlib.dumps(_as_json(file, read)))
        elif read.problems:
            for problem in read.problems:
                echo(problem, err=True)
        else:
            digest = f"; sha256 {read.sha256}" if read.sha256 else ""
            echo(f"{file}: {_contents(read)}, nothing wrong{digest}")
    if wrong:
        raise typer.Exit(BAD_INPUT)


def _in_force() -> Iterator[tuple[str, _CheckedFile]]:
    """Yield what was found in the settings, those of the environment too, and in their files."""
    file = config_file()
    place = f"{file} and the environment" if file.is_file() else f"the environment, without {file}"
    try:
        settings = load_settings()
    except FileError as error:
        yield place, _CheckedFile(FileKind.settings, [], error.problems)
        return
    yield place, _CheckedFile(FileKind.settings, sorted(settings.model_fields_set), [])
    named = {
        FileKind.rules: settings.detect.rules_file,
        FileKind.receivers: settings.notify.receivers_file,
    }
    for kind, one in named.items():
        if one is not None:
            yield str(one), _read(one, kind)


@config_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of rule files, for editors that complete and check them."""
    echo_json(jsonlib.dumps(rule_schema(), indent=2))


def _kind_of(file: Path) -> FileKind:
    """Return the kind of a file by its keys; one that can't be read is taken for rules.

    A file of rules or receivers has that one key; one of settings, any of the others.
    """
    try:
        _, data, _ = parse_document(file.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        data = None
    keys = set(data) if isinstance(data, dict) else set()
    for kind in (FileKind.receivers, FileKind.rules):
        if kind.value in keys:
            return kind
    known = keys & Settings.model_fields.keys()
    return FileKind.settings if known or file.name == "tidegauge.yaml" else FileKind.rules


def _read(file: Path, kind: FileKind) -> _CheckedFile:
    try:
        if kind is FileKind.rules:
            rules = load_rules(file)
            return _CheckedFile(kind, [rule.name for rule in rules.rules], [], rules.sha256)
        if kind is FileKind.receivers:
            # Imported only for such a file.
            from tidegauge.notify import load_receivers

            return _CheckedFile(kind, [one.name for one in load_receivers(file).receivers], [])
        return _CheckedFile(kind, sorted(load_settings_file(file)), [])
    except FileError as error:
        return _CheckedFile(kind, [], error.problems)


def _contents(read: _CheckedFile) -> str:
    if read.kind is FileKind.settings:
        return f"settings of {', '.join(read.names)}" if read.names else "no settings"
    return counted(len(read.names), read.kind.value.removesuffix("s"))


def _as_json(file: str, read: _CheckedFile) -> dict[str, Any]:
    body: dict[str, Any] = {"file": file, "kind": read.kind.value, "problems": read.problems}
    body[read.kind.value] = read.names
    if read.kind is FileKind.rules:
        body["sha256"] = read.sha256
    return body


topics_app = typer.Typer(help="The Kafka topics.", no_args_is_help=True)


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


@topics_app.command("create")
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


@topics_app.command("acls")
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


class RoleName(StrEnum):
    """The roles a process can have."""

    all = "all"
    ingest = "ingest"
    outcomes = "outcomes"
    detect = "detect"
    notify = "notify"
    ledger = "ledger"


@reported
def run(
    role: Annotated[
        RoleName,
        typer.Option(
            help="What this process does: ingest, outcomes, detect, notify, ledger, or all of it.",
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
