"""The audit trail: facts as they are reported, and the same facts chained by their hashes."""

from typing import Annotated

import msgspec

from tidegauge.contract._base import SCHEMA_VERSION, Record, SchemaVersion, doc

#: Open, so that a reader of today takes the events of later releases.
Event = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+\.[a-z]+$")]


class AuditFact(Record):
    """Who did what, when, why and on which inputs: one for each alert, action and promotion.

    Events are ``alert.`` and its state (``alert.nodata``), ``reminder``, ``raised``, ``resumed`` or
    ``acknowledged``, ``alert.inhibited`` where another rule's alert already reports it (its subject
    is the episode), ``action.requested``, ``action.withheld``, ``action.taken``,
    ``action.failed``, ``baseline.promoted``, ``silence.created`` and ``silence.ended`` (early, by
    somebody), ``rules.changed``, ``receivers.changed``, and ``fact.refused`` for a record
    that is no fact.
    """

    id: Annotated[str, doc("Follows from what the fact is about; the ledger takes each id once.")]
    time: Annotated[int, doc("Epoch seconds.")]
    actor: Annotated[
        str, doc("rule: and a rule's name, user: and a user's, or worker: and a worker's.")
    ]
    event: Annotated[Event, doc("What was done.")]
    subject: Annotated[str, doc("Id of what it happened to.")]
    model: Annotated[
        str, doc("Name of the model; empty for a fact about several, whose input models is a glob.")
    ]
    version: Annotated[str, doc("Version of the model.")]
    reason: Annotated[str, doc("Why.")]
    inputs: Annotated[dict[str, str], doc("What it was based on.")]
    schema_version: SchemaVersion = SCHEMA_VERSION


class AuditRecord(AuditFact, kw_only=True):
    """A fact in the chain of its model: nothing before it can be changed without breaking it."""

    seq: Annotated[int, msgspec.Meta(ge=1), doc("Counts the model's records from 1.")]
    previous: Annotated[str, doc("The hash of the record before it, empty for the first.")]
    hash: Annotated[
        str,
        msgspec.Meta(pattern="^[0-9a-f]{64}$"),
        doc(
            "SHA-256, in hexadecimal, of the record without hash as canonical JSON in UTF-8: "
            "names sorted, no spaces, only what must be is escaped (RFC 8785)."
        ),
    ]
