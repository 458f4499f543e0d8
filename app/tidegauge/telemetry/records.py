"""Records that a role could not use: counted by topic, named in the log, reported by health."""

import logging
from collections.abc import Callable

from tidegauge.telemetry.health import Health
from tidegauge.telemetry.logs import ONE_BY_ONE
from tidegauge.telemetry.metrics import RecordMetrics

log = logging.getLogger(__name__)

#: The condition that health has of records in quarantine.
QUARANTINE = "quarantine"


class RecordFaults:
    """Reports records of ``topics`` that a role could not use, and went on after."""

    def __init__(self, metrics: RecordMetrics, health: Health, topics: tuple[str, ...]) -> None:
        self._metrics = metrics
        self._health = health
        for topic in topics:
            # A counter that appears with its first event has no rate for it.
            metrics.skipped.labels(topic)
            metrics.quarantined.labels(topic)

    def skipped(self, topic: str, partition: int | None, offset: int | None, why: str) -> None:
        """Report a record that is not what its topic holds."""
        self.skipped_of(topic)(f"{topic}/{partition} at offset {offset}", why)

    def skipped_of(self, topic: str) -> Callable[[str, str], None]:
        """Return what to call with the place of such a record, and with what it is not and why."""

        def skipped(place: str, why: str) -> None:
            self._metrics.skipped.labels(topic).inc()
            log.error("%s is skipped: %s", place, why, extra=ONE_BY_ONE)

        return skipped

    def passed(self, place: str, why: str) -> None:
        """Report what can't be read at a place, ``TOPIC/PARTITION at offset OFFSET``."""
        self.skipped_of(place.partition(" at ")[0].rpartition("/")[0])(place, why)

    def quarantined(
        self, topic: str, partition: int | None, offset: int | None, error: BaseException
    ) -> None:
        """Report a record that work failed on; degraded until the process is started again."""
        self._metrics.quarantined.labels(topic).inc()
        place = f"{topic}/{partition} at offset {offset}"
        log.error("%s is set aside, work goes on after it", place, exc_info=error, extra=ONE_BY_ONE)
        self._health.say(
            QUARANTINE,
            "degraded",
            f"{place} was set aside: {type(error).__name__}: {error}; the log has the traceback, "
            "and names all such records",
        )
