"""What comes after counting: who was told of alerts, and what is in the audit trail."""

from collections.abc import Mapping, Sequence

from chaos.findings import Findings, OutputRecord
from chaos.judged_tellings import Told, judge_tellings
from chaos.judged_trail import judge_trail


def judge_after(
    outputs: Mapping[str, list[OutputRecord]],
    told: Sequence[Told],
    faults: list[tuple[float, str]],
) -> Findings:
    """Judge what NOTIFY and LEDGER have made of what is on the topics of alerts and facts."""
    findings = Findings(faults)
    judge_tellings(outputs["alerts_history"], outputs["dead_letters"], told, findings)
    judge_trail(outputs["audit_facts"], outputs["audit"], findings)
    return findings


def said(findings: Findings) -> str:
    """Return what was judged, in words."""
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in findings.counts.items())
