"""A trail as it comes about: from a promotion and a change of rules to a retraining."""

from typing import TypeVar

import msgspec

from support.deployment import ROOT
from tidegauge.audit.facts import facts_of
from tidegauge.contract.alert import Acknowledgement
from tidegauge.contract.audit import AuditFact, AuditRecord, Configuration
from tidegauge.contract.silence import Silence

ACTION = "action.requested"
TAKEN = "action.taken"
PROMOTED = "baseline.promoted"
RULES = "rules.changed"
SEEN = "alert.acknowledged"

T = TypeVar("T")

_EXAMPLES = ROOT / "schemas" / "examples"


def facts() -> list[AuditFact]:
    """Return the facts of one episode of the examples; each call makes new ones."""
    asked = _fact("action-requested")
    fired = _fact("alert-firing")
    episode = asked.inputs["episode"] = fired.inputs["episode"] = "97250bc00f19ce890c9081ed4b6558b7"
    resolved = msgspec.structs.replace(
        fired,
        id="resolved",
        event="alert.resolved",
        subject="resolved",
        time=1_772_367_060,
        inputs=dict(fired.inputs),
    )
    seen = _read("silence.acknowledged", Silence)
    seen.since, seen.alert, seen.matchers.episode = 1_772_366_700.0, fired.subject, episode
    rules = _read("configuration.rules", Configuration)
    rules.sha256, rules.source = asked.inputs["rules_sha256"], "rules.yaml"
    rules.time, rules.removed, rules.changed = 1_772_301_600.0, [], ["drift-retrain"]
    taken = msgspec.structs.replace(
        _read("acknowledgement.taken", Acknowledgement),
        action=asked.subject, actor="trainer", time=1_772_370_000.0, note="by night",
        result={"version": "4"}, model="credit", version="3",
    )  # fmt: skip
    said = [fact for one in (seen, rules, taken) for fact in facts_of(one)]
    return [_fact("baseline-promoted"), fired, asked, resolved, *said]


def trail() -> list[AuditRecord]:
    """Return them as records; not chained."""
    return [
        AuditRecord(**msgspec.structs.asdict(fact), seq=1, previous="", hash="0" * 64)
        for fact in facts()
    ]


def _read(name: str, kind: type[T]) -> T:
    return msgspec.json.decode((_EXAMPLES / f"{name}.json").read_bytes(), type=kind)


def _fact(name: str) -> AuditFact:
    return msgspec.json.decode((_EXAMPLES / f"audit-fact.{name}.json").read_bytes(), type=AuditFact)
