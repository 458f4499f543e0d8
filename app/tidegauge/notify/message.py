"""The message about an alert that people read; each channel formats it.

It must be enough at 3 a.m.: which model, which signal, since when, how bad, and what to do.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import UNSET

from tidegauge.alerting import SILENCE
from tidegauge.contract import (
    RUNBOOK,
    Alert,
    SignalAlert,
    cohort_facts,
    counted,
    counted_in,
    duration_text,
    figure,
    first_lines,
    is_of_lost_values,
    limit_text,
    listed,
    metric_text,
    printable,
    quantity,
    segment_text,
    subject,
    utc_text,
    with_subject,
)

#: Metrics that are about the serving nodes rather than about the data.
_SERVING = ("latency_", "error_share")

#: Metrics that are about how much comes.
_VOLUME = ("events", "seconds_without_events")

_ADVICE = {
    "serving": (
        "Look at the serving nodes of this model. If it began with a release, roll that back."
    ),
    "volume": (
        "Look at whether the serving nodes still send, and at the lag of ingest. "
        "`tidegauge check` says what is wrong on this side."
    ),
    "broken": (
        "Tell the owner of the signals' source, or of the serving code: something changed there, "
        "and nothing is to be retrained on it. Right after a release: was a column renamed?"
    ),
    "labels": (
        "`tidegauge performance show` has the cohorts before and after. Drift alerts at the same "
        "time: the inputs changed, retrain. None: the same inputs have other outcomes now, or the "
        "labels are wrong. Since the first cohort: was the baseline made from training data?"
    ),
    "data": (
        "Find the source of the signal and what changed there. Missing or unseen values: a source "
        "broke; tell its owner, don't retrain. Many features and the prediction together: the "
        "traffic changed. Right after a release: was the baseline made from this version?"
    ),
}


class Message(NamedTuple):
    """An alert in words. ``facts`` are pairs of a name and a text, which may have lines.

    ``commands`` are what to run next, each with its purpose.
    """

    title: str
    summary: str
    facts: list[tuple[str, str]]
    advice: str | None
    commands: list[tuple[str, str]]
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
        for pairs in (self.commands, links):
            shown = [f"{name + ':':<{width}}{text}" for name, text in pairs if text]
            lines += ["", *shown] if shown else []
        return "\n".join(lines) + "\n"


#: Between the lines of a fact.
_BREAK = "\n"

#: Signals of one alert that a message names; the rest is a number.
_MOST = 10

#: Signals that a title names; more are a number.
_MOST_IN_TITLE = 3

#: Enough of an id to type; commands take any beginning that is unique.
SHORT_ID = 12

COLOURS = {"low": "#3274d9", "medium": "#e0a800", "high": "#e8590c", "critical": "#c92a2a"}
_RESOLVED, _NO_DATA = "#2b8a3e", "#868e96"


def message(alert: Alert, note: str = "") -> Message:
    """Put an alert into words; ``note`` is about its delivery."""
    resolved, no_data = alert.state == "resolved", alert.state == "no_data"
    what = "no events" if alert.metric == SILENCE else metric_text(alert.metric, _about(alert))
    state: str = "resolved" if resolved else alert.severity
    if alert.reminder or alert.event == "resumed":
        state = f"still {state}"
    elif no_data:
        state = f"no data, was {state}"
    elif alert.raised:
        state = f"now {state}"
    facts = _facts(alert)
    if note:
        facts.append(("Delivery", note))
    return Message(
        title=printable(f"[{state}] {subject(alert)}: {what} ({alert.rule})"),
        summary=printable(with_subject(alert)),
        facts=facts,
        advice=None if resolved else _ADVICE[_kind(alert)],
        commands=_commands(alert),
        dashboard=alert.links.dashboard,
        runbook=alert.links.runbook,
        colour=_RESOLVED if resolved else _NO_DATA if no_data else COLOURS[alert.severity],
    )


def _commands(alert: Alert) -> list[tuple[str, str]]:
    """Return what to run for the figures of an alert, and to end its reminders."""
    id = printable(alert.id[:SHORT_ID])
    commands = [("Show", f"tidegauge alerts show {id}")]
    if alert.state != "resolved":
        commands.append(("Ack", f'tidegauge alerts ack {id} --note "looking into it"'))
    return commands


def _current(alert: Alert) -> list[SignalAlert]:
    """Return the signals that are not over; of an alert that is, all that it had."""
    current = [one for one in alert.signals if one.ends_at is None]
    return current if current and alert.state != "resolved" else alert.signals


def _about(alert: Alert) -> str:
    """Name the signals that an alert is about now, or say how many; nothing where it has none."""
    names = [one.signal for one in _current(alert)]
    if len(names) > _MOST_IN_TITLE:
        return f"{len(names):,} signals"
    return ", ".join(names) or alert.signal or ""


def _signals(alert: Alert) -> str:
    """List the signals of an alert, the worst first, with what is not the same for all of them."""
    lines = []
    for one in alert.signals:
        text = f"{printable(one.signal)} {figure(one.value)}"
        if one.severity != alert.severity:
            text += f", {one.severity}"
        if one.starts_at != alert.starts_at:
            text += f", since {utc(one.starts_at)}"
        if one.ends_at is not None and one.ends_at != alert.ends_at:
            text += f", until {utc(one.ends_at)}"
        lines.append(text)
    return _BREAK.join(first_lines(lines, _MOST))


def _inhibited(alert: Alert) -> str:
    """List the alerts that are not sent because this one is."""
    lines = []
    for one in alert.inhibited:
        names = [printable(name) for name in one.signals]
        of = f": {listed(names, _MOST)}" if names else ""
        lines.append(f"{printable(one.rule)} ({one.severity}){of}")
    return _BREAK.join(lines)


def _facts(alert: Alert) -> list[tuple[str, str]]:
    facts = [("Model", printable(f"{alert.model} {alert.version}"))]
    if alert.variant:
        facts.append(("Variant", printable(alert.variant)))
    if alert.segment:
        segment = segment_text(alert.segment)
        facts.append(("Segment", printable(segment)))
    if alert.signal is not None:
        facts.append(("Signal", printable(alert.signal)))
    if alert.signals:
        facts.append(("Signals" if len(alert.signals) > 1 else "Signal", _signals(alert)))
    severity: str = alert.severity
    if alert.raised and alert.severities_before:
        severity += f", {alert.severities_before[-1]} before"
    facts.append(("Severity", severity))
    facts.append(("Since", utc(alert.starts_at)))
    if alert.ends_at is not None:
        lasted = duration_text(alert.ends_at - alert.starts_at)
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
    elif alert.metric == SILENCE and alert.state == "firing":
        facts.append(("No events", window))
    else:
        name = "Window" if alert.cohort is UNSET else "Predictions"
        facts.append((name, f"{window}, {counted(alert.events, counted_in(alert))}"))
    facts += [(it.capitalize(), text) for it, text in cohort_facts(alert)]
    facts.append(("Rule", printable(alert.rule)))
    if alert.inhibited:
        facts.append(("Includes", _inhibited(alert)))
    if alert.flapping and alert.state == "firing":
        text = "it has come and gone; resolved is sent only once it has stayed away"
        facts.append(("Flapping", text))
    facts += [(printable(name), printable(text)) for name, text in sorted(_said_by_rule(alert))]
    if alert.actions:
        requested = (
            f"{counted(len(alert.actions), 'action')} requested; see: tidegauge actions list"
        )
        facts.append(("Actions", requested))
    facts.append(("Alert", printable(alert.id)))
    return facts


def _said_by_rule(alert: Alert) -> Iterator[tuple[str, str]]:
    """Yield the labels and annotations of its rule, but for the runbook, which is a link."""
    yield from alert.labels.items()
    yield from ((name, text) for name, text in alert.annotations.items() if name != RUNBOOK)


def _measured(alert: Alert) -> str:
    worst = " at worst" if len(alert.signals) > 1 and alert.state == "firing" else ""
    return (
        f"{metric_text(alert.metric)} {quantity(alert.value, alert.unit, alert.threshold)}{worst}; "
        f"the rule fires {alert.comparison} {limit_text(alert.threshold, alert.unit)}"
    )


def _kind(alert: Alert) -> str:
    serving = alert.metric.startswith(_SERVING) or alert.signal == "latency_ms"
    if serving and alert.state != "no_data":
        return "serving"
    if alert.metric in _VOLUME or alert.state == "no_data":
        return "volume"
    if alert.cohort is not UNSET:
        return "labels"
    return "broken" if is_of_lost_values(alert.metric) else "data"


def utc(seconds: int) -> str:
    """Write a time for people.

    >>> utc(1772366400)
    '2026-03-01 12:00:00 UTC'
    """
    return utc_text(seconds, "%Y-%m-%d %H:%M:%S UTC")
