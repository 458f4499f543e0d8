"""The transactional combiner: raw events in, mergeable histograms out, exactly once.

It works in sessions. Whatever ends one, everything in memory is dropped and counting begins again
at the committed offsets.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random,
)

from tidegauge.bounded import bounded
from tidegauge.ingest.counter import Promoted
from tidegauge.ingest.letters import Letters
from tidegauge.ingest.session import Session, SessionError
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, IngestMetrics

log = logging.getLogger(__name__)

#: Leaving the group takes milliseconds; if the brokers are away, they find out by themselves.
LEAVE_SECONDS = 5.0


class Combiner:
    """INGEST. ``run`` works until the stop event is set, over any number of sessions."""

    def __init__(
        self,
        settings: Settings,
        *,
        promoted: Callable[[], Promoted],
        baselines_age: Callable[[], float],
        metrics: IngestMetrics,
        health: Health,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._promoted = promoted
        self._baselines_age = baselines_age
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._clock = clock
        self._monotonic = monotonic
        self._progress = health.progress("ingest", done="counted")
        self._letters = Letters(
            topic=settings.topics.dead_letters, metrics=metrics, health=health, clock=monotonic
        )

    def run(self) -> None:
        """Count until stopped; then flush, commit and leave."""
        self._health.say("ingest", "failed", "joining the consumer group")
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
            self._settings,
            promoted=self._promoted,
            baselines_age=self._baselines_age,
            metrics=self._metrics,
            health=self._health,
            progress=self._progress,
            letters=self._letters,
            clock=self._clock,
            monotonic=self._monotonic,
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
            bounded(session.close, LEAVE_SECONDS)
        except TimeoutError:
            log.warning("the brokers did not answer on leaving: they will notice by themselves")

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        self._metrics.aborted.inc()
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self._health.beat("ingest")
        self._progress.lag(0)
        self._health.say("ingest", "failed", f"session ended: {error}; rejoining")
        log.warning("ingest session ended, rejoining from the committed offsets: %s", error)
