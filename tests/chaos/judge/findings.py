"""What a judgement says: findings with the fault that preceded, and the verdict of a run."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

Kind = Literal["LOST", "DUPLICATED", "WRONG"]

#: One fault can spoil hundreds of windows; these many findings say enough.
MOST_FINDINGS = 40


class OutputRecord(NamedTuple):
    """One record of an output topic, as a reader of committed records sees it."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes


@dataclass
class Verdict:
    """What a run has come to. ``summary`` counts what was judged and what was found."""

    findings: list[str]
    events: int
    windows: int
    summary: dict[str, int]

    @property
    def exact(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        if not self.exact:
            return "\n".join(self.findings)
        rest = ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in self.summary.items()
        )
        return f"EXACT: {self.windows:,} windows, {self.events:,} events, {rest}"


@dataclass
class Findings:
    """Gathers findings; each names the last fault that began before what it is about."""

    faults: list[tuple[float, str]]
    said: list[tuple[float, Kind, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, what: str, *, at: float) -> None:
        """Say that something is lost, duplicated or wrong; ``at`` is when, epoch seconds."""
        self.said.append((at, kind, what))

    def count(self, name: str, number: int = 1) -> None:
        """Count what was judged, for the summary."""
        self.counts[name] += number

    def by_kind(self) -> dict[Kind, int]:
        """Return how many findings there are of each kind."""
        found = Counter(kind for _, kind, _ in self.said)
        return {"LOST": found["LOST"], "DUPLICATED": found["DUPLICATED"], "WRONG": found["WRONG"]}

    def lines(self) -> list[str]:
        """Return the findings in order of time, and how many more there are than are said."""
        faults = sorted(self.faults)
        times = [began for began, _ in faults]
        lines = []
        for at, kind, what in sorted(self.said)[:MOST_FINDINGS]:
            number = bisect_right(times, at)
            if number:
                began, fault = faults[number - 1]
                after = f"after {fault} at {_clock(began)}, {at - began:.1f} s before"
            else:
                after = "before any fault"
            lines.append(f"{kind}: {what} ({after})")
        more = Counter(kind for _, kind, _ in sorted(self.said)[MOST_FINDINGS:])
        if more:
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(more.items()))
            lines.append(f"and {more.total()} more: {kinds}")
        return lines


def _clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}"


class Named(Protocol):
    """What an output topic carries; its text says what it is about."""

    id: str


T = TypeVar("T", bound=Named)


class Copies(NamedTuple, Generic[T]):
    """One id: where it appeared first, and every different content it came with."""

    first: OutputRecord
    contents: list[T]


def read_output(
    records: Iterable[OutputRecord], what: type[T], name: str, findings: Findings
) -> dict[str, Copies[T]]:
    """Decode records by their id, in order of first appearance.

    Whatever is sent again must be the same byte for byte; what differs is a finding.
    """
    decoder = msgspec.json.Decoder(what)
    values: dict[str, list[bytes]] = {}
    found: dict[str, Copies[T]] = {}
    for record in sorted(records, key=lambda it: (it.partition, it.offset)):
        at = record.timestamp_ms / 1000
        try:
            content = decoder.decode(record.value)
        except msgspec.DecodeError as error:
            where = f"partition {record.partition} offset {record.offset}"
            findings.add("WRONG", f"{name} at {where} can't be read: {error}", at=at)
            continue
        findings.count(f"{name}_records")
        known = values.setdefault(content.id, [])
        if content.id not in found:
            found[content.id] = Copies(record, [content])
        elif record.value in known:
            findings.count("sent_again")
            continue
        else:
            found[content.id].contents.append(content)
            fields = ", ".join(_differing(known[0], record.value))
            findings.add(
                "WRONG", f"{name} {content} was sent again with a different {fields}", at=at
            )
        known.append(record.value)
    return found


def _differing(a: bytes, b: bytes) -> list[str]:
    one, other = msgspec.json.decode(a), msgspec.json.decode(b)
    names = sorted(one.keys() | other.keys())
    return [name for name in names if one.get(name, math.nan) != other.get(name, math.nan)] or [
        "order of fields"
    ]
