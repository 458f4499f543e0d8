"""The audit trail: each fact once, in an unbroken chain for each model. By the two topics alone."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from chaos.judge.findings import Findings, OutputRecord


class Link(NamedTuple):
    """Where a model's chain has come to."""

    seq: int = 0
    hash: str = ""


class Fact(msgspec.Struct):
    """A fact, as far as it is judged."""

    id: str
    event: str
    model: str

    def __str__(self) -> str:
        return f"{self.event} {self.id} of {self.model}"


def judge_trail(
    facts: Iterable[OutputRecord], trail: Iterable[OutputRecord], findings: Findings
) -> None:
    """Hold the trail against the facts that were sent, of which each may have been sent again."""
    sent = _sent(facts)
    heads: dict[str, Link] = {}
    chained: set[str] = set()
    for record in sorted(trail, key=lambda it: (it.partition, it.offset)):
        at, place = record.timestamp_ms / 1000, f"offset {record.offset} of the audit trail"
        try:
            said: dict[str, Any] = json.loads(record.value)
            model, id = str(said["model"]), str(said["id"])
            link = Link(int(said["seq"]), str(said.pop("hash")))
            previous = said["previous"]
        except (ValueError, KeyError) as error:
            findings.add("WRONG", f"{place} can't be read: {error!r}", at=at)
            continue
        before = heads.get(model, Link())
        if (link.seq, previous) != (before.seq + 1, before.hash):
            findings.add(
                "WRONG",
                f"{place} has number {link.seq} after {before.seq} in the chain of {model}, and is "
                f"chained to {previous!r} instead of {before.hash!r}",
                at=at,
            )
        if _hash(said) != link.hash:
            findings.add("WRONG", f"{place} is not what its hash was made of", at=at)
        heads[model] = link
        if id in chained:
            findings.add("DUPLICATED", f"{place} has {id} again", at=at)
        elif said.get("event") == "fact.refused":
            findings.count("refused_facts")
        elif id not in sent:
            findings.add("WRONG", f"{place} has {id}, which nobody has sent", at=at)
        chained.add(id)
    for id, (fact, at) in sent.items():
        if id not in chained:
            findings.add("LOST", f"{fact} is not in the audit trail", at=at)
    findings.count("chained_facts", len(chained))


def _sent(records: Iterable[OutputRecord]) -> dict[str, tuple[Fact, float]]:
    """Return each fact, and when it was first sent; what can't be read is judged elsewhere."""
    found: dict[str, tuple[Fact, float]] = {}
    for record in sorted(records, key=lambda it: (it.partition, it.offset)):
        try:
            fact = msgspec.json.decode(record.value, type=Fact)
        except msgspec.DecodeError:
            continue
        found.setdefault(fact.id, (fact, record.timestamp_ms / 1000))
    return found


def _hash(record: dict[str, Any]) -> str:
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
