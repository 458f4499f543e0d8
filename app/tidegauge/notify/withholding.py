"""What becomes of an alert at one receiver: sent now, collected for a digest, or withheld. Pure.

A period of a rate limit begins with its first message. After ``messages`` have been sent in it, the
alerts that follow are collected and sent as one digest at the end of the period. While alerts are
collected, every later alert joins them, so that none overtakes another. Critical alerts are counted
separately, with a limit of the same size: a storm of other alerts never delays one. More critical
alerts than that are collected too, for at most a minute. A digest is one message for all of them:
counts, then a list.

While a silence covers an alert, at most one record of it is withheld: the one that says it fires
or, if that was delivered before the silence began, its last reminder. A receiver that was notified
of an alert is also notified of its end, silenced or not; otherwise it is notified of neither.
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from tidegauge.contract import (
    Alert,
    DecodingError,
    Severity,
    Silence,
    Withheld,
    counted,
    cut,
    decode,
    duration_text,
    encode,
    first_lines,
    printable,
    subject,
    without_subject,
)
from tidegauge.notify.message import COLOURS, SHORT_ID, Message, message, utc

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


#: Alerts that a message lists, and names that it counts by; the rest is a number.
_MOST_LISTED = 20
_MOST_NAMES = 10

#: Characters of a summary in the list.
_SUMMARY_CHARACTERS = 160

_ORDER: tuple[Severity, ...] = ("critical", "high", "medium", "low")


class Digest(NamedTuple):
    """The alerts that wait for one message, in the order of their topic; ``limit`` is why."""

    id: str
    alerts: list[Alert]
    limit: Limit | None

    @property
    def newest(self) -> list[Alert]:
        """The last record of each alert, the most severe first, of those the latest first."""
        last = {alert.fingerprint: alert for alert in self.alerts}
        return sorted(
            last.values(), key=lambda it: (_ORDER.index(it.severity), -it.starts_at, it.id)
        )

    @property
    def severity(self) -> Severity:
        """The worst severity in it."""
        return self.newest[0].severity


def digest_message(digest: Digest) -> Message:
    """Put a digest into words."""
    newest = digest.newest
    open_ones = [alert for alert in newest if alert.state != "resolved"]
    over = len(newest) - len(open_ones)
    models = {alert.model for alert in newest}
    alerts = counted(len(newest), "alert")
    of = printable(newest[0].model) if len(models) == 1 else counted(len(models), "model")
    facts = [
        ("Severity", _lines(Counter(it.severity for it in newest), len(_ORDER), _ORDER)),
        ("Rule", _lines(Counter(it.rule for it in newest), _MOST_NAMES)),
        ("Model", _lines(Counter(it.model for it in newest), _MOST_NAMES)),
        ("Between", f"{utc(min(it.window_end for it in newest))} and "
                    f"{utc(max(it.window_end for it in newest))}"),
    ]  # fmt: skip
    if open_ones:
        facts.append(("Firing", _list(open_ones)))
    if over:
        facts.append(("Resolved", _list([it for it in newest if it.state == "resolved"])))
    if len(digest.alerts) > len(newest):
        changes = f"{counted(len(digest.alerts), 'change')} of state; the list has the last of each"
        facts.append(("Changes", changes))
    facts.append(("Digest", digest.id))
    return Message(
        title=f"[digest, {digest.severity}] {alerts} of {of}",
        summary=f"{_why(digest.limit)} this message has the {alerts} that followed: "
        f"{len(open_ones):,} firing, {over:,} resolved by now.",
        facts=facts,
        advice=(
            "Look for one cause: many models at once are seldom many faults. "
            "If it is known, silence its rule or its models."
        ),
        commands=[
            ("List", "tidegauge alerts list"),
            ("Silence", f"tidegauge alerts silence {_silence(newest)} --for 2h --reason ..."),
        ],
        dashboard=None,
        runbook=None,
        colour=COLOURS[digest.severity],
    )


def message_of(record: Alert | Digest, note: str = "") -> Message:
    """Put an alert, with a ``note`` about its delivery, or a digest into words."""
    return digest_message(record) if isinstance(record, Digest) else message(record, note)


def limit_note(limit: Limit) -> str:
    """Say in the last message of a period what becomes of the alerts that follow."""
    return (
        f"this is message {limit.messages:,} of at most {limit.messages:,} in "
        f"{duration_text(limit.seconds)}; what follows in this period comes as one digest at its "
        "end, critical alerts at once"
    )


def digest_body(digest: Digest) -> bytes:
    """Return the JSON of a webhook: as that of an alert, with the state ``digest`` and a list."""
    text = digest_message(digest)
    fields = (
        "id", "episode", "fingerprint", "state", "severity", "rule", "model", "version", "variant",
        "segment", "signal", "metric", "value", "unit", "threshold", "starts_at", "ends_at",
        "window_end", "summary",
    )  # fmt: skip
    alerts: list[dict[str, Any]] = [
        {name: getattr(alert, name) for name in fields} for alert in digest.alerts
    ]
    return msgspec.json.encode(
        {
            "id": digest.id,
            "state": "digest",
            "severity": digest.severity,
            "title": text.title,
            "text": text.text(),
            "links": {"dashboard": None, "runbook": None},
            "alerts": alerts,
        }
    )


def _why(limit: Limit | None) -> str:
    if limit is None:
        return "The rate limit of this receiver had been reached;"
    return (
        f"The limit of {counted(limit.messages, 'message')} in {duration_text(limit.seconds)} was "
        "reached;"
    )


def _lines(found: Counter[Any], most: int, order: Sequence[str] = ()) -> str:
    ranked = sorted(
        found.items(),
        key=lambda it: (order.index(it[0]) if order else -it[1], it[0]),
    )
    return "\n".join(first_lines([f"{printable(name)}: {n:,}" for name, n in ranked], most))


def _list(alerts: Sequence[Alert]) -> str:
    return "\n".join(first_lines([_line(alert) for alert in alerts], _MOST_LISTED))


def _line(alert: Alert) -> str:
    state = "no data, was " if alert.state == "no_data" else ""
    summary = cut(without_subject(alert), _SUMMARY_CHARACTERS)
    text = f"{state}{alert.severity}  {subject(alert)}: {summary}  [{alert.id[:SHORT_ID]}]"
    return printable(text)


def _silence(newest: Iterable[Alert]) -> str:
    """Name what most of the alerts have in common, as options of the command."""
    (rule, _), *_ = Counter(alert.rule for alert in newest).most_common(1)
    return f"--rule {shlex.quote(printable(rule))}"
