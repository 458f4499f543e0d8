"""What the ledger remembers of one partition: the heads of its chains and the ids in them. Pure."""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from tidegauge.audit.chain import START, Break, Chain, Head, link
from tidegauge.config import MAX_AUDIT_BYTES
from tidegauge.contract import AuditFact, AuditRecord, DecodingError, decode, deterministic_id

#: Ids that are remembered, the youngest: some 150 MB. A fact is sent again within seconds of a
#: crash, or, if DETECT's changelog is lost, as far back as the histograms go: four days.
IDS = 1_000_000

#: Of a record that is refused, so much of its key is taken for a model, and of what was wrong is
#: said: a refusal always fits its topic.
_SHOWN = 1_000

#: What producing adds to a record: less than this.
_OVERHEAD_BYTES = 1_000


class Origin(NamedTuple):
    """Where a fact was read; ``time`` is when it was written there, epoch seconds."""

    topic: str
    partition: int
    offset: int
    time: int


class Entry(NamedTuple):
    """A record to be written, and its key."""

    model: str
    value: bytes
    refused: bool


class ChainIndex:
    """Chains facts, each id once; :meth:`restore` what is written first."""

    def __init__(self, ids: int = IDS, *, largest: int = MAX_AUDIT_BYTES) -> None:
        self._largest = largest
        self.heads: dict[str, Head] = {}
        self._limit = ids
        # In the order of their coming; a dict is a set that has one.
        self._ids: dict[str, None] = {}
        self._chains: dict[str, Chain] = {}
        self._unreadable: list[tuple[str, Break]] = []

    def restore(self, offset: int, value: bytes) -> None:
        """Take in a record of the audit topic, in the order of the log."""
        try:
            record = decode(value, AuditRecord)
        except DecodingError as error:
            self._unreadable.append(("", Break(offset, "unreadable", str(error))))
            return
        self._chains.setdefault(record.model, Chain()).take(offset, value)
        self._remember(record.id)

    def restored(self) -> list[tuple[str, Break]]:
        """Go on from what was restored; return where chains break, each with its model.

        A chain that breaks goes on from its last record, so that what follows can be verified.
        """
        found = self._unreadable
        for model, chain in self._chains.items():
            self.heads[model] = chain.head
            found += [(model, one) for one in chain.breaks]
        self._chains, self._unreadable = {}, []
        return found

    def take(self, key: bytes | None, value: bytes | None, origin: Origin) -> Entry | None:
        """Chain a fact; None if its id is in the chain already.

        What is no fact is chained as ``fact.refused``: nothing that is sent goes unnoticed.
        """
        try:
            fact = _decoded(value)
            if fact["id"] in self._ids:
                return None
            return self._chain(fact, refused=False)
        except Exception as error:  # whatever it is, it is of this record, and it is chained
            return self.refuse(key, value, origin, str(error) or type(error).__name__)

    def refuse(
        self, key: bytes | None, value: bytes | None, origin: Origin, why: str
    ) -> Entry | None:
        """Chain that a record is no fact; None if that is in the chain already."""
        fact = msgspec.to_builtins(_refusal(key, value or b"", origin, why))
        return None if fact["id"] in self._ids else self._chain(fact, refused=True)

    def _chain(self, fact: dict[str, Any], *, refused: bool) -> Entry:
        """Make the record, and only then take note of it; raises what is wrong with the fact."""
        model = fact["model"]
        record, head = link(fact, self.heads.get(model, START))
        size = len(record) + len(model.encode()) + _OVERHEAD_BYTES
        if size > self._largest:
            raise ValueError(f"chained it has {len(record)} bytes, more than its topic takes")
        self.heads[model] = head
        self._remember(fact["id"])
        return Entry(model, record, refused)

    def _remember(self, id: str) -> None:
        self._ids[id] = None
        if len(self._ids) > self._limit:
            del self._ids[next(iter(self._ids))]


def _decoded(value: bytes | None) -> dict[str, Any]:
    """Return a fact with the fields that later releases may have added to it."""
    fact = decode(value, dict[str, Any])
    known = msgspec.convert(fact, AuditFact)
    return {**dict(_others(fact)), **msgspec.to_builtins(known)}


def _others(fact: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    known = set(AuditRecord.__struct_fields__)
    return ((name, value) for name, value in fact.items() if name not in known)


def _refusal(key: bytes | None, value: bytes, origin: Origin, why: str) -> AuditFact:
    place = f"{origin.topic}/{origin.partition} at offset {origin.offset}"
    return AuditFact(
        id=deterministic_id("refused", *origin[:3]),
        time=origin.time,
        actor="ledger",
        event="fact.refused",
        subject=place,
        model=(key or b"")[:_SHOWN].decode(errors="replace"),
        version="",
        reason=why[:_SHOWN],
        inputs={"sha256": hashlib.sha256(value).hexdigest(), "bytes": str(len(value))},
    )
