"""The rate limit of one receiver as it stands: what was sent, and what waits for a digest.

What was sent is committed with the offsets, as their metadata, so both hold or neither does. What
waits is in the topic of withheld alerts, each with the id of its digest, before its offset is
committed. So a process that takes over, or the same one after a crash, goes on with the same count
and the same digest.
"""

import logging
from collections.abc import Callable, Iterable

from tidegauge.contract import Alert, Withheld, counted, deterministic_id, duration_text
from tidegauge.notify import (
    Digest,
    Limit,
    MessageBudget,
    collect_until,
    is_critical,
    is_last,
    limit_note,
    read_budget,
)
from tidegauge.roles.notify.dead_letters import Place
from tidegauge.roles.notify.withheld_store import WithheldStore

log = logging.getLogger(__name__)


class RateLimiter:
    """Decides for ``receiver`` what is sent and what is collected; ``clock`` is the wall clock."""

    def __init__(
        self,
        receiver: str,
        limit: Limit | None,
        withheld_store: WithheldStore,
        clock: Callable[[], float],
    ) -> None:
        self._receiver = receiver
        self._limit = limit
        self._withheld_store = withheld_store
        self._clock = clock
        self._budget = MessageBudget()

    @property
    def metadata(self) -> str:
        """What is committed with an offset."""
        return "" if self._limit is None else self._budget.text()

    def restore(self, metadata: Iterable[str | None]) -> None:
        """Go on from what was committed with the offsets of each partition."""
        self._budget = max((read_budget(text) for text in metadata), default=MessageBudget())

    def collect_until(self, alert: Alert) -> float | None:
        """Return when the digest is due that an alert joins; None: it is sent by itself."""
        collecting = self._withheld_store.any_collected is not None
        return collect_until(self._limit, self._budget, alert, self._clock(), collecting=collecting)

    def note(self, alert: Alert) -> str:
        """Return what people are to know with an alert: that it is the last before a digest."""
        if self._limit is None or not is_last(self._limit, self._budget, alert, self._clock()):
            return ""
        return limit_note(self._limit)

    def sent(self, *, critical: bool) -> None:
        """Count a message."""
        if self._limit is not None:
            self._budget = self._budget.after(self._limit, self._clock(), critical=critical)

    def sent_alert(self, alert: Alert) -> None:
        """Count the message of an alert."""
        self.sent(critical=is_critical(alert))

    def collected(self, place: Place, alert: Alert, due: float) -> Withheld:
        """Return the record of an alert that joins the digest, or begins one."""
        before = self._withheld_store.any_collected
        if before is not None:
            digest = before.digest
        else:
            digest = deterministic_id("digest", self._receiver, place.partition, place.offset)
            if self._limit is not None:
                log.warning(
                    "receiver %s: %s were sent in %s; what follows is collected, and sent as one "
                    "message in %s",
                    self._receiver,
                    counted(self._limit.messages, "message"),
                    duration_text(self._limit.seconds),
                    duration_text(max(0.0, due - self._clock())),
                )
        return Withheld(
            receiver=self._receiver,
            partition=place.partition,
            offset=place.offset,
            alert=alert,
            silence="",
            digest=digest,
            due=due,
        )

    def due(self) -> list[Withheld]:
        """Return what waits for the digest if that is due, in the order of the alerts."""
        return self._withheld_store.collected() if self._withheld_store.due <= self._clock() else []

    def digest_of(self, some: list[Withheld]) -> Digest:
        """Return the digest of what waited for it."""
        return Digest(some[0].digest, [one.alert for one in some], self._limit)
