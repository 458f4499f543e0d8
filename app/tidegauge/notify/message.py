"""What a person reads of an alert: one message, written down in several forms.

It must do at 3 a.m.: which model, which signal, since when, how bad, and what to do.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from tidegauge.contract import Alert
from tidegauge.printable import printable
from tidegauge.rules import RUNBOOK, listed, short

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
    """An alert in words. ``facts`` are pairs of a name and what there is to say, in lines."""

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
        lines = [self.summary, ""]
        for name, fact in self.facts:
            lines.append(f"{name + ':':<{width}}{fact.replace(_BREAK, _BREAK + ' ' * width)}")
        if self.advice:
            lines += ["", "What to do: " + self.advice]
        links = [("Runbook", self.runbook), ("Dashboard", self.dashboard)]
        shown = [f"{name + ':':<{width}}{url}" for name, url in links if url]
        lines += ["", *shown] if shown else []
        return "\n".join(lines) + "\n"


#: Between the lines of a fact.
_BREAK = "\n"

#: Signals of one alert that a message names; the rest is a number.
_MOST = 10

_COLOURS = {"low": "#3274d9", "medium": "#e0a800", "high": "#e8590c", "critical": "#c92a2a"}
_RESOLVED, _NO_DATA = "#2b8a3e", "#868e96"


def message(alert: Alert) -> Message:
    """Put an alert into words."""
    resolved, no_data = alert.state == "resolved", alert.state == "no_data"
    who = printable(f"{alert.model} {alert.version}")
    what = alert.metric if not _about(alert) else f"{alert.metric} of {_about(alert)}"
    state: str = "resolved" if resolved else alert.severity
    if alert.reminder or alert.event == "resumed":
        state = f"still {state}"
    elif no_data:
        state = f"no data, was {state}"
    elif alert.raised:
        state = f"now {state}"
    return Message(
        title=printable(f"[{state}] {who}: {what} ({alert.rule})"),
        summary=printable(alert.summary),
        facts=_facts(alert, who),
        advice=None if resolved else _ADVICE[_kind(alert)],
        dashboard=alert.links.dashboard,
        runbook=alert.links.runbook,
        colour=_RESOLVED if resolved else _NO_DATA if no_data else _COLOURS[alert.severity],
    )


def _about(alert: Alert) -> str:
    """Name the signal of an alert, or say how many there are; nothing where it is of none."""
    if len(alert.signals) == 1:
        return alert.signals[0].signal
    return f"{len(alert.signals)} signals" if alert.signals else alert.signal or ""


def _signals(alert: Alert) -> str:
    """List the signals of an alert, the worst first, with what is not the same for all of them."""
    lines = []
    for one in alert.signals[:_MOST]:
        said = f"{printable(one.signal)} {figure(one.value)}"
        if one.severity != alert.severity:
            said += f", {one.severity}"
        if one.starts_at != alert.starts_at:
            said += f", since {utc(one.starts_at)}"
        if one.ends_at is not None and one.ends_at != alert.ends_at:
            said += f", until {utc(one.ends_at)}"
        lines.append(said)
    more = len(alert.signals) - _MOST
    if more > 0:
        lines.append(f"and {more} more")
    return _BREAK.join(lines)


def _inhibited(alert: Alert) -> str:
    """List what is not told because this alert is."""
    lines = []
    for one in alert.inhibited:
        names = [printable(name) for name in one.signals]
        said = f": {listed(names, _MOST)}" if names else ""
        lines.append(f"{printable(one.rule)} ({one.severity}){said}")
    return _BREAK.join(lines)


def _facts(alert: Alert, who: str) -> list[tuple[str, str]]:
    facts = [("Model", who)]
    if alert.variant:
        facts.append(("Variant", printable(alert.variant)))
    if alert.segment:
        segment = ", ".join(f"{name}={value}" for name, value in sorted(alert.segment.items()))
        facts.append(("Segment", printable(segment)))
    if alert.signal is not None:
        facts.append(("Signal", printable(alert.signal)))
    if alert.signals:
        facts.append(("Signals" if len(alert.signals) > 1 else "Signal", _signals(alert)))
    severity: str = alert.severity
    if alert.raised:
        severity += f", {alert.severities_before[-1]} before"
    facts.append(("Severity", severity))
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
    facts.append(("Rule", printable(alert.rule)))
    if alert.inhibited:
        facts.append(("Says also", _inhibited(alert)))
    if alert.flapping and alert.state == "firing":
        facts.append(("Flapping", "it has come and gone; its end is told once it stays away"))
    facts += [(printable(name), printable(text)) for name, text in sorted(_said_by_rule(alert))]
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
    worst = " at worst" if len(alert.signals) > 1 and alert.state == "firing" else ""
    return (
        f"{alert.metric} {figure(alert.value)}{unit}{worst}; "
        f"the rule fires {alert.comparison} {figure(alert.threshold)}"
    )


def _kind(alert: Alert) -> str:
    serving = alert.metric.startswith(_SERVING) or alert.signal == "latency_ms"
    if serving and alert.state != "no_data":
        return "serving"
    return "volume" if alert.metric in _VOLUME or alert.state == "no_data" else "data"


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
