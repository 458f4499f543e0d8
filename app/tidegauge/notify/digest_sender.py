"""Sending the digest of one receiver when it is due."""

from functools import partial
from typing import Any

import msgspec
from confluent_kafka import KafkaException

from tidegauge.contract import Withheld, encode
from tidegauge.notify.attempts import Attempts
from tidegauge.notify.channel import Channel
from tidegauge.notify.deliveries import Deliveries
from tidegauge.notify.digest import digest_body
from tidegauge.notify.inbox import Interrupted
from tidegauge.notify.letters import Place
from tidegauge.notify.rate_limiter import RateLimiter
from tidegauge.notify.shelf import Shelf
from tidegauge.notify.silence_book import SilenceBook
from tidegauge.notify.withheld import step, was_told
from tidegauge.telemetry.delivery import ReceiverMetrics


class DigestSender:
    """Sends what ``limiter`` says is due over ``channel``, but for what is silenced by then."""

    def __init__(
        self,
        channel: Channel[Any],
        topic: str,
        *,
        shelf: Shelf,
        limiter: RateLimiter,
        silences: SilenceBook,
        attempts: Attempts,
        deliveries: Deliveries,
        metrics: ReceiverMetrics,
    ) -> None:
        self._channel = channel
        self._topic = topic
        self._shelf = shelf
        self._limiter = limiter
        self._silences = silences
        self._attempts = attempts
        self._deliveries = deliveries
        self._metrics = metrics

    def send_due(self, now: float) -> None:
        """Send the digest if it is due at ``now``.

        An alert is struck out after the message is delivered: after a crash in between, the same
        digest is sent again, by the same id.
        """
        some = [one for one in self._limiter.due() if not self._is_silenced_by_now(one)]
        if some:
            places = [self.place(one) for one in some]
            try:
                send = partial(self._channel.deliver_digest, self._limiter.digest_of(some))
                if self._deliveries.deliver(send, places, now):
                    self._limiter.sent(critical=False)
            except (Interrupted, KafkaException):
                raise
            except Exception as error:
                # One alert must not take all the others with it: they are sent in the next round.
                some = [one for one in some if not self._can_be_written(one)] or some
                for one in some:
                    self._deliveries.set_aside(self.place(one), error)
            self._attempts.persist(lambda: self._shelf.strike_collected(some))
        self._metrics.digest_waiting.set(self._shelf.collected_number)

    def place(self, one: Withheld) -> Place:
        """Return the place of an alert in its topic."""
        return Place(self._topic, one.partition, one.offset, encode(one.alert))

    def _can_be_written(self, one: Withheld) -> bool:
        try:
            digest_body(self._limiter.digest_of([one]))
        except Exception:
            return False
        return True

    def _is_silenced_by_now(self, one: Withheld) -> bool:
        """Decide again on an alert that waited: what a silence covers waits for the end of that."""
        alert = one.alert
        silence, kept = self._silences.over(alert), self._shelf.get(alert.fingerprint)
        todo = step(kept, alert, silence)
        if todo.deliver and self._channel.wants(alert):
            return False
        if not todo.deliver:
            self._metrics.silenced.inc()
        if todo.keep == "this":
            moved = msgspec.structs.replace(
                one,
                silence=silence.id if silence else "",
                told=was_told(kept, alert),
                digest="",
                due=0.0,
            )
            self._attempts.persist(lambda: self._shelf.put(moved))
        elif todo.keep == "over":
            self._attempts.persist(lambda: self._shelf.strike(alert.fingerprint))
        self._attempts.persist(lambda: self._shelf.strike_collected([one]))
        return True
