"""What DETECT logs of its work: that it works at all, and what came of it.

A log without these lines can't tell a worker that has nothing to do from one that does nothing.
"""

import logging

from tidegauge.contract import Alert, WindowReport, counted, subject, utc_text, with_subject
from tidegauge.windows import Closed

log = logging.getLogger(__name__)

#: Versions of models whose first window is logged; made-up names must not fill a log.
_MOST_VERSIONS = 200

_LOGGED = {"firing": "fires", "raised": "is more severe", "resolved": "is resolved"}


class Lifecycle:
    """Logs the first window of each version of a model, and alerts that fire and end."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._owned: list[int] | None = None

    def passed(self, closed: Closed) -> None:
        """Log what one pass over a partition led to."""
        for report in closed.reports:
            self._first(report)
        for alert in closed.alerts:
            if alert.event in _LOGGED:
                _alert(alert)

    def owned(self, partitions: list[int]) -> None:
        """Log which partitions are owned, if they are others than before."""
        if partitions != self._owned:
            self._owned = partitions
            log.info("owns partitions %s", partitions)

    def _first(self, report: WindowReport) -> None:
        name = (report.model, report.version)
        if name in self._seen or len(self._seen) >= _MOST_VERSIONS:
            return
        self._seen.add(name)
        log.info(
            "first window of %s %s closed: %s to %s, %s",
            *name,
            utc_text(report.window_start),
            utc_text(report.window_end, "%H:%M:%SZ"),
            counted(report.events, "event"),
        )


def _alert(alert: Alert) -> None:
    log.info(
        "alert %s of rule %s %s (%s), %s: %s",
        alert.id[:12],
        alert.rule,
        _LOGGED[alert.event],
        alert.severity,
        subject(alert),
        with_subject(alert).removeprefix(f"{subject(alert)}: "),
    )
