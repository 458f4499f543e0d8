"""One message for the alerts that a receiver's rate limit held back: counts, then a list. Pure."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tidegauge.contract import (
    Alert,
    Severity,
    counted,
    cut,
    duration_text,
    first_lines,
    printable,
    subject,
    without_subject,
)
from tidegauge.notify.message import COLOURS, SHORT_ID, Message, message, utc
from tidegauge.notify.withholding import Limit

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
