"""The sentences of alerts: that a rule holds, what is requested, and that it is over."""

from collections.abc import Mapping, Sequence

from tidegauge.alerting.metrics import SILENCE
from tidegauge.alerting.model import Rule
from tidegauge.alerting.state import Episode, Incident
from tidegauge.contract import (
    Exact,
    WindowReport,
    clock,
    counted,
    duration_text,
    limit_text,
    listed,
    quantity,
    render,
    segment_text,
    sized,
)

_OF_SIGNAL = (
    "{model} {version}: {metric} of {signal} is {amount}, {comparison} {limit}, in {counted}"
)
_OF_SIGNALS = (
    "{model} {version}: {metric} is {comparison} {limit} for {signal}, at worst {amount}, in "
    "{counted}"
)
_OF_WINDOW = "{model} {version}: {metric} is {amount}, {comparison} {limit}, in {counted}"
_OF_INACTIVITY = "{model} {version}: no events for {amount}, longer than {limit}"

#: Units that are no more than the metric's name says already.
_UNSPOKEN = frozenset({"value", "signals", "events"})

#: At the end of a template, it comes after the segment too.
ASKS = "{asks}"


def held_summary(
    template: str | None,
    episode: Episode,
    report: WindowReport,
    values: Mapping[str, str | int | float],
) -> str:
    """Say that the rule holds, by its template or by a default one; ``values`` fill it in."""
    if template is None:
        template = _OF_WINDOW if episode.signal is None else _OF_SIGNAL
        if episode.metric == SILENCE:
            template = _OF_INACTIVITY
        elif int(values["signals"]) > 1:
            template = _OF_SIGNALS
        values = {**values, "counted": counted(episode.events, "event")}
    return with_segment(render(template, values), report)


def asks_text(rule: Rule, withheld: str) -> str:
    """Say what an alert asks for, or that it doesn't, as the end of its summary."""
    if withheld:
        return f"; no {rule.action} is asked for: {withheld}"
    meant = ", as a dry run: it is not to be carried out" if rule.dry_run else ""
    return f"; asks for a {rule.action}{meant}"


def _drifted(report: WindowReport) -> str:
    """Name the signals that drift together, with the size of each drift."""
    patterns = [part.pattern for part in report.parts if part.pattern is not None]
    most = max(patterns, key=lambda it: len(it.drifts), default=None)
    return sized([(one.signal, one.psi_corrected) for one in most.drifts]) if most else ""


_OF_EPISODE = (
    "rule", "severity", "metric", "value", "unit", "comparison", "events", "minimum_events",
)  # fmt: skip
_OF_REPORT = ("model", "version", "variant", "window_start", "window_end")


def places(
    episode: Episode, report: WindowReport, signals: Sequence[str]
) -> dict[str, str | int | float]:
    """Return what a template may name, as :data:`~tidegauge.alerting.consistency.SAMPLE` lists."""
    return {
        **{name: getattr(episode, name) for name in _OF_EPISODE},
        **{name: getattr(report, name) for name in _OF_REPORT},
        "segment": segment_text(report.segment),
        "signal": listed(signals) if signals else episode.signal or "",
        "signals": len(signals) or int(episode.signal is not None),
        "amount": _amount(episode),
        "limit": limit_text(episode.threshold, episode.unit),
        "threshold": Exact(episode.threshold),
        "since": clock(episode.starts_at, report.window_end),
        "are": "are" if len(signals) > 1 else "is",
        "drifted": _drifted(report),
        "asks": "",
    }


def ended_summary(incident: Incident, report: WindowReport, signals: int) -> str:
    """Say that the rule no longer holds, and how long it did."""
    episode = incident.shown
    lasted = duration_text(report.window_start - episode.starts_at)
    limit = f"{episode.comparison} {limit_text(episode.threshold, episode.unit)}"
    if episode.metric == SILENCE:
        text = f"events again, after {lasted} without any"
    elif signals > 1:
        text = f"{episode.metric} of {signals} signals is no longer {limit}, after {lasted}"
    else:
        watched = (
            episode.metric if episode.signal is None else f"{episode.metric} of {episode.signal}"
        )
        amount = _amount(episode, beside=False)
        text = f"{watched} is back at {amount}, no longer {limit}, after {lasted}"
    return with_segment(f"{report.model} {report.version}: {text}", report)


def with_segment(summary: str, report: WindowReport) -> str:
    """Say at the end which segment it is about, where nothing says so yet."""
    segment = segment_text(report.segment)
    return summary if segment in summary else f"{summary} ({segment})"


def _amount(episode: Episode, *, beside: bool = True) -> str:
    """Write the value with its unit, and with digits that show on which side it is."""
    unit = "" if episode.unit in _UNSPOKEN else episode.unit
    return quantity(episode.value, unit, episode.threshold if beside else None)
