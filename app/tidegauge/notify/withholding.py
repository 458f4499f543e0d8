"""What becomes of an alert at one receiver: sent now, collected for a digest, or withheld. Pure.

A period of a rate limit begins with its first message. After ``messages`` have been sent in it, the
alerts that follow are collected and sent as one digest at the end of the period. While alerts are
collected, every later alert joins them, so that none overtakes another. Critical alerts are counted
separately, with a limit of the same size: a storm of other alerts never delays one. More critical
alerts than that are collected too, for at most a minute.

While a silence covers an alert, at most one record of it is withheld: the one that says it fires
or, if that was delivered before the silence began, its last reminder. A receiver that was notified
of an alert is also notified of its end, silenced or not; otherwise it is notified of neither.
"""

from typing import Literal, NamedTuple

from tidegauge.contract import Alert, DecodingError, Silence, Withheld, decode, encode

#: What a digest waits for at most once it has a critical alert: the rest of the same storm.
CRITICAL_WAIT_SECONDS = 60.0


class Limit(NamedTuple):
    """At most so many ``messages`` in a period of ``seconds``."""

    messages: int
    seconds: float


class MessageBudget(NamedTuple):
    """Messages sent in the period that began at ``began``, epoch seconds."""

    began: float = 0.0
    sent: int = 0
    critical: int = 0

    def at(self, limit: Limit, now: float) -> "MessageBudget":
        """Return what holds at ``now``: nothing is spent once the period is over."""
        spent = self.sent or self.critical
        return (
            self if spent and self.began <= now < self.began + limit.seconds else MessageBudget(now)
        )

    def after(self, limit: Limit, now: float, *, critical: bool) -> "MessageBudget":
        """Return the budget after one more message."""
        known = self.at(limit, now)
        if critical:
            return known._replace(critical=known.critical + 1)
        return known._replace(sent=known.sent + 1)

    def text(self) -> str:
        """Write it as the metadata of a committed offset."""
        return encode(self).decode()


def read_budget(text: str | None) -> MessageBudget:
    """Read the metadata of a committed offset; what is no budget counts as nothing spent.

    >>> read_budget(MessageBudget(12.0, 3, 1).text()), read_budget("other"), read_budget(None)
    (MessageBudget(began=12.0, sent=3, critical=1), MessageBudget(began=0.0, sent=0, critical=0), \
MessageBudget(began=0.0, sent=0, critical=0))
    """
    try:
        return decode(text, MessageBudget)
    except DecodingError:
        return MessageBudget()


def is_critical(alert: Alert) -> bool:
    """Whether an alert is sent beyond the limit of the others."""
    return alert.severity == "critical"


def collect_until(
    limit: Limit | None, budget: MessageBudget, alert: Alert, now: float, *, collecting: bool
) -> float | None:
    """Return when the digest is due that an alert joins; None: it is sent now, by itself.

    ``collecting``: other alerts are waiting for a digest.
    """
    if limit is None:
        return now if collecting and not is_critical(alert) else None
    known = budget.at(limit, now)
    if is_critical(alert):
        return None if known.critical < limit.messages else now + CRITICAL_WAIT_SECONDS
    if collecting or known.sent >= limit.messages:
        return known.began + limit.seconds
    return None


def is_last(limit: Limit | None, budget: MessageBudget, alert: Alert, now: float) -> bool:
    """Whether the message of an alert is the last one before others are collected."""
    if limit is None or is_critical(alert):
        return False
    return budget.at(limit, now).sent + 1 == limit.messages


class Step(NamedTuple):
    """The decision on an alert.

    ``keep`` is what is withheld afterwards: ``this`` record, ``nothing``, or the ``same`` as
    before; ``over``: resolved before it was ever delivered, so not delivered.
    """

    deliver: bool
    keep: Literal["this", "nothing", "same", "over"]


def step(kept: Withheld | None, alert: Alert, silence: Silence | None) -> Step:
    """Decide on ``alert``; ``kept`` is what is kept of its fingerprint, ``silence`` what covers it.

    Reminders that are silenced by an acknowledgement are not delivered later either.
    """
    if alert.state == "resolved":
        return Step(False, "over") if never_notified(kept, alert) else Step(True, "nothing")
    if silence is None:
        return Step(True, "nothing")
    if silence.reminders_only or (alert.reminder and never_notified(kept, alert)):
        return Step(False, "same")
    return Step(False, "this")


def never_notified(kept: Withheld | None, alert: Alert) -> bool:
    """Whether the receiver was never notified of the episode of ``alert``."""
    return kept is not None and kept.alert.starts_at == alert.starts_at and not kept.told


def was_notified(kept: Withheld | None, alert: Alert) -> bool:
    """Whether the receiver was notified that ``alert`` fires, before this record of it."""
    return not _begins(alert) and not never_notified(kept, alert)


def _begins(alert: Alert) -> bool:
    """Whether it is the first record of its episode that receivers get."""
    return alert.event == "firing"


def is_waiting(kept: Withheld) -> bool:
    """Whether an alert is to be delivered later; otherwise the record marks an end."""
    return kept.alert.state != "resolved"
