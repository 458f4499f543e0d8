"""Whether the topics are still as they must be, looked at beside the work of a worker."""

import logging
import threading

from confluent_kafka import KafkaException

from tidegauge.config import Settings
from tidegauge.kafka.topics import Topics
from tidegauge.telemetry import CommonMetrics, Health

log = logging.getLogger(__name__)

#: How often: what somebody has mended should be well in ``/readyz`` soon.
LOOK_SECONDS = 60.0


class TopicWatch:
    """Says in the condition ``topic_settings`` and in the log what is wrong with them."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: CommonMetrics,
        health: Health,
        stop: threading.Event,
    ) -> None:
        self._topics = Topics(settings)
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._known: set[str] = set()

    def run(self) -> None:
        """Look now, and then every :data:`LOOK_SECONDS`, until stopped."""
        while not self._stop.is_set():
            self.look()
            self._stop.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Look once. What can't be looked at, by a right that lacks, is no fault."""
        try:
            problems = list(self._topics.problems())
        except KafkaException as error:
            log.info("the settings of the topics can't be looked at: %s", error)
            return
        for problem in problems:
            if problem not in self._known:
                log.warning("%s", problem)
        self._known = set(problems)
        self._metrics.topic_problems.set(len(problems))
        self._health.say("topic_settings", "degraded" if problems else "ok", "; ".join(problems))
