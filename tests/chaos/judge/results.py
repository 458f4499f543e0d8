"""What comes of runs: of each one, and of all together."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chaos.plan.faults import Plan
from chaos.traffic import Sent


@dataclass
class Result:
    """What came of one run."""

    plan: Plan
    #: Findings of the oracle's and of the scenario's.
    findings: list[str] = field(default_factory=list)
    #: What a scenario has measured.
    measured: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    events: int = 0
    sent: Sent | None = None
    #: Ends of workers by themselves, by role.
    restarts: dict[str, int] = field(default_factory=dict)
    #: What was said during the run, and the ends of all logs if it was not exact.
    log: list[str] = field(default_factory=list)
    tails: str = ""

    @property
    def exact(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        if self.exact:
            return self.summary
        return "\n".join([f"NOT EXACT: {len(self.findings)} findings", *self.findings])


def totals(results: list[Result], mutation: str | None = None) -> dict[str, Any]:
    """Return what is printed last: all runs in one record."""
    faults: Counter[str] = Counter()
    restarts: Counter[str] = Counter()
    for result in results:
        faults.update(result.plan.counts())
        restarts.update(result.restarts)
    sent = [result.sent for result in results if result.sent is not None]
    seconds = sum(one.seconds for one in sent)
    found: dict[str, Any] = {
        "runs": len(results),
        "exact": sum(result.exact for result in results),
        "faults": dict(sorted(faults.items())),
        "events": sum(result.events for result in results),
        "rate": round(sum(one.sent for one in sent) / seconds) if seconds else 0,
        "restarts": dict(sorted(restarts.items())),
        "failures": [
            {"seed": result.plan.seed, "findings": result.findings}
            | ({"scenario": result.plan.name} if result.plan.name else {})
            for result in results
            if not result.exact
        ],
    }
    if measured := {one.plan.label: one.measured for one in results if one.plan.name}:
        found["measured"] = measured
    return found if mutation is None else {"mutation": mutation, **found}
