"""Deliveries to one receiver: attempts until one succeeds, or a dead letter for a failed alert."""

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_never,
    wait_exponential_jitter,
)

from tidegauge.config import Settings
from tidegauge.contract import (
    DETAIL_CHARACTERS,
    DeadLetter,
    NotifyReason,
    dead_letter_of,
    encode,
    without_payload,
)
from tidegauge.kafka import Message, NotTaken, RecordWriter, TooLarge
from tidegauge.notify import Channel, Refused, RetryLater
from tidegauge.telemetry import Health, ReceiverMetrics, RecordFaults

log = logging.getLogger(__name__)

#: Between attempts: 1 s, 2 s, 4 s … up to this, and up to 1 s more, so that workers don't retry at
#: the same moment. A receiver that is back is notified within five minutes.
_LONGEST_SECONDS = 300.0
BACKOFF = wait_exponential_jitter(initial=1, max=_LONGEST_SECONDS, jitter=1)


@dataclass(eq=False)
class Attempts:
    """Attempts for one receiver, which is at ``target``.

    ``pause`` waits so many seconds; ``backoff`` is tenacity's wait.
    """

    name: str
    target: str
    _: KW_ONLY
    metrics: ReceiverMetrics
    health: Health
    pause: Callable[[float], None]
    backoff: Callable[[RetryCallState], float]

    def persist(
        self, work: Callable[[], None], *, stop: Callable[[RetryCallState], bool] = stop_never
    ) -> None:
        """Repeat ``work`` until it succeeds, or until ``stop``: then raise its last error."""
        Retrying(
            retry=retry_if_exception_type((RetryLater, NotTaken)),
            wait=self._wait,
            stop=stop,
            sleep=self.pause,
            before_sleep=self._say_failed,
            reraise=True,
        )(work)

    def went_well(self) -> None:
        """Report that the receiver accepts alerts."""
        self.metrics.up.set(1)
        self.health.report(self.name, "ok")

    def failed(self, why: str, *, up: bool = False) -> None:
        """Report why an attempt failed; ``up``: the receiver did answer."""
        self.metrics.failed.inc()
        self.metrics.up.set(up)
        self.health.report(self.name, "degraded", why)
        log.warning("%s: %s", self.name, why)

    def _say_failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        after = state.next_action.sleep if state.next_action else 0.0
        self.failed(
            f"{self.target}: {error}; attempt {state.attempt_number}, the next in "
            f"{after:.0f} s; later records wait"
        )

    def _wait(self, state: RetryCallState) -> float:
        """Return an exponential wait with jitter, never shorter than the receiver asks for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RetryLater) else None
        return max(self.backoff(state), asked or 0.0)


class Place(NamedTuple):
    """Topic, partition and offset of a record, and its value."""

    topic: str
    partition: int
    offset: int
    value: bytes

    @classmethod
    def of(cls, message: Message) -> "Place":
        """Return the place of a record that was read."""
        topic, at, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None and at is not None and offset is not None  # noqa: S101 - read
        return cls(topic, at, offset, message.value() or b"")


@dataclass(eq=False)
class Deliveries:
    """Deliveries over ``channel``; ``beat`` is called before each attempt, ``done`` after the last.

    ``clock`` is the wall clock.
    """

    channel: Channel[Any]
    settings: Settings
    _: KW_ONLY
    attempts: Attempts
    metrics: ReceiverMetrics
    faults: RecordFaults
    beat: Callable[[], None]
    done: Callable[[], None]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._topic = self.settings.topics.dead_letters
        self._letters = RecordWriter(self.settings.kafka, self._topic, "dead letters")

    def deliver(self, send: Callable[[], None], places: Sequence[Place], since: float) -> bool:
        """Send the records of ``places`` in one message; return False if they became dead letters.

        They do if the receiver refuses them, or if they fail for too long after ``since``.
        """
        hours = self.channel.receiver.give_up_hours

        def attempt() -> None:
            self.beat()
            send()

        reason: NotifyReason
        try:
            self.attempts.persist(attempt, stop=lambda _: self.clock() - since > hours * 3600)
        except RetryLater as error:
            reason, why = "delivery_given_up", f"not delivered within {hours:g} hours: {error}"
        except Refused as error:
            reason, why = "delivery_refused", f"{self.channel.target}: {error}"
        else:
            self.metrics.delivered.inc(len(places))
            self.done()
            return True
        for place in places:
            self.dead_letter(place, reason, why)
        return False

    def dead_letter(self, place: Place, reason: NotifyReason, detail: str) -> None:
        """Write a dead letter for a record, and return after it is written."""
        letter = dead_letter_of(
            topic=place.topic,
            partition=place.partition,
            offset=place.offset,
            time=time.time(),
            reason=reason,
            detail=detail,
            payload=place.value,
            receiver=self.channel.receiver.name,
        )
        self.attempts.persist(lambda: self._write(letter))
        self.metrics.dead_letters[reason].inc()
        self.attempts.failed(
            f"{detail}; record {place.partition}@{place.offset} is in {self._topic}",
            up=reason != "delivery_given_up",
        )

    def _write(self, letter: DeadLetter) -> None:
        """Write a letter, without its payload if the topic refuses that size."""
        try:
            self._letters.write(encode(letter))
        except TooLarge:
            self._letters.write(encode(without_payload(letter)))

    def set_aside(self, place: Place, error: Exception, *, letter: bool = True) -> None:
        """Set a record aside that failed for an unexpected reason."""
        name = f"{place.topic}/{place.partition} at offset {place.offset}"
        self.faults.quarantined(name, error)
        if letter:
            # The end of the traceback has the error.
            text = "".join(traceback.format_exception(error))[-DETAIL_CHARACTERS:]
            self.dead_letter(place, "invalid_record", text)
