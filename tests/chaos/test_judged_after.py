"""The judges of what comes after counting: what is wrong is found, and nothing else."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from chaos.judge.after_counting import judge_after, said
from chaos.judge.deliveries import Delivery
from chaos.judge.findings import OutputRecord

START = 1_750_000_000

Json = dict[str, Any]


def _chained(facts: list[Json]) -> list[Json]:
    """Write the trail a second time, apart from the product and from the judge."""
    heads: dict[str, tuple[int, str]] = {}
    records = []
    for fact in facts:
        seq, previous = heads.get(fact["model"], (0, ""))
        record = {**fact, "seq": seq + 1, "previous": previous}
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        record["hash"] = hashlib.sha256(text.encode()).hexdigest()
        heads[fact["model"]] = seq + 1, record["hash"]
        records.append(record)
    return records


class World:
    """Alerts of two models, each fired and resolved, all told and audited; free to be spoilt."""

    def __init__(self) -> None:
        self.outputs: dict[str, list[Json]] = {
            "alerts_history": [],
            "dead_letters": [],
            "audit_facts": [],
        }
        for state in ("pending", "firing", "resolved"):
            for model in ("m0", "m1"):
                id = f"{model} {state}"
                alert = {"id": id, "fingerprint": f"of {model}", "state": state, "rule": "drift",
                         "model": model, "distribution": {"current": [1]}}  # fmt: skip
                self.outputs["alerts_history"].append(alert)
                fact = {"id": f"audit {id}", "event": f"alert.{state}", "model": model}
                self.outputs["audit_facts"].append(fact)
        self.notified = [it for it in self.outputs["alerts_history"] if it["state"] != "pending"]
        self.outputs["audit"] = _chained(self.outputs["audit_facts"])

    def judge(self) -> tuple[list[str], str]:
        """Return the findings, and what was judged."""
        outputs = {
            kind: [
                OutputRecord(0, i, (START + i) * 1000, json.dumps(record).encode())
                for i, record in enumerate(records)
            ]
            for kind, records in self.outputs.items()
        }
        told = [
            Delivery(START + 60.0 + i, alert["id"], json.dumps({"alert": _shown(alert)}).encode())
            for i, alert in enumerate(self.notified)
        ]
        findings = judge_after(outputs, told, [(START - 5.0, "kill notify-0")])
        return findings.lines(), said(findings)


def _shown(alert: Json) -> Json:
    return {**alert, "distribution": None}


def test_what_is_right_is_no_finding() -> None:
    assert World().judge() == ([], "4 alerts notified, 4 deliveries, 6 chained facts")


def test_what_is_published_or_told_again_is_no_finding() -> None:
    world = World()
    for kind in ("alerts_history", "audit_facts"):
        world.outputs[kind] += world.outputs[kind]
    world.notified += world.notified
    assert world.judge() == ([], "4 alerts notified, 8 deliveries, 6 chained facts")


def test_an_alert_that_is_a_dead_letter_need_not_be_told() -> None:
    world = World()
    at = world.outputs["alerts_history"].index(world.notified.pop(1))
    assert "LOST" in world.judge()[0][0]
    letter = {"topic": "alerts", "partition": 0, "offset": at, "receiver": "hook"}
    world.outputs["dead_letters"].append(letter)
    assert world.judge()[0] == []


def _unchain(world: World) -> None:
    """Remove a record from the middle of a chain, as if it had never been written."""
    del world.outputs["audit"][2]


def _chain_twice(world: World) -> None:
    facts = world.outputs["audit_facts"]
    world.outputs["audit"] = _chained([*facts, facts[0]])


def _fork(world: World) -> None:
    """Write the last record once more, in place of the one that would follow it."""
    last = dict(world.outputs["audit"][-1])
    world.outputs["audit"].append({**last, "id": "another"})


def _edit(world: World) -> None:
    world.outputs["audit"][-1]["event"] = "alert.inactive"


def _invent(world: World) -> None:
    invented = {"id": "audit x", "event": "alert.firing", "model": "m2"}
    world.outputs["audit"] += _chained([invented])


def _garbage(world: World) -> None:
    world.outputs["audit"].append({"id": "x"})


def _tell_out_of_order(world: World) -> None:
    world.notified.reverse()


def _tell_otherwise(world: World) -> None:
    world.notified[0] = {**world.notified[0], "rule": "latency"}


def _tell_of_what_is_pending(world: World) -> None:
    world.notified.append(world.outputs["alerts_history"][0])


def _tell_of_nothing(world: World) -> None:
    world.notified.clear()


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_unchain, "LOST: alert.firing audit m0 firing of m0 is not in the audit trail"),
        (_unchain, "WRONG: offset 3 of the audit trail has number 3 after 1 in the chain of m0"),
        (_chain_twice, "DUPLICATED: offset 6 of the audit trail has audit m0 pending again"),
        (_fork, "WRONG: offset 6 of the audit trail has number 3 after 3 in the chain of m1"),
        (_edit, "WRONG: offset 5 of the audit trail is not what its hash was made of"),
        (_invent, "WRONG: offset 6 of the audit trail has audit x, which nobody has sent"),
        (_garbage, "WRONG: offset 6 of the audit trail can't be read"),
        (_tell_out_of_order, "WRONG: alerts of of m1 were delivered in the order"),
        (_tell_otherwise, "WRONG: firing drift m0 firing of m0 was delivered with another rule"),
        (_tell_of_what_is_pending, "WRONG: the receiver got m0 pending, which isn't due"),
        (_tell_of_nothing, "LOST: the receiver never got resolved drift m1 resolved of m1"),
    ],
)
def test_what_is_wrong_is_found(spoil: Callable[[World], None], what: str) -> None:
    world = World()
    spoil(world)
    found, _ = world.judge()
    assert any(line.startswith(what) for line in found), found
    assert all("after kill notify-0" in line for line in found)
