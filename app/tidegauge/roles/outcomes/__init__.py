"""OUTCOMES: joins labels with predictions, and writes what it has counted, exactly once.

The topic of outcomes is what it remembers. How labels are joined is decided in
:mod:`tidegauge.outcomes`.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.roles.outcomes.session import Outcomes as Outcomes

face(__name__)
