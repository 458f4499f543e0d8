"""What became of an action, said by whoever was to carry it out."""

from typing import Annotated, Literal

from tidegauge.contract._base import SCHEMA_VERSION, Record, SchemaVersion, deterministic_id, doc
from tidegauge.contract.alert import Action, ActionKind

Outcome = Literal["taken", "failed"]


class Acknowledgement(Record):
    """An action was carried out, or will not be, and why."""

    id: Annotated[
        str,
        doc(
            "Fixed by the action and the outcome, so that a repetition after a crash adds nothing."
        ),
    ]
    action: Annotated[str, doc("Id of the action.")]
    kind: Annotated[ActionKind, doc("Kind of the action.")]
    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[str, doc("Version of the model.")]
    outcome: Annotated[Outcome, doc("taken: the action was carried out; failed: it will not be.")]
    actor: Annotated[str, doc("Who carried it out.")]
    time: Annotated[float, doc("The sender's clock, epoch seconds.")]
    note: Annotated[str, doc("Why, in words.")]
    result: Annotated[
        dict[str, str],
        doc("What the sender wants remembered, such as the version that a retraining made."),
    ]
    schema_version: SchemaVersion = SCHEMA_VERSION


def acknowledge(
    action: Action,
    outcome: Outcome,
    *,
    actor: str,
    time: float,
    note: str,
    result: dict[str, str] | None = None,
) -> Acknowledgement:
    """Say what became of ``action``."""
    return Acknowledgement(
        id=deterministic_id("acknowledgement", action.id, outcome),
        action=action.id,
        kind=action.kind,
        model=action.model,
        version=action.version,
        outcome=outcome,
        actor=actor,
        time=time,
        note=note,
        result=result or {},
    )
