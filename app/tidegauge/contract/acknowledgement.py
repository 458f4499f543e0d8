"""What became of an action, said by whoever was to carry it out."""

from typing import Literal

from tidegauge.contract._base import SCHEMA_VERSION, Record, deterministic_id
from tidegauge.contract.alert import Action, ActionKind

Outcome = Literal["taken", "failed"]


class Acknowledgement(Record):
    """An action was carried out (``taken``), or will not be (``failed``), and why.

    ``id`` is fixed by the action and the outcome, so that saying it again after a crash adds
    nothing. ``time`` is the sender's clock, epoch seconds. ``result`` is what the sender wants
    remembered, such as the version that came out of a retraining.
    """

    id: str
    action: str
    kind: ActionKind
    model: str
    version: str
    outcome: Outcome
    actor: str
    time: float
    note: str
    result: dict[str, str]
    schema_version: int = SCHEMA_VERSION


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
