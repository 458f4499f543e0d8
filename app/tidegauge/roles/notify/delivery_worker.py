"""The delivery worker of one receiver: reads a topic in order and delivers each record.

It has a consumer group and a thread of its own, so no receiver waits for another. An offset is
committed after its record is delivered, withheld or a dead letter. A crash in between delivers the
record again, with the same id.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tenacity import RetryCallState

from tidegauge.config import Settings
from tidegauge.contract import Alert, DecodingError, Silence, Withheld, unwrap
from tidegauge.kafka import GroupReader, Interrupted, KafkaException, ReceivedRecord
from tidegauge.notify import Channel, Refused, RetryLater, never_notified, step, was_notified
from tidegauge.roles.notify.deliveries import BACKOFF, Attempts, Deliveries, Place
from tidegauge.roles.notify.digests import DigestSender, RateLimiter
from tidegauge.roles.notify.withheld import SilenceFollower, WithheldStore
from tidegauge.telemetry import Health, NotifyMetrics, RecordFaults

log = logging.getLogger(__name__)

_STANDBY = "another process delivers to it, or none does yet"

#: Between two tries to read the alerts.
_AGAIN_SECONDS = 2.0

_POLL_SECONDS = 0.25


class RecordFailed(Exception):
    """A record, or what was withheld, can't be read or handled now; it is tried again."""


class DeliveryWorker:
    """Runs until ``stop`` is set. ``backoff`` is tenacity's wait, ``clock`` the wall clock's."""

    def __init__(
        self,
        channel: Channel[Any],
        settings: Settings,
        *,
        silences: SilenceFollower,
        metrics: NotifyMetrics,
        health: Health,
        stop: threading.Event,
        backoff: Callable[[RetryCallState], float] = BACKOFF,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._channel = channel
        self._receiver = channel.receiver
        self.name = f"receiver {channel.receiver.name}"
        self._settings = settings
        self._metrics = metrics.of(channel.receiver.name)
        topics = settings.topics
        self._topic = channel.topic(topics)
        self._faults = RecordFaults(
            metrics.records_set_aside, health, (self._topic, topics.withheld)
        )
        #: Records that failed once, by partition and offset: the next time they are set aside.
        self._failed: set[tuple[int, int]] = set()
        self._health = health
        self._stop = stop
        self._clock = clock
        self._attempts = Attempts(
            self.name,
            channel.target,
            metrics=self._metrics,
            health=health,
            pause=self._pause,
            backoff=backoff,
        )
        self._silences = silences
        self._deliveries = Deliveries(
            channel,
            settings,
            attempts=self._attempts,
            metrics=self._metrics,
            faults=self._faults,
            beat=self._beat,
            done=lambda: self._went_well(),
            clock=clock,
        )
        self._withheld_store = WithheldStore(settings, channel.receiver.name, self._faults)
        self._limiter = RateLimiter(
            channel.receiver.name, channel.limit, self._withheld_store, clock
        )
        self._digests = DigestSender(
            channel,
            self._topic,
            withheld_store=self._withheld_store,
            limiter=self._limiter,
            silences=silences,
            attempts=self._attempts,
            deliveries=self._deliveries,
            metrics=self._metrics,
        )
        self._group_reader: GroupReader
        self._resend_at = 0.0
        #: Whether this process has partitions of its topic.
        self._delivers = False

    def run(self) -> None:
        """Deliver until stopped; try again after errors of Kafka."""
        self._health.report(self.name, "ok", _STANDBY)
        while not self._stop.is_set():
            if not self._silences.wait(_POLL_SECONDS):
                self._beat()
                continue
            try:
                self._session()
            except KafkaException as error:
                self._go_on_after(f"Kafka: {error.args[0]}")
            except RecordFailed as error:
                self._go_on_after(str(error))

    def _go_on_after(self, failure: str) -> None:
        why = f"{failure}; what was not committed is delivered again"
        self._health.report(self.name, "degraded", why)
        log.warning("%s: %s", self.name, why)
        self._stop.wait(_AGAIN_SECONDS)

    def _session(self) -> None:
        group_reader = self._group_reader = GroupReader(
            self._settings,
            self._topic,
            f"{self._settings.notify.group_id}-{self._receiver.name}",
            from_beginning=self._channel.resend_seconds is not None,
            changed=self._changed,
            metadata=lambda: self._limiter.metadata,
            passed=self._faults.skipped,
        )
        try:
            while not self._stop.is_set():
                self._beat()
                received = group_reader.next()
                if group_reader.partitions and not self._withheld_store.restored:
                    self._restore_withheld(group_reader.partitions)
                try:
                    if received is None:
                        group_reader.commit_skipped()
                    else:
                        self._take_or_set_aside(received)
                    self._release_due()
                    self._resend_if_due()
                except Interrupted:
                    continue
        finally:
            group_reader.close()

    def _restore_withheld(self, partitions: set[int]) -> None:
        """Read what was withheld; wait for its topic as for brokers that don't answer."""
        try:
            self._withheld_store.restore(partitions)
        except ValueError as error:
            raise RecordFailed(str(error)) from error

    def _changed(self, assigned: bool, metadata: list[str | None]) -> None:
        """Forget what fires or waits: the process that delivers from now on reads it again."""
        self._channel.forget()
        self._withheld_store.forget()
        self._limiter.restore(metadata)
        self._resend_at = 0.0
        if assigned != self._delivers:
            self._delivers = assigned
            state = "delivers from now on" if assigned else "on standby: another process delivers"
            log.info("%s: %s", self.name, state)
        self._health.report(self.name, "ok", "" if assigned else _STANDBY)

    def _beat(self) -> None:
        self._health.beat(self.name)

    # --- one record

    def _take_or_set_aside(self, received: ReceivedRecord) -> None:
        """Process a record; one that fails twice for unexpected reasons becomes a dead letter."""
        try:
            self._take(received)
        except (Interrupted, KafkaException):
            raise
        except Exception as error:
            place = (received.partition, received.offset)
            if place not in self._failed:
                self._failed.add(place)
                log.exception("%s: offset %d", self.name, received.offset)
                raise RecordFailed(
                    f"{type(error).__name__} at {self._topic}/{received.partition} "
                    f"offset {received.offset}: {error}"
                ) from error
            self._deliveries.set_aside(Place.of(received.message), error, letter=received.new)
            if received.new:
                self._group_reader.done(received)

    def _take(self, received: ReceivedRecord) -> None:
        """Deliver a new record; of one that was delivered before, note what fires."""
        value = received.message.value()
        if not value:  # a tombstone of compaction
            self._group_reader.skip(received)
            return
        try:
            record = self._channel.read(unwrap(value))
        except DecodingError as error:
            if received.new:
                self._deliveries.dead_letter(
                    Place.of(received.message), "invalid_record", str(error)
                )
                self._group_reader.done(received)
            return
        if record is None or not (self._channel.wants(record) or isinstance(record, Alert)):
            self._group_reader.skip(received)
        elif not received.new:
            self._restore(record)
        elif isinstance(record, Alert):
            self._decide(received, record)
        else:
            self._hand_over(received, record)
            self._group_reader.done(received)

    def _restore(self, record: object) -> None:
        """Note a record that was delivered before this process began, unless it was withheld."""
        if isinstance(record, Alert) and (
            never_notified(self._withheld_store.get(record.fingerprint), record)
            or self._withheld_store.is_collected(record)
        ):
            return
        if self._channel.wants(record):
            self._channel.restore(record)

    def _hand_over(self, received: ReceivedRecord, record: object, note: str = "") -> bool:
        written = received.message.timestamp()[1] / 1000
        delivered = self._deliver(record, Place.of(received.message), since=written, note=note)
        if delivered:
            self._metrics.delay.observe(max(0.0, self._clock() - written))
        return delivered

    def _hand_over_or_collect(self, received: ReceivedRecord, alert: Alert) -> None:
        """Deliver an alert, or collect it for the digest if the rate limit has been reached."""
        due = self._limiter.collect_until(alert)
        if due is not None:
            self._collect(Place.of(received.message), alert, due)
        elif self._hand_over(received, alert, self._limiter.note(alert)):
            self._sent(alert)

    def _sent(self, alert: Alert) -> None:
        """Count a message, and remove older records of the same alert that wait."""
        self._limiter.sent(alert)
        older = [
            it
            for it in self._withheld_store.collected()
            if it.alert.fingerprint == alert.fingerprint
        ]
        if older:
            self._attempts.persist(lambda: self._withheld_store.remove_collected(older))

    def _collect(self, place: Place, alert: Alert, due: float) -> None:
        one = self._limiter.collected(place, alert, due)
        self._attempts.persist(lambda: self._withheld_store.put(one))
        self._metrics.digested.inc()

    def _decide(self, received: ReceivedRecord, alert: Alert) -> None:
        """Deliver an alert or withhold it, then commit its offset."""
        silence, kept = self._silences.over(alert), self._withheld_store.get(alert.fingerprint)
        todo = step(kept, alert, silence)
        if not self._channel.wants(alert):
            if alert.state == "resolved":
                self._remove_withheld(alert)
            self._group_reader.skip(received)
            return
        if todo.deliver:
            self._hand_over_or_collect(received, alert)
            self._remove_withheld(alert)
            self._group_reader.done(received)
            return
        self._metrics.silenced.inc()
        if todo.keep != "same":
            self._keep(received, alert, silence, told=was_notified(kept, alert))
        self._group_reader.done(received)
        if todo.keep == "over":
            self._remove_withheld(alert)

    def _deliver(self, record: object, place: Place, *, since: float, note: str = "") -> bool:
        """Deliver, or write a dead letter if that fails for too long after ``since``."""
        send = partial(self._channel.deliver, record, note)
        return self._deliveries.deliver(send, [place], since)

    def _went_well(self) -> None:
        self._attempts.went_well()

    def _pause(self, seconds: float) -> None:
        self._group_reader.pause(seconds, self._stop, self._beat)

    # --- what is withheld

    def _keep(
        self, received: ReceivedRecord, alert: Alert, silence: Silence | None, *, told: bool
    ) -> None:
        one = Withheld(
            receiver=self._receiver.name,
            partition=received.partition,
            offset=received.offset,
            alert=alert,
            silence=silence.id if silence else "",
            told=told,
        )
        self._attempts.persist(lambda: self._withheld_store.put(one))

    def _remove_withheld(self, alert: Alert) -> None:
        self._attempts.persist(lambda: self._withheld_store.remove(alert.fingerprint))

    def _release_due(self) -> None:
        """Deliver withheld alerts that are no longer silenced, and the digest if it is due."""
        for one in self._withheld_store.waiting():
            place = self._digests.place(one)
            try:
                if self._silences.over(one.alert) is not None:
                    continue
                if self._channel.wants(one.alert):
                    self._release(one, place)
            except (Interrupted, KafkaException):
                raise
            except Exception as error:
                self._deliveries.set_aside(place, error)
            self._remove_withheld(one.alert)
        self._digests.send_due(self._clock())
        self._metrics.withheld.set(len(self._withheld_store))

    def _release(self, one: Withheld, place: Place) -> None:
        due = self._limiter.collect_until(one.alert)
        if due is not None:
            self._collect(place, one.alert, due)
        elif self._deliver(
            one.alert, place, since=self._clock(), note=self._limiter.note(one.alert)
        ):
            self._sent(one.alert)

    def _resend_if_due(self) -> None:
        every = self._channel.resend_seconds
        now = time.monotonic()
        if every is None or not self._group_reader.whole or now < self._resend_at:
            return
        self._resend_at = now + every
        try:
            self._channel.resend()
        except (RetryLater, Refused) as error:
            self._attempts.failed(f"{self._channel.target}: {error}; sent again in {every:g} s")
        else:
            self._went_well()
