"""What the receiver of alerts was told: each at least once and in order, or there is a dead letter.

By the topic of alerts and what came in at the receiver alone.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from chaos.findings import Findings, OutputRecord

#: Of whatever else becomes of an alert, nobody is told.
TOLD_STATES = ("firing", "resolved")

#: What a webhook leaves out, since it shows values.
_LEFT_OUT = ("distribution", "evidence", "top_bins")


class Told(NamedTuple):
    """One request at the receiver: when, epoch seconds, by which key, and its body."""

    at: float
    key: str
    body: bytes


class Due(NamedTuple):
    """An alert that the receiver must be told of, as it was first published."""

    alert: dict[str, Any]
    record: OutputRecord

    @property
    def at(self) -> float:
        return self.record.timestamp_ms / 1000

    def __str__(self) -> str:
        alert = self.alert
        return f"{alert['state']} {alert['rule']} {alert['id']} of {alert['model']}"


def judge_tellings(
    alerts: Iterable[OutputRecord],
    letters: Iterable[OutputRecord],
    told: Sequence[Told],
    findings: Findings,
) -> None:
    """Hold the requests against the alerts; ``letters`` are all records of dead letters."""
    due, offsets = _due(alerts)
    buried = _buried(letters, offsets)
    for id in due.keys() - {one.key for one in told} - buried:
        findings.add("LOST", f"the receiver was never told of {due[id]}", at=due[id].at)
    order: dict[str, list[str]] = defaultdict(list)
    known: set[str] = set()
    for one in told:
        if one.key not in due:
            findings.add("WRONG", f"the receiver was told of {one.key}, which isn't due", at=one.at)
            continue
        if said := _misstated(due[one.key], one.body):
            findings.add("WRONG", f"{due[one.key]} was told with {said}", at=one.at)
        if one.key not in known:
            known.add(one.key)
            order[due[one.key].alert["fingerprint"]].append(one.key)
    expected: dict[str, list[str]] = defaultdict(list)
    for id, alert in due.items():
        if id in known:
            expected[alert.alert["fingerprint"]].append(id)
    for fingerprint, ids in order.items():
        if ids != expected[fingerprint]:
            first = due[expected[fingerprint][0]]
            said = f"in the order {ids} instead of {expected[fingerprint]}"
            findings.add("WRONG", f"alerts of {fingerprint} were told {said}", at=first.at)
    findings.count("alerts_told", len(known))
    findings.count("tellings", len(told))


def _due(records: Iterable[OutputRecord]) -> tuple[dict[str, Due], dict[tuple[int, int], str]]:
    """Return the alerts that are due by their id, in order, and the id at each place."""
    due: dict[str, Due] = {}
    at: dict[tuple[int, int], str] = {}
    for record in sorted(records, key=lambda it: (it.partition, it.offset)):
        alert = json.loads(record.value)
        at[record.partition, record.offset] = alert["id"]
        if alert["state"] in TOLD_STATES:
            due.setdefault(alert["id"], Due(alert, record))
    return due, at


def _buried(letters: Iterable[OutputRecord], ids: dict[tuple[int, int], str]) -> set[str]:
    """Return the ids of alerts of which there are dead letters: those name their receiver."""
    found = set()
    for record in letters:
        letter = json.loads(record.value)
        if letter.get("receiver"):
            found.add(ids.get((letter["partition"], letter["offset"]), ""))
    return found


def _misstated(due: Due, body: bytes) -> str | None:
    """Say which fields of an alert were told otherwise than its topic has them."""
    said = json.loads(body)["alert"]
    differing = [
        name
        for name in sorted(due.alert.keys() | said.keys())
        if name not in _LEFT_OUT and said.get(name) != due.alert.get(name)
    ]
    return f"another {', '.join(differing)}" if differing else None
