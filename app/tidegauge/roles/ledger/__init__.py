"""LEDGER: chains audit facts into a trail that can be verified.

Reads facts and writes records in one transaction; what is chained is :mod:`tidegauge.audit`'s.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.ledger.acknowledged import Acknowledged as Acknowledged
    from tidegauge.roles.ledger.ledger import Ledger as Ledger

face(__name__)
