"""The silences that apply to deliveries: the topic is read from its beginning, then followed.

Nothing is delivered before the topic has been read to its end. One thread follows it for all
delivery workers of the process.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable

from tidegauge.config import Settings
from tidegauge.contract import Alert, DecodingError, Silence, Silences, checked, decode, unwrap
from tidegauge.kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
    is_at_end,
    place_of,
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
        """Wait until the topic has been read to its end, and return whether it has."""
        return self._read.wait(seconds)

    def over(self, alert: Alert) -> Silence | None:
        """Return the silence that covers an alert now, if there is one."""
        with self._lock:
            return self._silences.over(alert, self._clock())

    def run(self) -> None:
        """Follow the silences; after errors of Kafka try again, and keep the known ones."""
        while not self._stop.is_set():
            try:
                self._follow()
            except KafkaException as error:
                why = f"can't be read: {error.args[0]}; the known silences stay active"
                self._health.report(_NAME, "degraded", why)
                log.warning("silences: %s", why)
                self._stop.wait(_AGAIN_SECONDS)

    def _follow(self) -> None:
        consumer = reader(
            self._settings.kafka,
            f"{self._settings.notify.group_id}-silences-{uuid.uuid4()}",
            passed=self._faults.skipped,
        )
        try:
            found = consumer.list_topics(self._topic, timeout=_BROKER_SECONDS).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)
            unread = set(found.partitions)
            if not unread:  # being created: without partitions the end would never be reached
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
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
                        self._health.report(_NAME, "ok")
                else:
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        """Apply a silence. Skip one that can't be read: a needless alert is better than none."""
        value = message.value()
        if not value:  # a tombstone of compaction
            return
        place = place_of(message)
        try:
            silence = checked(decode(unwrap(value), Silence))
        except DecodingError as error:
            self._faults.skipped(place, f"no silence: {error}")
        except Exception as error:
            self._faults.quarantined(place, error)
        else:
            with self._lock:
                self._silences.take(silence)
