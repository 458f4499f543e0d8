"""One receiver's courier: reads a topic in order, and takes each record to its receiver.

A consumer group and a thread of its own: nobody waits for anybody else's receiver. Its offset is
committed once a record is delivered or is a dead letter, so a crash delivers one again, by the same
id.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_never,
    wait_exponential_jitter,
)

from tidegauge.contract import NotifyReason, unwrap
from tidegauge.notify.channel import Channel
from tidegauge.notify.inbox import Arrival, Inbox, Interrupted
from tidegauge.notify.letters import Letters
from tidegauge.notify.outcome import Refused, RetryLater
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, NotifyMetrics

log = logging.getLogger(__name__)

#: Between attempts: 1 s, 2 s, 4 s … up to this, and up to 1 s more so that couriers don't march in
#: step. Whoever is back is told within five minutes.
_LONGEST_SECONDS = 300.0
_BACKOFF = wait_exponential_jitter(initial=1, max=_LONGEST_SECONDS, jitter=1)

_STANDBY = "another process delivers to it, or none yet"

#: Between two tries to read the alerts.
_AGAIN_SECONDS = 2.0


class Courier:
    """Runs until ``stop`` is set. ``backoff`` is tenacity's wait, ``clock`` the wall clock's."""

    def __init__(
        self,
        channel: Channel[Any],
        settings: Settings,
        *,
        metrics: NotifyMetrics,
        health: Health,
        stop: threading.Event,
        backoff: Callable[[RetryCallState], float] = _BACKOFF,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._channel = channel
        self._receiver = channel.receiver
        self.name = f"receiver {channel.receiver.name}"
        self._settings = settings
        self._metrics = metrics.of(channel.receiver.name)
        self._health = health
        self._stop = stop
        self._backoff = backoff
        self._clock = clock
        self._letters = Letters(settings)
        self._inbox: Inbox
        self._resend_at = 0.0

    def run(self) -> None:
        """Deliver until stopped; what Kafka fails in is tried again."""
        self._health.say(self.name, "ok", _STANDBY)
        while not self._stop.is_set():
            try:
                self._session()
            except KafkaException as error:
                why = f"Kafka: {error.args[0]}; what was not committed is delivered again"
                self._health.say(self.name, "degraded", why)
                log.warning("%s: %s", self.name, why)
                self._stop.wait(_AGAIN_SECONDS)

    def _session(self) -> None:
        inbox = self._inbox = Inbox(
            self._settings,
            self._channel.topic(self._settings.topics),
            f"{self._settings.notify.group_id}-{self._receiver.name}",
            from_beginning=self._channel.resend_seconds is not None,
            changed=self._changed,
        )
        try:
            while not self._stop.is_set():
                self._beat()
                arrival = inbox.next()
                try:
                    if arrival is None:
                        inbox.commit_skipped()
                    else:
                        self._take(arrival)
                    self._resend_if_due()
                except Interrupted:
                    continue
        finally:
            inbox.close()

    def _changed(self, assigned: bool) -> None:
        """Forget what fires: who delivers from here on reads it for himself."""
        self._channel.forget()
        self._resend_at = 0.0
        self._health.say(self.name, "ok", "" if assigned else _STANDBY)

    def _beat(self) -> None:
        self._health.beat(self.name)

    # --- one record

    def _take(self, arrival: Arrival) -> None:
        """Deliver a record that is new, and note what fires of one that isn't."""
        value = arrival.message.value()
        if not value:  # a tombstone of compaction
            self._inbox.skip(arrival)
            return
        try:
            record = self._channel.read(unwrap(value, arrival.message.headers()))
        except msgspec.DecodeError as error:
            if arrival.new:
                self._bury(arrival, "invalid_record", str(error))
            return
        if record is None or not self._channel.wants(record):
            self._inbox.skip(arrival)
        elif arrival.new:
            self._deliver(arrival, record)
        else:
            self._channel.restore(record)

    def _deliver(self, arrival: Arrival, record: object) -> None:
        try:
            self._persist(lambda: self._attempt(record), stop=lambda _: self._too_old(arrival))
        except RetryLater as error:
            hours = f"{self._receiver.give_up_hours:g} hours"
            self._bury(arrival, "delivery_given_up", f"not delivered within {hours}: {error}")
        except Refused as error:
            self._bury(arrival, "delivery_refused", f"{self._channel.target}: {error}")
        else:
            self._metrics.delivered.inc()
            self._metrics.delay.observe(max(0.0, self._age(arrival)))
            self._went_well()
            self._inbox.done(arrival)

    def _persist(
        self, work: Callable[[], None], *, stop: Callable[[RetryCallState], bool] = stop_never
    ) -> None:
        """Do it until it is done, or until ``stop``: then raises what it failed of."""
        Retrying(
            retry=retry_if_exception_type(RetryLater),
            wait=self._wait,
            stop=stop,
            sleep=self._pause,
            before_sleep=self._say_failed,
            reraise=True,
        )(work)

    def _attempt(self, record: object) -> None:
        self._beat()
        self._channel.deliver(record)

    def _went_well(self) -> None:
        self._metrics.up.set(1)
        self._health.say(self.name, "ok")

    def _failed(self, why: str, *, up: bool = False) -> None:
        self._metrics.failed.inc()
        self._metrics.up.set(up)
        self._health.say(self.name, "degraded", why)
        log.warning("%s: %s", self.name, why)

    def _say_failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        after = state.next_action.sleep if state.next_action else 0.0
        self._failed(
            f"{self._channel.target}: {error}; attempt {state.attempt_number}, the next in "
            f"{after:.0f} s; what comes after it waits"
        )

    def _wait(self, state: RetryCallState) -> float:
        """Exponential with jitter, and never sooner than the receiver asks."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RetryLater) else None
        return max(self._backoff(state), asked or 0.0)

    def _age(self, arrival: Arrival) -> float:
        """Seconds since the record was written."""
        written: int = arrival.message.timestamp()[1]
        return self._clock() - written / 1000

    def _too_old(self, arrival: Arrival) -> bool:
        return self._age(arrival) > self._receiver.give_up_hours * 3600

    def _pause(self, seconds: float) -> None:
        self._inbox.pause(seconds, self._stop, self._beat)

    # --- the end of it

    def _bury(self, arrival: Arrival, reason: NotifyReason, detail: str) -> None:
        """Make a dead letter of a record, which is not done with before that is written."""
        self._persist(
            lambda: self._letters.write(arrival.message, self._receiver.name, reason, detail)
        )
        self._metrics.dead_letters[reason].inc()
        self._failed(
            f"{detail}; record {arrival.partition}@{arrival.offset} is in "
            f"{self._settings.topics.dead_letters}",
            up=reason != "delivery_given_up",
        )
        self._inbox.done(arrival)

    def _resend_if_due(self) -> None:
        every = self._channel.resend_seconds
        now = time.monotonic()
        if every is None or not self._inbox.whole or now < self._resend_at:
            return
        self._resend_at = now + every
        try:
            self._channel.resend()
        except (RetryLater, Refused) as error:
            self._failed(f"{self._channel.target}: {error}; sent again in {every:g} s")
        else:
            self._went_well()
