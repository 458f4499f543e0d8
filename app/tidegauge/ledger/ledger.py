"""LEDGER: chains facts until it is stopped, over any number of sessions."""

import gc
import logging
import threading

from confluent_kafka import KafkaException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random,
)

from tidegauge.bounded import bounded
from tidegauge.ledger.session import Session, SessionError
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, LedgerMetrics

log = logging.getLogger(__name__)

#: Leaving the group takes milliseconds; if the brokers are away, they find out by themselves.
_LEAVE_SECONDS = 5.0


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

    def run(self) -> None:
        """Chain facts until stopped, then leave."""
        self._health.say("ledger", "failed", "joining the consumer group")
        retrying = Retrying(
            retry=retry_if_exception_type((SessionError, KafkaException)),
            wait=wait_random(0.5, 2),
            stop=stop_when_event_set(self._stop),
            sleep=self._sleep,
            before_sleep=self._report,
            retry_error_callback=self._report,
        )
        retrying(self._run_session)

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _run_session(self) -> None:
        # Threads of a producer end when it is collected, and the last session's is in a cycle.
        gc.collect()
        session = Session(
            self._settings, metrics=self._metrics, health=self._health, progress=self._progress
        )
        try:
            session.run(self._stop)
        finally:
            self._leave(session)

    def _leave(self, session: Session) -> None:
        if not self._stop.is_set():
            # To its end: a member that is left behind half-way could keep its partitions.
            session.close()
            return
        try:
            bounded(session.close, _LEAVE_SECONDS)
        except TimeoutError:
            log.warning("the brokers did not answer on leaving: they will notice by themselves")

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self._health.beat("ledger")
        self._progress.lag(0)
        self._health.say("ledger", "failed", f"session ended: {error}; rejoining")
        log.warning("ledger session ended, rejoining from the committed offsets: %s", error)
