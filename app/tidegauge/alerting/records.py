"""Making the alerts, actions and audit facts: their ids, figures, times and sentences.

Every time in them is a window's, and every id follows from what the record is about, so that a
window judged again after a crash gives the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from tidegauge.alerting.cohorts import CohortWindow
from tidegauge.alerting.metrics import OF_COHORTS, SILENCE
from tidegauge.alerting.model import Rule
from tidegauge.alerting.state import AlertState, Episode, Incident
from tidegauge.contract import (
    Action,
    Alert,
    AlertEvent,
    AlertPhase,
    AuditFact,
    Distribution,
    Exact,
    SignalAlert,
    SignalHistogram,
    WindowReport,
    clock,
    counted,
    deterministic_id,
    duration_text,
    limit_text,
    listed,
    quantity,
    render,
    segment_text,
    sized,
)

#: Both count vectors of a signal, by baseline id, signal name and what the window counted;
#: ``None`` if the baseline is not at hand.
DistributionOf = Callable[[str, str, SignalHistogram], Distribution | None]


class EvaluationResult(NamedTuple):
    """The result of evaluating one report.

    ``stale``: it was not evaluated, as the state had already taken in this window or a later one.
    So it was a replay, a revision, or a window closed out of order. The last two are for
    :func:`tidegauge.alerting.evaluate.evaluate_late`.
    """

    state: AlertState
    alerts: list[Alert]
    actions: list[Action]
    audit: list[AuditFact]
    stale: bool = False


#: Signals that an alert lists, the worst first; its summary says how many there are. A thousand of
#: the longest names are half of what the topics of facts and actions take as a record.
MOST_LISTED = 1_000

#: The same of each rule that an alert inhibits.
MOST_INHIBITED = 100


def series_key(report: WindowReport) -> str:
    """Name the series that a report belongs to."""
    return deterministic_id("series", *_series(report))


def fingerprint(rule: str, report: WindowReport, signal: str | None) -> str:
    """Name what a rule watches, over all episodes."""
    watched = () if signal is None else (signal,)
    return _fingerprint(rule, *_series(report), *watched)


@lru_cache(maxsize=16_384)
def _fingerprint(*names: str) -> str:
    """Return the id of names; windows ask for those of the same ones again and again."""
    return deterministic_id("fingerprint", *names)


def _series(report: WindowReport) -> tuple[str, str, str, str]:
    segment = msgspec.json.encode(report.segment, order="deterministic").decode()
    return report.model, report.version, report.variant, segment


def alert_of(
    event: AlertEvent,
    identity: str,
    incident: Incident,
    report: WindowReport,
    *,
    rule: Rule,
    signals: Sequence[SignalAlert] = (),
    is_late: bool = False,
    asks: bool = False,
    withheld: str = "",
) -> Alert:
    """Return the alert after the window of ``report``; the caller adds actions and evidence.

    ``incident`` has the figures of that window; ``signals`` is the list of an alert about several.
    ``asks``: it requests the action of the rule, unless ``withheld`` says why not.
    """
    episode = incident.shown
    # The list also has what is over; the alert is about the rest.
    current = [one.signal for one in signals if one.ends_at is None]
    known = places(episode, report, current or [one.signal for one in signals])
    known["asks"] = asks_text(rule, withheld) if asks else ""
    if event in ("inactive", "resolved"):
        summary = ended_summary(incident, report, len(signals))
    else:
        template = rule.summary and rule.summary.removesuffix(ASKS)
        summary = held_summary(template, episode, report, known)
        if withheld or rule.dry_run or template != rule.summary:
            summary += str(known["asks"])
    windows = counted(rule.pending_windows, "window")
    if event == "pending":
        summary += f"; pending, fires after {windows} in a row"
    elif event == "reminder":
        summary += f"; for {duration_text(report.window_end - episode.starts_at)} now"
    elif event == "raised":
        summary += f"; now {episode.severity}, before {incident.severities_before[-1]}"
    elif event == "inactive":
        fired = episode.phase == "firing"
        summary += "; fired only while inhibited" if fired else "; was pending, has never fired"
    elif event == "firing" and incident.flapping:
        summary += (
            "; it comes and goes, so it is resolved only after "
            f"{counted(rule.flapping_windows, 'window')} in a row without it"
        )
    if is_late:
        summary += "; found when late events were counted"
    alert = _alert(event, identity, incident, report, summary=summary)
    alert.revised = is_late
    alert.signals = list(signals[:MOST_LISTED])
    alert.dry_run = rule.dry_run
    alert.withheld = withheld
    alert.annotations = {name: render(text, known) for name, text in rule.annotations.items()}
    return alert


def no_data_alert(
    identity: str, incident: Incident, report: WindowReport, signals: Sequence[SignalAlert]
) -> Alert:
    """Return the alert that reports that no window was judged in the time of ``report``."""
    episode = incident.shown
    names = [one.signal for one in signals if one.ends_at is None]
    of = listed(names) if names else episode.signal
    watched = episode.metric if of is None else f"{episode.metric} of {of}"
    lasted = duration_text(report.window_end - report.window_start)
    summary = with_segment(
        f"{report.model} {report.version}: no data for {lasted}; it is unknown whether {watched} "
        f"is still {episode.comparison} {limit_text(episode.threshold, episode.unit)}; the alert "
        f"was {incident.reported}",
        report,
    )
    alert = _alert("no_data", identity, incident, report, summary=summary)
    alert.signals = list(signals[:MOST_LISTED])
    alert.was = incident.reported
    return alert


def abandoned_alert(identity: str, incident: Incident, report: WindowReport, reason: str) -> Alert:
    """Return the end of an alert whose rule is gone, with the last value that was reported."""
    event: AlertEvent = "resolved" if incident.reported == "firing" else "inactive"
    return _alert(event, identity, incident, report, summary=reason)


def _alert(
    event: AlertEvent, identity: str, incident: Incident, report: WindowReport, *, summary: str
) -> Alert:
    episode = incident.shown
    # These change no state, so they need a number to have an id of their own.
    reminder = incident.reminders if event == "reminder" else 0
    raised = len(incident.severities_before) if event == "raised" else 0
    state: AlertPhase = "firing"
    if event != "reminder" and event != "raised" and event != "resumed":
        state = event
    numbered: tuple[str | int, ...] = (reminder,) if reminder else ()
    if raised:
        numbered = ("raised", raised)
    elif incident.outages and event in ("pending", "firing", "resumed", "no_data"):
        # After no data, a state comes again in the same episode.
        numbered = ("outage", incident.outages)
    revision: tuple[str | int, ...] = ("revision", incident.revision) if incident.revision else ()
    return Alert(
        id=deterministic_id("alert", identity, episode.starts_at, state, *numbered, *revision),
        fingerprint=identity,
        state=state,
        rule=episode.rule,
        severity=episode.severity,
        model=report.model,
        version=report.version,
        variant=report.variant,
        segment=report.segment,
        signal=None if incident.grouped else episode.signal,
        metric=episode.metric,
        comparison=episode.comparison,
        threshold=episode.threshold,
        value=episode.value,
        unit=episode.unit,
        events=episode.events,
        minimum_events=episode.minimum_events,
        starts_at=episode.starts_at,
        ends_at=report.window_start if event in ("inactive", "resolved") else None,
        window_start=report.window_start,
        window_end=report.window_end,
        report=report.id,
        baseline=episode.baseline,
        counted=report.counted,
        distribution=None,
        actions=[],
        summary=summary,
        episode=deterministic_id("episode", identity, episode.starts_at, *revision),
        reminder=reminder,
        raised=raised,
        severities_before=incident.severities_before,
        flapping=incident.flapping,
        labels=episode.labels,
        receivers=episode.receivers,
        threshold_by="alarm_budget" if episode.metric == "surprise" else "rule",
        action=incident.action,
    )


def requested_action(alert: Alert, rule: Rule) -> Action:
    """Return the request of the rule's action; the caller fills in its data."""
    assert rule.action is not None  # noqa: S101 - only rules with one ask for it
    return Action(
        id=deterministic_id("action", alert.id, rule.action),
        kind=rule.action,
        alert=alert.id,
        rule=alert.rule,
        model=alert.model,
        version=alert.version,
        variant=alert.variant,
        requested_at=alert.time,
        reason=alert.summary,
        data=None,
        expires_at=alert.time + rule.expires_after,
        dry_run=rule.dry_run,
        segment=alert.segment,
    )


def audit_of_alert(alert: Alert) -> AuditFact:
    """Record a step in the life of an alert, with the figures that decided it."""
    return _audit(alert.id, f"alert.{alert.event.replace('_', '')}", alert, {})


def audit_of_inhibited(alert: Alert, inhibited_by: Sequence[str]) -> AuditFact:
    """Record that an alert would have fired, and which rules inhibited it."""
    inputs = {"inhibited_by": " ".join(inhibited_by)}
    return _audit(alert.episode, "alert.inhibited", alert, inputs)


def _listed(alert: Alert) -> dict[str, str]:
    """Return what most alerts have none of."""
    lists = {
        "signals": " ".join(one.signal for one in alert.signals),
        "severities_before": " ".join(alert.severities_before),
        "revised": "true" if alert.revised else "",
    }
    return {name: names for name, names in lists.items() if names}


def _of_cohort(alert: Alert) -> dict[str, str]:
    """Return what the alert of a cohort rests on; its window is that of the predictions."""
    if alert.cohort is UNSET:
        return {}
    found, its = alert.cohort, alert.cohort.figure
    names = ("time", "labelled", "worsening", "bound", "chance")
    reference = found.baseline_figure
    values = {name: getattr(found, name) for name in names} | {
        "low": its.low,
        "high": its.high,
        "baseline_value": None if reference is None else reference.value,
    }
    return {f"cohort_{name}": str(it) for name, it in values.items() if it is not None}


def audit_of_action(action: Action, alert: Alert) -> AuditFact:
    """Record that an action was requested, with the alert and the figures that decided it."""
    inputs = {
        "action": action.kind,
        "alert": action.alert,
        "dry_run": "true" if action.dry_run else "false",
    }
    return _audit(action.id, "action.requested", alert, inputs)


def audit_of_withheld(action: Action, alert: Alert, why: str) -> AuditFact:
    """Record that an action was withheld, and why."""
    inputs = {"action": action.kind, "alert": action.alert, "withheld": why}
    return _audit(action.id, "action.withheld", alert, inputs)


#: Fields of an alert that its facts have.
_INPUTS = (
    "episode", "report", "baseline", "severity", "variant", "metric", "value", "unit", "comparison",
    "threshold", "events", "minimum_events", "starts_at", "window_start", "window_end",
    "rules_sha256",
)  # fmt: skip


def _audit(subject: str, event: str, alert: Alert, inputs: dict[str, str]) -> AuditFact:
    return AuditFact(
        id=deterministic_id("audit", subject),
        time=alert.time,
        actor=f"rule:{alert.rule}",
        event=event,
        subject=subject,
        model=alert.model,
        version=alert.version,
        reason=alert.summary,
        inputs=inputs
        | _listed(alert)
        | _of_cohort(alert)
        | {name: str(getattr(alert, name)) for name in _INPUTS}
        | {"segment": segment_text(alert.segment), "signal": alert.signal or ""},
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
        thing = "event"
        if episode.metric in OF_COHORTS:
            thing = "prediction" if episode.metric == "label_coverage" else "label"
        values = {**values, "counted": counted(episode.events, thing)}
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
        **_places_of_cohort(episode, report),
    }


def _places_of_cohort(episode: Episode, report: WindowReport) -> dict[str, str]:
    """Return what is known of a figure of labels; empty texts of others."""
    found = dict.fromkeys(("baseline_value", "worse", "interval"), "")
    if not isinstance(report, CohortWindow):
        return found
    figure = report.cohort.performance.figures.get(episode.metric)
    worse = report.cohort.worsening.get(episode.metric)
    base = report.cohort.baseline_figures.get(episode.metric)

    def text(value: float) -> str:
        return quantity(value, "" if episode.unit in _UNSPOKEN else episode.unit)

    if base is not None:
        found["baseline_value"] = text(base)
    if worse is not None and worse.value is not None:
        found["worse"] = quantity(abs(worse.value), "share")
    elif base == 0 and figure is not None and figure.value is not None:
        found["worse"] = text(abs(figure.value))  # there is no share of 0
    if figure is not None and figure.low is not None and figure.high is not None:
        found["interval"] = f"{text(figure.low)} to {text(figure.high)}"
    return found


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
