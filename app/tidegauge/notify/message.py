"""What a person reads of an alert: one message, written down in several forms.

It must do at 3 a.m.: which model, which signal, since when, how bad, and what to do.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from tidegauge.contract import Alert
from tidegauge.rules import RUNBOOK, short

#: Metrics that are about the serving nodes rather than about the data.
_SERVING = ("latency_", "error_share")

#: Metrics that are about how much comes.
_VOLUME = ("events", "seconds_without_events")

#: Units that a reader wants after a figure; the others follow from the metric's name.
_UNITS = {
    "nats": " nats",
    "bins": " bins",
    "ms": " ms",
    "s": " s",
    "of the alarm threshold": " times the alarm threshold",
}

_ADVICE = {
    "serving": (
        "Look at the serving nodes of this model. If it began with a release, roll that back."
    ),
    "volume": (
        "Look at whether the serving nodes still send, and at the lag of ingest. "
        "`tidegauge check` says what is wrong on this side."
    ),
    "data": (
        "Find the source of the signal and what changed there. Missing or unseen values: a source "
        "broke; tell its owner, don't retrain. Many features and the prediction together: the "
        "traffic changed. Right after a release: was the baseline made from this version?"
    ),
}


class Message(NamedTuple):
    """An alert in words. ``facts`` are pairs of a name and what there is to say."""

    title: str
    summary: str
    facts: list[tuple[str, str]]
    advice: str | None
    dashboard: str | None
    runbook: str | None
    colour: str

    def text(self) -> str:
        """Return all of it as plain text, names in a column of their own."""
        width = max(len("Dashboard"), *(len(name) for name, _ in self.facts)) + 2
        lines = [self.summary, "", *(f"{name + ':':<{width}}{fact}" for name, fact in self.facts)]
        if self.advice:
            lines += ["", "What to do: " + self.advice]
        links = [("Runbook", self.runbook), ("Dashboard", self.dashboard)]
        shown = [f"{name + ':':<{width}}{url}" for name, url in links if url]
        lines += ["", *shown] if shown else []
        return "\n".join(lines) + "\n"


_COLOURS = {"low": "#3274d9", "medium": "#e0a800", "high": "#e8590c", "critical": "#c92a2a"}
_RESOLVED, _NO_DATA = "#2b8a3e", "#868e96"


def message(alert: Alert) -> Message:
    """Put an alert into words."""
    resolved, no_data = alert.state == "resolved", alert.state == "no_data"
    who = one_line(f"{alert.model} {alert.version}")
    what = alert.metric if alert.signal is None else f"{alert.metric} of {alert.signal}"
    state: str = "resolved" if resolved else alert.severity
    if alert.reminder or (alert.state == "firing" and alert.was == "firing"):
        state = f"still {state}"
    elif no_data:
        state = f"no data, was {state}"
    return Message(
        title=one_line(f"[{state}] {who}: {what} ({alert.rule})"),
        summary=alert.summary,
        facts=_facts(alert, who),
        advice=None if resolved else _ADVICE[_kind(alert)],
        dashboard=alert.links.dashboard,
        runbook=alert.links.runbook,
        colour=_RESOLVED if resolved else _NO_DATA if no_data else _COLOURS[alert.severity],
    )


def _facts(alert: Alert, who: str) -> list[tuple[str, str]]:
    facts = [("Model", who)]
    if alert.variant:
        facts.append(("Variant", one_line(alert.variant)))
    if alert.segment:
        segment = ", ".join(f"{name}={value}" for name, value in sorted(alert.segment.items()))
        facts.append(("Segment", one_line(segment)))
    if alert.signal is not None:
        facts.append(("Signal", one_line(alert.signal)))
    facts.append(("Severity", alert.severity))
    facts.append(("Since", utc(alert.starts_at)))
    if alert.ends_at is not None:
        lasted = duration(alert.ends_at - alert.starts_at)
        facts.append(("Until", f"{utc(alert.ends_at)}, after {lasted}"))
    facts.append(("Measured", _measured(alert)))
    if alert.evidence is not None and alert.evidence.size is not None:
        psi = alert.evidence.psi_corrected
        size = alert.evidence.size if psi is None else f"{alert.evidence.size}, PSI {figure(psi)}"
        facts.append(("Size", size))
    if alert.evidence is not None and alert.evidence.change is not None:
        facts.append(("Onset", f"about {utc(alert.evidence.change.onset_window_end)}"))
    window = f"{utc(alert.window_start)} to {utc(alert.window_end)[11:]}"
    if alert.state == "no_data":
        facts.append(("No data", window))
    else:
        facts.append(("Window", f"{window}, {alert.events:,} events"))
    facts.append(("Rule", one_line(alert.rule)))
    facts += [(one_line(name), one_line(text)) for name, text in sorted(_said_by_rule(alert))]
    if alert.actions:
        n = len(alert.actions)
        facts.append(("Actions", f"{n} asked for; see the topic of actions"))
    return facts


def _said_by_rule(alert: Alert) -> Iterator[tuple[str, str]]:
    """Yield the labels and annotations of its rule, but for the runbook, which is a link."""
    yield from alert.labels.items()
    yield from ((name, text) for name, text in alert.annotations.items() if name != RUNBOOK)


def _measured(alert: Alert) -> str:
    unit = _UNITS.get(alert.unit, "")
    return (
        f"{alert.metric} {figure(alert.value)}{unit}; "
        f"the rule fires {alert.comparison} {figure(alert.threshold)}"
    )


def _kind(alert: Alert) -> str:
    serving = alert.metric.startswith(_SERVING) or alert.signal == "latency_ms"
    if serving and alert.state != "no_data":
        return "serving"
    return "volume" if alert.metric in _VOLUME or alert.state == "no_data" else "data"


def one_line(text: str) -> str:
    r"""Return a text without line breaks or other control characters, which no title may have.

    >>> one_line("credit\n3")
    'credit 3'
    """
    return "".join(character if character.isprintable() else " " for character in text)


def figure(value: float) -> str:
    """Write a figure for people: three significant digits of a small one, all of a large one's.

    >>> figure(0.0743570), figure(13.3456), figure(12345.6)
    ('0.0744', '13.3', '12345.6')
    """
    return f"{value:.3g}" if abs(value) < 1000 else short(value)


def utc(seconds: int) -> str:
    """Write a time for people.

    >>> utc(1772366400)
    '2026-03-01 12:00:00 UTC'
    """
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def duration(seconds: int) -> str:
    """Write a length of time by its two largest units.

    >>> duration(59), duration(3720), duration(90000), duration(0)
    ('59 s', '1 h 2 min', '1 d 1 h', '0 s')
    """
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        n, seconds = divmod(seconds, size)
        if n:
            parts.append(f"{n} {name}")
    return " ".join(parts[:2]) or "0 s"
