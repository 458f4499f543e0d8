"""What keeps alerts from receivers: the silences that apply, and the alerts that are withheld.

Nothing is delivered before the topic of silences has been read to its end. One thread follows it
for all delivery workers of the process.

A withheld alert is written before the offset of its alert is committed, and removed after the alert
is delivered. So a crash in between delivers the alert again, with the same id, and loses none.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import KW_ONLY, dataclass

from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    DecodingError,
    Silence,
    Silences,
    Withheld,
    checked,
    decode,
    encode,
    unwrap,
)
from tidegauge.kafka import (
    OFFSET_BEGINNING,
    KafkaException,
    KafkaRecord,
    Message,
    RecordWriter,
    TopicPartition,
    batches,
    is_at_end,
    partitions_of,
    place_of,
    read_span,
    reader,
)
from tidegauge.notify import is_waiting
from tidegauge.telemetry import Health, NotifyMetrics, RecordFaults

log = logging.getLogger(__name__)

_NAME = "silences"

#: Between two tries to read them.
_AGAIN_SECONDS = 2.0


@dataclass(eq=False)
class SilenceFollower:
    """What is silenced; ``run`` follows the topic until ``stop``. ``clock`` is the wall clock."""

    settings: Settings
    _: KW_ONLY
    metrics: NotifyMetrics
    health: Health
    stop: threading.Event
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._topic = self.settings.topics.silences
        self._lock = threading.Lock()
        self._faults = RecordFaults(self.metrics.records_set_aside, self.health, (self._topic,))
        self._silences = Silences()
        self._read = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait until the topic has been read to its end, and return whether it has."""
        return self._read.wait(seconds)

    def over(self, alert: Alert) -> Silence | None:
        """Return the silence that covers an alert now, if there is one."""
        with self._lock:
            return self._silences.over(alert, self.clock())

    def run(self) -> None:
        """Follow the silences; after errors of Kafka try again, and keep the known ones."""
        while not self.stop.is_set():
            try:
                self._follow()
            except (KafkaException, ValueError) as error:
                why = f"can't be read: {error.args[0]}; the known silences stay active"
                self.health.report(_NAME, "degraded", why)
                log.warning("silences: %s", why)
                self.stop.wait(_AGAIN_SECONDS)

    def _follow(self) -> None:
        group = f"{self.settings.notify.group_id}-silences-{uuid.uuid4()}"
        with closing(reader(self.settings.kafka, group, passed=self._faults.skipped)) as consumer:
            unread = set(partitions_of(consumer, self._topic))
            consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in unread])
            for messages in batches(consumer, math.inf):
                if self.stop.is_set():
                    return
                self.health.beat(_NAME)
                for message in messages:
                    if not is_at_end(message):
                        self._take(message)
                        continue
                    unread.discard(message.partition())
                    if not unread:
                        self._read.set()
                        self.health.report(_NAME, "ok")

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


class WithheldStore:
    """The alerts withheld from ``receiver``, by fingerprint; empty before :meth:`restore`."""

    def __init__(self, settings: Settings, receiver: str, faults: RecordFaults) -> None:
        self._settings = settings
        self._faults = faults
        self._receiver = receiver
        self._sender = RecordWriter(settings.kafka, settings.topics.withheld, "withheld alerts")
        self._kept: dict[str, Withheld] = {}
        #: What waits for a digest, by the id of the alert's record.
        self._collected: dict[str, Withheld] = {}
        self._due = math.inf
        #: Whether what was withheld before is known.
        self.restored = False

    def __len__(self) -> int:
        return len(self.waiting())

    def forget(self) -> None:
        """Drop what is in memory: another process may deliver from here on."""
        self._kept, self._collected, self._due = {}, {}, math.inf
        self.restored = False

    def restore(self, partitions: Collection[int]) -> None:
        """Read what was withheld of the alerts of ``partitions``.

        What is no such record is skipped. Raises ``KafkaException``.
        """
        topic, last = self._settings.topics.withheld, dict[bytes, KafkaRecord]()
        skipped = self._faults.skipped
        # The workers of other receivers read theirs.
        mine = self._key("").encode()
        for record in read_span(
            self._settings.kafka,
            topic,
            keep=lambda key: key is not None and key.startswith(mine),
            tombstones=True,
            skipped=skipped,
        ):
            if record.key is not None:
                last[record.key] = record
        self._kept, self._collected, self._due = {}, {}, math.inf
        for key, record in last.items():
            if record.value:
                try:
                    one = self._read(key, record.value)
                except DecodingError as error:
                    skipped(record.place, f"no withheld alert: {error}")
                else:
                    if one.partition in partitions:
                        self._take(one)
        self.restored = True

    def _read(self, key: bytes, value: bytes) -> Withheld:
        one = decode(value, Withheld)
        if key != self._key_of(one).encode():  # it could never be removed
            raise DecodingError(f"it has the key {key!r}, which is of another alert")
        return one

    def get(self, fingerprint: str) -> Withheld | None:
        """Return what is kept of a fingerprint."""
        return self._kept.get(fingerprint)

    def waiting(self) -> list[Withheld]:
        """Return the alerts to deliver once no silence covers them, in their order."""
        found = [one for one in self._kept.values() if is_waiting(one)]
        return sorted(found, key=lambda one: (one.partition, one.offset))

    def collected(self) -> list[Withheld]:
        """Return what waits for a digest, in the order of the alerts."""
        return sorted(self._collected.values(), key=lambda one: (one.partition, one.offset))

    @property
    def collected_number(self) -> int:
        """The number of alerts that wait for a digest."""
        return len(self._collected)

    @property
    def any_collected(self) -> Withheld | None:
        """One of those that wait for the digest, which all have the same id of it."""
        return next(iter(self._collected.values()), None)

    @property
    def due(self) -> float:
        """When the digest is due, epoch seconds; infinite if nothing waits."""
        return self._due

    def is_collected(self, alert: Alert) -> bool:
        """Whether this record of an alert waits for a digest."""
        return alert.id in self._collected

    def put(self, one: Withheld) -> None:
        """Keep an alert; raises :class:`NotTaken`."""
        self._sender.write(encode(one), self._key_of(one))
        self._take(one)

    def remove(self, fingerprint: str) -> None:
        """Remove an alert; raises :class:`NotTaken`."""
        if fingerprint in self._kept:
            self._sender.write(None, self._key(fingerprint))
            del self._kept[fingerprint]

    def remove_collected(self, some: Iterable[Withheld]) -> None:
        """Remove the alerts of a digest; raises :class:`NotTaken`."""
        for one in some:
            if one.alert.id in self._collected:
                self._sender.write(None, self._key_of(one))
                del self._collected[one.alert.id]
        self._due = min((one.due for one in self._collected.values()), default=math.inf)

    def _take(self, one: Withheld) -> None:
        if one.digest:
            self._collected[one.alert.id] = one
            self._due = min(self._due, one.due)
        else:
            self._kept[one.alert.fingerprint] = one

    def _key_of(self, one: Withheld) -> str:
        if one.digest:
            return self._key(f"digest/{one.alert.id}")
        return self._key(one.alert.fingerprint)

    def _key(self, name: str) -> str:
        return f"{self._receiver}/{name}"
