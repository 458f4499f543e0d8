"""One receiver's courier: reads the alerts in order, and takes each to its receiver.

A consumer group and a thread of its own: nobody waits for anybody else's receiver. Its offset is
committed once an alert is delivered or is a dead letter, so a crash delivers one alert again, by
the same id.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_never,
    wait_exponential_jitter,
)

from tidegauge.contract import Alert, NotifyReason
from tidegauge.notify.channels import Channel
from tidegauge.notify.letters import Letters
from tidegauge.notify.outcome import Refused, RetryLater
from tidegauge.notify.start import starting_offset
from tidegauge.settings import Settings
from tidegauge.telemetry import Health, NotifyMetrics

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_BROKER_SECONDS = 10.0

#: Between attempts: 1 s, 2 s, 4 s … up to this, and up to 1 s more so that couriers don't march in
#: step. Whoever is back is told within five minutes.
_LONGEST_SECONDS = 300.0
_BACKOFF = wait_exponential_jitter(initial=1, max=_LONGEST_SECONDS, jitter=1)

_STANDBY = "another process delivers to it, or none yet"

#: Between two tries to read the alerts.
_AGAIN_SECONDS = 2.0


class _State(msgspec.Struct):
    """What is read of a record before it is known to be for us: other states may come to be."""

    state: str


class _Interrupted(Exception):
    """The alert at hand is not ours any more, or the process is to stop."""


class Courier:
    """Runs until ``stop`` is set. ``backoff`` is tenacity's wait, ``clock`` the wall clock's."""

    def __init__(
        self,
        channel: Channel,
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
        self._consumer: Consumer | None = None
        #: Offsets from which on alerts are to be delivered; what is before was, by anybody.
        self._from: dict[int, int] = {}
        #: Partitions of which what was delivered before is still being read.
        self._restoring: set[int] = set()
        #: A failure inside a callback, which librdkafka must not see.
        self._failure: BaseException | None = None
        self._skipped: TopicPartition | None = None
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
        notify = self._settings.notify
        consumer = Consumer(
            {
                **self._settings.kafka.librdkafka(),
                "group.id": f"{notify.group_id}-{self._receiver.name}",
                "enable.auto.commit": False,
                # Never used: every partition is assigned with its offset.
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": int(notify.session_timeout_seconds * 1000),
                # Eager: an assignment is always whole, so what fires can be restored with it.
                "partition.assignment.strategy": "range",
                # How the end of what is restored is known, whatever compaction left of it.
                "enable.partition.eof": True,
            },
            logger=log,
        )
        self._consumer = consumer
        self._failure = self._skipped = None
        try:
            consumer.subscribe(
                [self._settings.topics.alerts],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_revoke,
            )
            while not self._stop.is_set():
                message = self._poll(_POLL_SECONDS)
                try:
                    if message is None:
                        self._commit_skipped()
                    else:
                        self._take(message)
                    self._resend_if_due()
                except _Interrupted:
                    continue
        finally:
            consumer.close()

    def _poll(self, seconds: float) -> Message | None:
        """Return the next record, if there is one within ``seconds``."""
        assert self._consumer is not None  # noqa: S101 - inside a session
        self._health.beat(self.name)
        message = self._consumer.poll(seconds)
        if self._failure is not None:
            raise self._failure
        if message is None:
            return None
        error = message.error()
        if error is None:
            return message
        if error.code() == KafkaError._PARTITION_EOF:
            self._restoring.discard(_partition(message))
            return None
        raise KafkaException(error)

    # --- which alerts are ours

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._begin(consumer, partitions)
        except Exception as error:
            self._failure = error

    def _begin(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop()
        self._resend_at = 0.0
        assigned: list[TopicPartition] = []
        new: list[TopicPartition] = []
        for one in consumer.committed(partitions, timeout=_BROKER_SECONDS):
            low, high = consumer.get_watermark_offsets(
                TopicPartition(one.topic, one.partition), timeout=_BROKER_SECONDS
            )
            committed = None if one.offset == OFFSET_INVALID else one.offset
            start = starting_offset(committed, low, high)
            if start.lost:
                log.error("%s: %s", self.name, start.lost)
            self._from[one.partition] = start.offset
            if committed is None:
                new.append(TopicPartition(one.topic, one.partition, start.offset))
            restores = self._channel.resend_seconds is not None and low < start.offset
            one.offset = low if restores else start.offset
            if restores:
                self._restoring.add(one.partition)
            assigned.append(one)
        consumer.assign(assigned)
        if new:
            # From now on, and not from whenever the first alert comes.
            consumer.commit(offsets=new, asynchronous=False)
        if assigned:
            self._health.say(self.name, "ok")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop()
        self._health.say(self.name, "ok", _STANDBY)

    def _drop(self) -> None:
        """Forget an assignment; who delivers from here on reads for himself what fires."""
        self._from = {}
        self._restoring = set()
        self._skipped = None
        self._channel.forget()

    # --- one alert

    def _take(self, message: Message) -> None:
        """Deliver a record, or note it if it was delivered before; then commit."""
        before = _offset(message) < self._from[_partition(message)]
        if not before:
            self._restoring.discard(_partition(message))
        value = message.value()
        if not value:  # a tombstone of compaction
            return
        try:
            state = msgspec.json.decode(value, type=_State).state
            alert = (
                msgspec.json.decode(value, type=Alert) if state in ("firing", "resolved") else None
            )
        except msgspec.DecodeError as error:
            if not before:
                self._bury(message, "invalid_record", str(error))
            return
        if alert is None or not self._channel.wants(alert):
            self._skipped = _after(message)
        elif before:
            self._channel.restore(alert)
        else:
            self._deliver(message, alert)

    def _deliver(self, message: Message, alert: Alert) -> None:
        try:
            self._persist(lambda: self._attempt(alert), stop=lambda _: self._too_old(message))
        except RetryLater as error:
            hours = f"{self._receiver.give_up_hours:g} hours"
            self._bury(message, "delivery_given_up", f"not delivered within {hours}: {error}")
        except Refused as error:
            self._bury(message, "delivery_refused", f"{self._channel.target}: {error}")
        else:
            self._metrics.delivered.inc()
            self._metrics.delay.observe(max(0.0, self._age(message)))
            self._went_well()
            self._commit(_after(message))

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

    def _attempt(self, alert: Alert) -> None:
        self._health.beat(self.name)
        self._channel.deliver(alert)

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
            f"{after:.0f} s; later alerts wait"
        )

    def _wait(self, state: RetryCallState) -> float:
        """Exponential with jitter, and never sooner than the receiver asks."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RetryLater) else None
        return max(self._backoff(state), asked or 0.0)

    def _age(self, message: Message) -> float:
        """Seconds since the record was written."""
        written: int = message.timestamp()[1]
        return self._clock() - written / 1000

    def _too_old(self, message: Message) -> bool:
        return self._age(message) > self._receiver.give_up_hours * 3600

    def _pause(self, seconds: float) -> None:
        """Wait, and stay a member of the group; raises if the alert at hand is not ours any more.

        A consumer that doesn't ask is taken for dead, so it goes on asking, paused.
        """
        assert self._consumer is not None  # noqa: S101 - inside a session
        held = [TopicPartition(self._settings.topics.alerts, p) for p in self._from]
        self._consumer.pause(held)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            began = self._from
            if self._poll(min(left, _POLL_SECONDS)) is not None:
                raise KafkaException(KafkaError(KafkaError._STATE))
            if self._stop.is_set() or began is not self._from:
                raise _Interrupted
        self._consumer.resume(held)

    # --- the end of it

    def _bury(self, message: Message, reason: NotifyReason, detail: str) -> None:
        """Make a dead letter of a record; one that isn't taken keeps the record from being done."""
        self._persist(lambda: self._letters.write(message, self._receiver.name, reason, detail))
        self._metrics.dead_letters[reason].inc()
        self._failed(
            f"{detail}; record {message.partition()}@{message.offset()} is in "
            f"{self._settings.topics.dead_letters}",
            up=reason != "delivery_given_up",
        )
        self._commit(_after(message))

    def _commit(self, position: TopicPartition) -> None:
        assert self._consumer is not None  # noqa: S101 - inside a session
        self._consumer.commit(offsets=[position], asynchronous=False)
        self._skipped = None

    def _commit_skipped(self) -> None:
        if self._skipped is not None:
            self._commit(self._skipped)

    def _resend_if_due(self) -> None:
        every = self._channel.resend_seconds
        now = time.monotonic()
        if every is None or not self._from or self._restoring or now < self._resend_at:
            return
        self._resend_at = now + every
        try:
            self._channel.resend()
        except (RetryLater, Refused) as error:
            self._failed(f"{self._channel.target}: {error}; sent again in {every:g} s")
        else:
            self._went_well()


def _partition(message: Message) -> int:
    found: Any = message.partition()
    return int(found)


def _offset(message: Message) -> int:
    found: Any = message.offset()
    return int(found)


def _after(message: Message) -> TopicPartition:
    return TopicPartition(str(message.topic()), _partition(message), _offset(message) + 1)
