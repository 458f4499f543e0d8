"""``tidegauge actions``: requested actions, their outcomes, and acknowledging one."""

import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Group

from tidegauge.cli.command import actor_or_user, kafka_settings, of_model, only, reported, skipping
from tidegauge.cli.printing import (
    PlainConsole,
    echo,
    echo_json,
    folding_table,
    plain,
    short,
    table_time,
)
from tidegauge.config import Settings
from tidegauge.contract import (
    Acknowledgement,
    Action,
    acknowledge,
    source_of,
    subject,
    wrap,
)
from tidegauge.kafka import RecordWriter, read_topic

app = typer.Typer(help="Actions that alerts requested.", no_args_is_help=True)

T = TypeVar("T", Action, Acknowledgement)

_COLOURS = {"open": "yellow", "taken": "green", "failed": "red"}


class OutcomeName(StrEnum):
    """What may become of an action."""

    taken = "taken"
    failed = "failed"


class RequestedAction(msgspec.Struct):
    """An action, and every acknowledgement of it in the order of the topic."""

    action: Action
    acknowledgements: list[Acknowledgement]

    @property
    def status(self) -> str:
        """What the last acknowledgement said; open without one."""
        return self.acknowledgements[-1].outcome if self.acknowledgements else "open"


def joined(
    actions: Iterable[Action], acknowledgements: Iterable[Acknowledgement]
) -> list[RequestedAction]:
    """Put acknowledgements to their actions; what was sent twice counts once."""
    found = {action.id: RequestedAction(action, []) for action in actions}
    for one in {one.id: one for one in acknowledgements}.values():
        if one.action in found:
            found[one.action].acknowledgements.append(one)
    return list(found.values())


@app.command("list")
@reported
def show(
    model: Annotated[str | None, typer.Option(help="Of this model only.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Not acknowledged yet.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List actions, oldest first, each with what became of it."""
    known = _requested(kafka_settings())
    listed = [
        one
        for one in known
        if (model is None or one.action.model == model) and not (only_open and one.acknowledgements)
    ]
    if json:
        for one in listed:
            echo_json(one)
        return
    if not listed:
        nothing = "no action is open" if only_open else "no action was ever requested"
        echo(nothing + of_model(model, (one.action.model for one in known), "action"))
        return
    # Reason and status stand in one column: each by itself would break the names of models.
    table = folding_table("requested", "id", "action", "reason and status", whole=("id", "action"))
    for one in listed:
        action = one.action
        last = one.acknowledgements[-1] if one.acknowledgements else None
        status = f"{one.status} by {last.actor}" if last else one.status
        if last and last.note:
            status += f": {last.note}"
        table.add_row(
            table_time(action.requested_at),
            short(action.id),
            plain(f"{action.kind}{' (dry run)' if action.dry_run else ''}"),
            Group(plain(_reason(action)), plain(status, _COLOURS.get(one.status, ""))),
        )
    PlainConsole().print(table)


def _reason(action: Action) -> str:
    """Return the reason, which names the model and version itself as a rule, and of what it is."""
    rest = action.reason.removeprefix(f"{action.model} {action.version}")
    begins_so = rest != action.reason and rest.startswith((" ", ":"))
    return subject(action) + (rest if begins_so else f": {action.reason}")


@app.command("ack")
@reported
def ack(
    id: Annotated[str, typer.Argument(help="Of the action, or the beginning of it.")],
    outcome: Annotated[OutcomeName, typer.Option(help="What became of it.")] = OutcomeName.taken,
    note: Annotated[str, typer.Option(help="For those who read it later.")] = "",
    actor: Annotated[str, typer.Option(help="Who does it; you, if left out.")] = "",
    json: Annotated[bool, typer.Option("--json", help="The record as it was sent.")] = False,
) -> None:
    """Record what became of an action that a person has carried out, or decided not to."""
    settings = kafka_settings()
    actions = [one.action for one in _requested(settings)]
    sent = acknowledge(
        only(actions, id, "action", lambda one: [one.id], see="tidegauge actions list"),
        outcome.value,
        actor=actor_or_user(actor),
        time=time.time(),
        note=note,
    )
    sender = RecordWriter(settings.kafka, settings.topics.acknowledgements, "acknowledgements")
    value, headers = wrap(sent, source_of(sent.actor), settings.topics.cloudevents)
    sender.write(value, sent.action, headers)
    if json:
        echo_json(sent)
    else:
        echo(f"{sent.kind} of {sent.model} {sent.version}: {sent.outcome}")


def _requested(settings: Settings) -> list[RequestedAction]:
    topics = settings.topics
    with skipping() as skipped:
        return joined(
            read_topic(settings.kafka, topics.actions, Action, skipped),
            read_topic(settings.kafka, topics.acknowledgements, Acknowledgement, skipped),
        )
