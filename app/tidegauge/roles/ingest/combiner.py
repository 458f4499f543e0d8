"""The transactional combiner: raw events in, mergeable histograms out, exactly once.

It works in sessions. Whatever ends one, everything in memory is dropped and counting begins again
at the committed offsets.
"""

import logging
import threading
import time
from collections.abc import Callable

from tidegauge.config import Settings
from tidegauge.counting import Admission, Promoted
from tidegauge.kafka import run_sessions
from tidegauge.roles.ingest.backstop import Backstop
from tidegauge.roles.ingest.conditions import OverflowNotice, SourceCondition
from tidegauge.roles.ingest.dead_letters import DeadLetterWriter
from tidegauge.roles.ingest.session import Session
from tidegauge.telemetry import Health, IngestMetrics, RecordFaults

log = logging.getLogger(__name__)


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
        self._letters = DeadLetterWriter(
            topic=settings.topics.dead_letters, metrics=metrics, health=health, clock=monotonic
        )
        # A session that begins anew must not give the slots of sound models to a flood.
        self._admission = Admission(settings.ingest, monotonic)
        self._overflow = OverflowNotice(metrics=metrics, health=health, clock=monotonic)
        topic = settings.topics.predictions
        faults = RecordFaults(metrics.records_set_aside, health, (topic,))
        self._backstop = Backstop(topic, faults)

        self._condition = SourceCondition(
            settings.topics.predictions, metrics=metrics, health=health, monotonic=monotonic
        )

    def run(self) -> None:
        """Count until stopped; then flush, commit and leave."""
        self._health.report("ingest", "failed", "joining the consumer group")
        run_sessions(self._begin, self._stop, failed=self._report)

    def _begin(self) -> Session:
        return Session(
            self._settings,
            promoted=self._promoted,
            baselines_age=self._baselines_age,
            metrics=self._metrics,
            health=self._health,
            progress=self._progress,
            letters=self._letters,
            condition=self._condition,
            admission=self._admission,
            overflow=self._overflow,
            backstop=self._backstop,
            clock=self._clock,
            monotonic=self._monotonic,
        )

    def _report(self, error: object) -> None:
        self._metrics.aborted.inc()
        # Trying again is work: an outage of the brokers is no reason to restart the process.
        self._health.beat("ingest")
        self._progress.lag(0)
        self._health.report("ingest", "failed", f"session ended: {error}; rejoining")
        log.warning("ingest session ended, rejoining from the committed offsets: %s", error)
