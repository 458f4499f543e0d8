"""Taking messages to one receiver until that is done, or making dead letters of what can't be."""

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from tidegauge.config import Settings
from tidegauge.contract import DeadLetter, NotifyReason, encode, without_payload
from tidegauge.kafka import RecordWriter, TooLarge
from tidegauge.notify import Channel, Refused, RetryLater
from tidegauge.roles.notify.attempts import Attempts
from tidegauge.roles.notify.dead_letters import DETAIL_CHARACTERS, Place, letter_of
from tidegauge.telemetry import ReceiverMetrics, RecordFaults


class Deliveries:
    """Deliveries over ``channel``; ``beat`` is called before each attempt, ``done`` after the last.

    ``clock`` is the wall clock.
    """

    def __init__(
        self,
        channel: Channel[Any],
        settings: Settings,
        *,
        attempts: Attempts,
        metrics: ReceiverMetrics,
        faults: RecordFaults,
        beat: Callable[[], None],
        done: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._receiver = channel.receiver
        self._topic = settings.topics.dead_letters
        self._letters = RecordWriter(settings.kafka, self._topic, "dead letters")
        self._attempts = attempts
        self._metrics = metrics
        self._faults = faults
        self._beat = beat
        self._done = done
        self._clock = clock

    def deliver(self, send: Callable[[], None], places: Sequence[Place], since: float) -> bool:
        """Send the records of ``places`` in one message; False if they became dead letters.

        That is what is refused, and what fails for too long after ``since``.
        """
        hours = self._receiver.give_up_hours

        def attempt() -> None:
            self._beat()
            send()

        reason: NotifyReason
        try:
            self._attempts.persist(attempt, stop=lambda _: self._clock() - since > hours * 3600)
        except RetryLater as error:
            reason, why = "delivery_given_up", f"not delivered within {hours:g} hours: {error}"
        except Refused as error:
            reason, why = "delivery_refused", f"{self._channel.target}: {error}"
        else:
            self._metrics.delivered.inc(len(places))
            self._done()
            return True
        for place in places:
            self.dead_letter(place, reason, why)
        return False

    def dead_letter(self, place: Place, reason: NotifyReason, detail: str) -> None:
        """Make a dead letter of a record, which is not done with before that is written."""
        letter = letter_of(place, self._receiver.name, reason, detail, now=time.time())
        self._attempts.persist(lambda: self._write(letter))
        self._metrics.dead_letters[reason].inc()
        self._attempts.failed(
            f"{detail}; record {place.partition}@{place.offset} is in {self._topic}",
            up=reason != "delivery_given_up",
        )

    def _write(self, letter: DeadLetter) -> None:
        """Write a letter; without its payload if its topic takes none of that size."""
        try:
            self._letters.write(encode(letter))
        except TooLarge:
            self._letters.write(encode(without_payload(letter)))

    def set_aside(self, place: Place, error: Exception, *, letter: bool = True) -> None:
        """Go on after a record that failed in a way nobody foresaw."""
        self._faults.quarantined(place.topic, place.partition, place.offset, error)
        if letter:
            self.dead_letter(place, "invalid_record", _traceback(error))


def _traceback(error: Exception) -> str:
    """Return the end of a traceback, where it says what happened, within a letter's limit."""
    return "".join(traceback.format_exception(error))[-DETAIL_CHARACTERS:]
