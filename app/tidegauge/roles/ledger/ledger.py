"""LEDGER: chains facts until it is stopped, over any number of sessions."""

import logging
import threading

from tidegauge.config import Settings
from tidegauge.kafka import run_sessions
from tidegauge.roles.ledger.session import Session, SetAside
from tidegauge.telemetry import Health, LedgerMetrics, RecordFaults

log = logging.getLogger(__name__)


class Ledger:
    """``run`` works until the stop event is set; whatever ends a session, the next one begins."""

    def __init__(
        self, settings: Settings, *, metrics: LedgerMetrics, health: Health, stop: threading.Event
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._progress = health.progress("ledger", done="chained")
        self._aside = SetAside()
        topics = (settings.topics.audit_facts,)
        self._faults = RecordFaults(metrics.records_set_aside, health, topics)

    def run(self) -> None:
        """Chain facts until stopped, then leave."""
        self._health.say("ledger", "failed", "joining the consumer group")
        run_sessions(self._begin, self._stop, failed=self._report)

    def _begin(self) -> Session:
        return Session(
            self._settings,
            metrics=self._metrics,
            health=self._health,
            progress=self._progress,
            aside=self._aside,
            faults=self._faults,
        )

    def _report(self, error: object) -> None:
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self._health.beat("ledger")
        self._progress.lag(0)
        self._health.say("ledger", "failed", f"session ended: {error}; rejoining")
        log.warning("ledger session ended, rejoining from the committed offsets: %s", error)
