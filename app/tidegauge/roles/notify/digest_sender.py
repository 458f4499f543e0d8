"""Sending the digest of one receiver when it is due."""

from functools import partial
from typing import Any

import msgspec
from confluent_kafka import KafkaException

from tidegauge.contract import Withheld, encode
from tidegauge.kafka import Interrupted
from tidegauge.notify import Channel, digest_body, step, was_told
from tidegauge.roles.notify.attempts import Attempts
from tidegauge.roles.notify.dead_letters import Place
from tidegauge.roles.notify.deliveries import Deliveries
from tidegauge.roles.notify.rate_limiter import RateLimiter
from tidegauge.roles.notify.silence_follower import SilenceFollower
from tidegauge.roles.notify.withheld_store import WithheldStore
from tidegauge.telemetry import ReceiverMetrics


class DigestSender:
    """Sends what ``limiter`` says is due over ``channel``, but for what is silenced by then."""

    def __init__(
        self,
        channel: Channel[Any],
        topic: str,
        *,
        withheld_store: WithheldStore,
        limiter: RateLimiter,
        silences: SilenceFollower,
        attempts: Attempts,
        deliveries: Deliveries,
        metrics: ReceiverMetrics,
    ) -> None:
        self._channel = channel
        self._topic = topic
        self._withheld_store = withheld_store
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
            self._attempts.persist(lambda: self._withheld_store.remove_collected(some))
        self._metrics.digest_waiting.set(self._withheld_store.collected_number)

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
        silence, kept = self._silences.over(alert), self._withheld_store.get(alert.fingerprint)
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
            self._attempts.persist(lambda: self._withheld_store.put(moved))
        elif todo.keep == "over":
            self._attempts.persist(lambda: self._withheld_store.remove(alert.fingerprint))
        self._attempts.persist(lambda: self._withheld_store.remove_collected([one]))
        return True
