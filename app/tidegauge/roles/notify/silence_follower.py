"""The silences as a process that delivers knows them: read from their beginning, then followed.

Nothing is delivered before they have been read to their end. One thread follows them for all
couriers of the process.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable

from tidegauge.alerting import Silences, checked
from tidegauge.config import Settings
from tidegauge.contract import Alert, DecodingError, Silence, decode, unwrap
from tidegauge.kafka import (
    OFFSET_BEGINNING,
    KafkaException,
    Message,
    TopicPartition,
    is_at_end,
    reader,
)
from tidegauge.telemetry import Health, NotifyMetrics, RecordFaults

log = logging.getLogger(__name__)

_NAME = "silences"
_POLL_SECONDS = 0.25
_BROKER_SECONDS = 10.0

#: Between two tries to read them.
_AGAIN_SECONDS = 2.0


class SilenceFollower:
    """What is silenced; ``run`` follows the topic until ``stop``. ``clock`` is the wall clock."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: NotifyMetrics,
        health: Health,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.silences
        self._health = health
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._faults = RecordFaults(metrics.records_set_aside, health, (self._topic,))
        self._silences = Silences()
        self._read = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait until all that there was at start is known, and return whether it is."""
        return self._read.wait(seconds)

    def over(self, alert: Alert) -> Silence | None:
        """Return what silences an alert now, if anything does."""
        with self._lock:
            return self._silences.over(alert, self._clock())

    def run(self) -> None:
        """Follow the silences; what Kafka fails in is tried again, with what is known till then."""
        while not self._stop.is_set():
            try:
                self._follow()
            except KafkaException as error:
                why = f"can't be read: {error.args[0]}; those that are known hold"
                self._health.say(_NAME, "degraded", why)
                log.warning("silences: %s", why)
                self._stop.wait(_AGAIN_SECONDS)

    def _follow(self) -> None:
        consumer = reader(
            self._settings.kafka,
            f"{self._settings.notify.group_id}-silences-{uuid.uuid4()}",
            passed=self._faults.skipped_of(self._topic),
        )
        try:
            found = consumer.list_topics(self._topic, timeout=_BROKER_SECONDS).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)
            unread = set(found.partitions)
            consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in unread])
            while not self._stop.is_set():
                self._health.beat(_NAME)
                message = consumer.poll(_POLL_SECONDS)
                if message is None:
                    continue
                if is_at_end(message):
                    unread.discard(message.partition())
                    if not unread:
                        self._read.set()
                        self._health.say(_NAME, "ok")
                else:
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        """Take a silence in; of one that can't be read, an alert too many is better than none."""
        value = message.value()
        if not value:  # a tombstone of compaction
            return
        place = self._topic, message.partition(), message.offset()
        try:
            silence = checked(decode(unwrap(value), Silence))
        except DecodingError as error:
            self._faults.skipped(*place, f"no silence: {error}")
        except Exception as error:
            self._faults.quarantined(*place, error)
        else:
            with self._lock:
                self._silences.take(silence)
