"""The deliveries to the receiver of alerts: each at least once and in order, or a dead letter.

By the topic of alerts and what came in at the receiver alone.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from chaos.judge.findings import Findings, OutputRecord

#: Other states are not delivered.
DELIVERED_STATES = ("firing", "resolved")

#: What a webhook leaves out, since it shows values.
_LEFT_OUT = ("distribution", "evidence", "top_bins")


class Delivery(NamedTuple):
    """One request at the receiver: when, epoch seconds, by which key, and its body."""

    at: float
    key: str
    body: bytes


class Due(NamedTuple):
    """An alert that the receiver must get, as it was first published."""

    alert: dict[str, Any]
    record: OutputRecord

    @property
    def at(self) -> float:
        return self.record.timestamp_ms / 1000

    def __str__(self) -> str:
        alert = self.alert
        return f"{alert['state']} {alert['rule']} {alert['id']} of {alert['model']}"


def judge_deliveries(
    alerts: Iterable[OutputRecord],
    letters: Iterable[OutputRecord],
    deliveries: Sequence[Delivery],
    findings: Findings,
) -> None:
    """Hold the requests against the alerts; ``letters`` are all records of dead letters."""
    due, offsets = _due(alerts)
    buried = _buried(letters, offsets)
    for id in due.keys() - {one.key for one in deliveries} - buried:
        findings.add("LOST", f"the receiver never got {due[id]}", at=due[id].at)
    order: dict[str, list[str]] = defaultdict(list)
    known: set[str] = set()
    for one in deliveries:
        if one.key not in due:
            findings.add("WRONG", f"the receiver got {one.key}, which isn't due", at=one.at)
            continue
        if said := _misstated(due[one.key], one.body):
            findings.add("WRONG", f"{due[one.key]} was delivered with {said}", at=one.at)
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
            findings.add("WRONG", f"alerts of {fingerprint} were delivered {said}", at=first.at)
    findings.count("alerts_notified", len(known))
    findings.count("deliveries", len(deliveries))


def _due(records: Iterable[OutputRecord]) -> tuple[dict[str, Due], dict[tuple[int, int], str]]:
    """Return the alerts that are due by their id, in order, and the id at each place."""
    due: dict[str, Due] = {}
    at: dict[tuple[int, int], str] = {}
    for record in sorted(records, key=lambda it: (it.partition, it.offset)):
        alert = json.loads(record.value)
        at[record.partition, record.offset] = alert["id"]
        if alert["state"] in DELIVERED_STATES:
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
    """Say which fields of an alert differ between the delivery and the topic."""
    said = json.loads(body)["alert"]
    differing = [
        name
        for name in sorted(due.alert.keys() | said.keys())
        if name not in _LEFT_OUT and said.get(name) != due.alert.get(name)
    ]
    return f"another {', '.join(differing)}" if differing else None
