"""Records of the audit trail, as the ledger writes them."""

from tidegauge.contract.audit import AuditRecord

#: The end of the example's first window.
NOON = 1772366460

_FIGURES = {
    "severity": "medium",
    "variant": "",
    "segment": "",
    "signal": "income",
    "metric": "kl",
    "value": "0.0744",
    "comparison": "above",
    "threshold": "0.05",
    "starts_at": str(NOON - 60),
}


def audited(
    event: str,
    *,
    seq: int,
    time: int | None = None,
    subject: str | None = None,
    actor: str | None = None,
    reason: str = "income has drifted",
    model: str = "credit",
    version: str = "3",
    **inputs: str,
) -> AuditRecord:
    """Return a record of the event; ``time`` in seconds after the example's window began."""
    action = event.startswith("action.")
    said = event in ("action.taken", "action.failed")
    given = ({} if said else _FIGURES) | ({"action": "retrain"} if action else {}) | inputs
    return AuditRecord(
        id=f"fact-{seq}",
        time=NOON if time is None else NOON - 60 + time,
        actor=actor or ("user:ana" if said else "rule:drift"),
        event=event,
        subject=subject or f"subject-{seq}",
        model=model,
        version=version,
        reason=reason,
        inputs=given,
        seq=seq,
        previous="",
        hash="0" * 64,
    )
