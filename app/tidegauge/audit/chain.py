"""The chain of one model's records: making it, and finding where it breaks. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tidegauge.contract import decode

Kind = Literal["edited", "removed", "reordered", "duplicated", "inserted", "unreadable"]


class Head(NamedTuple):
    """The last record of a chain: its number and its hash."""

    seq: int
    hash: str


#: Numbers of records are below this: what comes after a forged one can be written still.
_END = 2**53

#: Before the first record.
START = Head(0, "")


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
        #: Numbers that were passed over, each range with the place of the break that says so.
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
        except Exception as error:  # whatever it is: nobody can make a chain of this
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
            said = f"record {gap[0]}" if len(gap) == 1 else f"records {gap[0]} to {gap[-1]}"
            self._gaps.append((gap, len(self.breaks)))
            self._break(offset, "removed", f"{said} missing before record {seq}")
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
