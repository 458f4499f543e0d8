"""LEDGER: chains the facts that anybody reports into an audit trail that can be verified.

``chain`` and ``book`` are pure; ``session`` reads facts and writes records in one transaction;
``acknowledged`` hands on what others say, ``words`` makes facts of it.
"""

from tidegauge.ledger.acknowledged import Acknowledged
from tidegauge.ledger.chain import Break, Chain
from tidegauge.ledger.facts import NotAudited, report
from tidegauge.ledger.ledger import Ledger
from tidegauge.ledger.read import StoredRecord, read_audit

__all__ = [
    "Acknowledged",
    "Break",
    "Chain",
    "Ledger",
    "NotAudited",
    "StoredRecord",
    "read_audit",
    "report",
]
