"""The rate limit of one receiver, and the digest of the alerts that it holds back.

The number of messages sent is committed as metadata of the offsets, so both are stored or neither
is. Alerts that wait are in the topic of withheld alerts, each with the id of its digest, before
their offsets are committed. So a process that takes over, or the same one after a crash, continues
with the same count and the same digest.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import msgspec

from tidegauge.contract import Alert, Withheld, counted, deterministic_id, duration_text, encode
from tidegauge.kafka import Interrupted, KafkaException
from tidegauge.notify import (
    Channel,
    Digest,
    Limit,
    MessageBudget,
    collect_until,
    digest_body,
    is_critical,
    is_last,
    limit_note,
    read_budget,
    step,
    was_notified,
)
from tidegauge.roles.notify.deliveries import Attempts, Deliveries, Place
from tidegauge.roles.notify.withheld import SilenceFollower, WithheldStore
from tidegauge.telemetry import ReceiverMetrics

log = logging.getLogger(__name__)


@dataclass(eq=False)
class RateLimiter:
    """Decides for ``receiver`` what is sent and what is collected; ``clock`` is the wall clock."""

    receiver: str
    limit: Limit | None
    withheld_store: WithheldStore
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._budget = MessageBudget()

    @property
    def metadata(self) -> str:
        """What is committed with an offset."""
        return "" if self.limit is None else self._budget.text()

    def restore(self, metadata: Iterable[str | None]) -> None:
        """Continue from what was committed with the offsets of each partition."""
        self._budget = max((read_budget(text) for text in metadata), default=MessageBudget())

    def collect_until(self, alert: Alert) -> float | None:
        """Return when the digest is due that an alert joins; None: it is sent by itself."""
        collecting = self.withheld_store.any_collected is not None
        return collect_until(self.limit, self._budget, alert, self.clock(), collecting=collecting)

    def note(self, alert: Alert) -> str:
        """Return a note for people if an alert is the last one before a digest."""
        if self.limit is None or not is_last(self.limit, self._budget, alert, self.clock()):
            return ""
        return limit_note(self.limit)

    def sent(self, alert: Alert | None = None) -> None:
        """Count the message of an alert; without one, that of a digest."""
        if self.limit is not None:
            critical = alert is not None and is_critical(alert)
            self._budget = self._budget.after(self.limit, self.clock(), critical=critical)

    def collected(self, place: Place, alert: Alert, due: float) -> Withheld:
        """Return the record of an alert that joins the digest, or begins one."""
        before = self.withheld_store.any_collected
        if before is not None:
            digest = before.digest
        else:
            digest = deterministic_id("digest", self.receiver, place.partition, place.offset)
            if self.limit is not None:
                log.warning(
                    "receiver %s: %s were sent in %s; later alerts are collected and sent as one "
                    "message in %s",
                    self.receiver,
                    counted(self.limit.messages, "message"),
                    duration_text(self.limit.seconds),
                    duration_text(max(0.0, due - self.clock())),
                )
        return Withheld(
            receiver=self.receiver,
            partition=place.partition,
            offset=place.offset,
            alert=alert,
            silence="",
            digest=digest,
            due=due,
        )

    def due(self) -> list[Withheld]:
        """Return what waits for the digest if that is due, in the order of the alerts."""
        return self.withheld_store.collected() if self.withheld_store.due <= self.clock() else []

    def digest_of(self, some: list[Withheld]) -> Digest:
        """Return the digest of what waited for it."""
        return Digest(some[0].digest, [one.alert for one in some], self.limit)


@dataclass(eq=False)
class DigestSender:
    """Sends the alerts that are due by ``limiter``, except those that are silenced by then."""

    channel: Channel[Any]
    topic: str
    _: KW_ONLY
    withheld_store: WithheldStore
    limiter: RateLimiter
    silences: SilenceFollower
    attempts: Attempts
    deliveries: Deliveries
    metrics: ReceiverMetrics

    def send_due(self, now: float) -> None:
        """Send the digest if it is due at ``now``.

        An alert is removed after the message is delivered. After a crash in between, the same
        digest is sent again with the same id.
        """
        some = [one for one in self.limiter.due() if not self._is_silenced_by_now(one)]
        if some:
            places = [self.place(one) for one in some]
            try:
                send = partial(self.channel.deliver, self.limiter.digest_of(some))
                if self.deliveries.deliver(send, places, now):
                    self.limiter.sent()
            except (Interrupted, KafkaException):
                raise
            except Exception as error:
                # One bad alert must not lose the others: they are sent in the next round.
                some = [one for one in some if not self._can_be_written(one)] or some
                for one in some:
                    self.deliveries.set_aside(self.place(one), error)
            self.attempts.persist(lambda: self.withheld_store.remove_collected(some))
        self.metrics.digest_waiting.set(self.withheld_store.collected_number)

    def place(self, one: Withheld) -> Place:
        """Return the place of an alert in its topic."""
        return Place(self.topic, one.partition, one.offset, encode(one.alert))

    def _can_be_written(self, one: Withheld) -> bool:
        try:
            digest_body(self.limiter.digest_of([one]))
        except Exception:
            return False
        return True

    def _is_silenced_by_now(self, one: Withheld) -> bool:
        """Decide again on an alert that waited: under a silence it waits for the end of that."""
        alert = one.alert
        silence, kept = self.silences.over(alert), self.withheld_store.get(alert.fingerprint)
        todo = step(kept, alert, silence)
        if todo.deliver and self.channel.wants(alert):
            return False
        if not todo.deliver:
            self.metrics.silenced.inc()
        if todo.keep == "this":
            moved = msgspec.structs.replace(
                one,
                silence=silence.id if silence else "",
                told=was_notified(kept, alert),
                digest="",
                due=0.0,
            )
            self.attempts.persist(lambda: self.withheld_store.put(moved))
        elif todo.keep == "over":
            self.attempts.persist(lambda: self.withheld_store.remove(alert.fingerprint))
        self.attempts.persist(lambda: self.withheld_store.remove_collected([one]))
        return True
