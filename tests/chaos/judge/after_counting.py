"""What comes after counting: deliveries to receivers, and what is in the audit trail."""

from collections.abc import Mapping, Sequence

from chaos.judge.deliveries import Delivery, judge_deliveries
from chaos.judge.findings import Findings, OutputRecord
from chaos.judge.trail import judge_trail


def judge_after(
    outputs: Mapping[str, list[OutputRecord]],
    deliveries: Sequence[Delivery],
    faults: list[tuple[float, str]],
) -> Findings:
    """Judge what NOTIFY and LEDGER have made of what is on the topics of alerts and facts."""
    findings = Findings(faults)
    judge_deliveries(outputs["alerts_history"], outputs["dead_letters"], deliveries, findings)
    judge_trail(outputs["audit_facts"], outputs["audit"], findings)
    return findings


def said(findings: Findings) -> str:
    """Return what was judged, in words."""
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in findings.counts.items())
