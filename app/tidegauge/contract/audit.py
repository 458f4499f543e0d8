"""The audit trail: facts, the same facts chained by their hashes, and the active configuration."""

from typing import Annotated, Literal

import msgspec

from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, deterministic_id, doc

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


ConfigurationKind = Literal["rules", "receivers"]


class Configuration(Record):
    """Rules (or receivers) that a worker found active and that were not before."""

    id: Annotated[
        str,
        doc(
            "Follows from what it came after, so that workers that read the same file report the "
            "same."
        ),
    ]
    kind: Annotated[ConfigurationKind, doc("What changed.")]
    time: Annotated[float, doc("When the first worker noticed, epoch seconds.")]
    actor: Annotated[str, doc("The first worker that noticed.")]
    source: Annotated[str, doc("The file.")]
    sha256: Annotated[str, doc("SHA-256 of all entries; of the rule file, as alerts name it.")]
    previous_sha256: Annotated[str, doc("That of what was active before, empty if unknown.")]
    entries: Annotated[dict[str, str], doc("SHA-256 of each rule or receiver, by name.")]
    added: Annotated[list[str], doc("Names of new entries.")]
    removed: Annotated[list[str], doc("Names of entries that are gone.")]
    changed: Annotated[list[str], doc("Names of entries that differ.")]
    schema_version: SchemaVersion = SCHEMA_VERSION


def configuration_after(
    before: Configuration | None,
    *,
    kind: ConfigurationKind,
    sha256: str,
    entries: dict[str, str],
    source: str,
    actor: str,
    time: float,
) -> Configuration | None:
    """Return the record of what became active after ``before``; None if that is still active.

    >>> first = configuration_after(
    ...     None, kind="rules", sha256="a", entries={"drift": "1", "slow": "2"},
    ...     source="rules.yaml", actor="worker:one", time=0.0)
    >>> second = configuration_after(
    ...     first, kind="rules", sha256="b", entries={"drift": "3", "late": "4"},
    ...     source="rules.yaml", actor="worker:one", time=60.0)
    >>> second.previous_sha256, second.added, second.removed, second.changed
    ('a', ['late'], ['slow'], ['drift'])
    """
    if before is not None and before.sha256 == sha256:
        return None
    was = {} if before is None else before.entries
    return Configuration(
        id=deterministic_id("configuration", kind, "" if before is None else before.id, sha256),
        kind=kind,
        time=time,
        actor=actor,
        source=source,
        sha256=sha256,
        previous_sha256="" if before is None else before.sha256,
        entries=entries,
        added=sorted(entries.keys() - was.keys()),
        removed=sorted(was.keys() - entries.keys()),
        changed=sorted(name for name in entries.keys() & was.keys() if entries[name] != was[name]),
    )
