"""The chains of the audit trail: making them, and finding where they break. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from tidegauge.config import MAX_AUDIT_BYTES
from tidegauge.contract import AuditFact, AuditRecord, DecodingError, decode, deterministic_id

Kind = Literal["edited", "removed", "reordered", "duplicated", "inserted", "unreadable"]


class Head(NamedTuple):
    """The last record of a chain: its number and its hash."""

    seq: int
    hash: str


#: Numbers of records are below this, so that records after a forged one can still be written.
_END = 2**53

#: Before the first record.
START = Head(0, "")

#: Ids that are remembered, the youngest: some 150 MB. A fact is sent again within seconds of a
#: crash, or, if DETECT's changelog is lost, as far back as the histograms go: four days.
IDS = 1_000_000

#: Characters of a refused record's key and of the reason that are kept: a refusal always fits its
#: topic.
_SHOWN = 1_000

#: What producing adds to a record: less than this.
_OVERHEAD_BYTES = 1_000


class Break(NamedTuple):
    """Where a chain breaks: at which record of which offset, how, and what was found there."""

    offset: int
    kind: Kind
    detail: str


def canonical(record: Mapping[str, Any]) -> bytes:
    """Encode as canonical JSON.

    >>> canonical({"b": "é", "a": {"d": 1, "c": None}}).decode()
    '{"a":{"c":null,"d":1},"b":"é"}'
    """
    return json.dumps(
        record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 over a record without its ``hash``, in hexadecimal."""
    hashed = {name: value for name, value in record.items() if name != "hash"}
    return hashlib.sha256(canonical(hashed)).hexdigest()


def link(fact: Mapping[str, Any], head: Head) -> tuple[bytes, Head]:
    """Chain a fact to the last record; return its record as it is written, and the new head.

    >>> record, head = link({"id": "a"}, START)
    >>> head.seq, json.loads(record)["previous"]
    (1, '')
    """
    record = {**fact, "seq": head.seq + 1, "previous": head.hash}
    new = Head(head.seq + 1, digest(record))
    return canonical({**record, "hash": new.hash}), new


class Chain:
    """Verifies the records of one model, given in the order of the log."""

    def __init__(self) -> None:
        self.head = START
        self.breaks: list[Break] = []
        #: By number, the hash of every record so far.
        self._hashes: dict[int, str] = {}
        #: Numbers that were passed over: each range with the index of its break.
        self._gaps: list[tuple[range, int]] = []

    def take(self, offset: int, value: bytes) -> None:
        """Verify the next record, and add to ``breaks`` what is wrong with it."""
        try:
            record = decode(value, dict[str, Any])
            seq, previous, hashed = int(record["seq"]), record["previous"], str(record["hash"])
            if not 0 < seq < _END:
                raise ValueError(f"{seq} is no number of a record")
            # Its bytes too: of a name that is there twice, readers may take either value.
            sound = digest(record) == hashed and canonical(record) == value
        except Exception as error:  # whatever it is, it is no record of a chain
            self._break(offset, "unreadable", f"no record of a chain: {error!r}")
            return
        if seq <= self.head.seq:
            self._again(offset, seq, hashed, sound=sound)
            return
        if not sound:
            self._break(offset, "edited", f"record {seq} is not the one that its hash was made of")
            # Its number may be what was edited: it stands for the one that belongs here.
            seq = self.head.seq + 1
        elif seq == self.head.seq + 1 and previous != self.head.hash:
            detail = f"record {seq} was chained to another record {seq - 1} than the one before it"
            self._break(offset, "edited", detail)
        if seq > self.head.seq + 1:
            gap = range(self.head.seq + 1, seq)
            missing = f"record {gap[0]}" if len(gap) == 1 else f"records {gap[0]} to {gap[-1]}"
            self._gaps.append((gap, len(self.breaks)))
            self._break(offset, "removed", f"{missing} missing before record {seq}")
        self._hashes[seq] = hashed
        self.head = Head(seq, hashed)

    def _again(self, offset: int, seq: int, hashed: str, *, sound: bool) -> None:
        if not sound:
            self._break(offset, "edited", f"record {seq} is not the one that its hash was made of")
        elif seq not in self._hashes and (at := self._gap(seq)) is not None:
            there = f"record {seq} comes after record {self.head.seq}"
            self.breaks[at] = Break(self.breaks[at].offset, "reordered", there)
            self._hashes[seq] = hashed
        elif self._hashes.get(seq) == hashed:
            self._break(offset, "duplicated", f"record {seq} is there twice")
        else:
            self._break(offset, "inserted", f"there is another record {seq} before it")

    def _gap(self, seq: int) -> int | None:
        return next((at for gap, at in self._gaps if seq in gap), None)

    def _break(self, offset: int, kind: Kind, detail: str) -> None:
        self.breaks.append(Break(offset, kind, detail))


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
    """Chains facts, each id once; first :meth:`restore` the records that are written."""

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
        """Continue after the restored records; return where chains break, each with its model.

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

        A record that is no fact is chained as ``fact.refused``: nothing goes unnoticed.
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
        """Make the record, and only then remember it; raises if the fact is wrong."""
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
    known = msgspec.to_builtins(msgspec.convert(fact, AuditFact))
    others = {name: it for name, it in fact.items() if name not in AuditRecord.__struct_fields__}
    return {**others, **known}


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
