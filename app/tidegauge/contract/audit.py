"""The audit trail: facts as they are reported, and the same facts chained by their hashes."""

from typing import Annotated

import msgspec

from tidegauge.contract._base import SCHEMA_VERSION, Record

#: Open, so that a reader of today takes the events of later releases.
Event = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+\.[a-z]+$")]


class AuditFact(Record):
    """Who did what, when, why and on which inputs: one for each alert, action and promotion.

    ``id`` follows from what the fact is about; the ledger takes each id once. ``time`` is epoch
    seconds. ``actor`` is ``rule:`` and a rule's name, or ``user:`` and a user's. Events are
    ``alert.`` and its state (``alert.nodata``), ``reminder``, ``raised``, ``resumed`` or
    ``acknowledged``, ``alert.inhibited`` where another rule's alert says it already (its subject is
    the episode), ``action.requested``, ``action.withheld``, ``action.taken``, ``action.failed``,
    ``baseline.promoted``, ``silence.created`` and ``silence.ended`` (by somebody, before its time),
    ``rules.changed``, ``receivers.changed``, and ``fact.refused`` for a record that is no fact.
    ``subject`` is the id of what it happened to. A fact about several models has no ``model``, and
    its input ``models`` is a glob.
    """

    id: str
    time: int
    actor: str
    event: Event
    subject: str
    model: str
    version: str
    reason: str
    inputs: dict[str, str]
    schema_version: int = SCHEMA_VERSION


class AuditRecord(AuditFact, kw_only=True):
    """A fact in the chain of its model: nothing before it can be changed without breaking it.

    ``seq`` counts the model's records from 1. ``previous`` is the ``hash`` of the record before it,
    "" for the first. ``hash`` is the SHA-256, in hexadecimal, of the record without ``hash`` as
    canonical JSON in UTF-8: names sorted, no spaces, only what must be is escaped (RFC 8785).
    """

    seq: Annotated[int, msgspec.Meta(ge=1)]
    previous: str
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
