"""How many messages a receiver gets in a period, and what is collected for a digest. Pure.

A period begins with its first message. Once ``messages`` have been sent in it, what follows is
collected and sent as one digest when the period is over. While anything is collected, every later
alert joins it, so that none overtakes another.

Critical alerts are counted apart, with a limit of the same size of their own: a storm of others
never delays one. Only more critical alerts than that are collected, and then for a minute at most.
"""

from typing import NamedTuple

from tidegauge.contract import Alert, DecodingError, decode, encode

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
