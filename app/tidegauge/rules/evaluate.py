"""The alert fold: window reports in, the events of alerts out.

An episode begins with the first judged window in which a rule holds. It fires in the ``for``-th
such window in a row, and is over after ``keep_firing_for`` judged windows in a row in which the
rule doesn't hold; with the default of 1 each, in the first of them. A window that had too few
events, or in which the figure could not be measured, changes nothing and is passed over in both
counts. So neither a quiet night nor a missing baseline resolves an alert.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tidegauge.contract import (
    Action,
    Alert,
    AuditFact,
    Distribution,
    SignalHistogram,
    WindowReport,
)
from tidegauge.rules import records
from tidegauge.rules.actions import remembered, why_withheld
from tidegauge.rules.figures import carry
from tidegauge.rules.lifecycle import Step, cease, hold
from tidegauge.rules.measure import Measurement, measure
from tidegauge.rules.model import Rule
from tidegauge.rules.ruleset import CompiledRule, RuleSet
from tidegauge.rules.state import AlertState, Episode, SeriesState

#: Both count vectors of a signal, by baseline id, signal name and what the window counted;
#: ``None`` if the baseline is not at hand.
DistributionOf = Callable[[str, str, SignalHistogram], Distribution | None]

_Watch = tuple[int, str | None]


class Verdict(NamedTuple):
    """What one report led to.

    ``stale`` means that it was not judged: the state had already taken in this window or a later
    one, so it was a replay, a revision, or a window closed out of order. Alerts look forward only;
    what late events changed is told by the report's own revision.
    """

    state: AlertState
    alerts: list[Alert]
    actions: list[Action]
    audit: list[AuditFact]
    stale: bool = False


def evaluate(
    rules: RuleSet, report: WindowReport, state: AlertState, *, distribution: DistributionOf
) -> Verdict:
    """Judge ``report`` by ``rules`` and fold it into ``state``; same inputs, same bytes.

    Alerts come in the order of the rule file: for each rule those in which it holds, worst value
    first (by surprise in the order of their ``rank``, which knows of importances), and then those
    that are over; before all of them, the alerts of rules that are no longer there.
    If the report has several parts, each is judged by its own events, and a rule holds if it holds
    in one of them; the alert then shows the worst.
    """
    key = records.series_key(report)
    before = state.series.get(key, SeriesState())
    if before.through is not None and report.window_start <= before.through:
        return Verdict(state, [], [], [], stale=True)
    episodes = dict(before.episodes)
    verdict = Verdict(state, [], [], [])
    end_abandoned(rules, report, episodes, verdict)
    asked = {name: times for name, times in before.asked.items() if name in rules.by_name}
    _judge(rules, report, episodes, asked, verdict, distribution)
    after = SeriesState(through=report.window_start, episodes=episodes, asked=asked)
    return verdict._replace(state=AlertState(series={**state.series, key: after}))


def end_abandoned(
    rules: RuleSet, report: WindowReport, episodes: dict[str, Episode], verdict: Verdict
) -> None:
    """End the episodes that no rule watches any more; nothing else would ever end them."""
    for identity, episode in sorted(episodes.items(), key=_by_rule_and_signal):
        compiled = rules.by_name.get(episode.rule)
        if compiled is None:
            reason = f"Rule {episode.rule!r} was removed while its alert was {episode.phase}"
        elif not compiled.covers(report, episode.metric, episode.comparison, episode.signal):
            reason = f"Rule {episode.rule!r} was changed and no longer watches this"
        else:
            continue
        del episodes[identity]
        emit(rules, records.abandoned_alert(identity, episode, report, reason), verdict)


def _by_rule_and_signal(item: tuple[str, Episode]) -> tuple[str, str]:
    return item[1].rule, item[1].signal or ""


def _judge(
    rules: RuleSet,
    report: WindowReport,
    episodes: dict[str, Episode],
    asked: dict[str, list[int]],
    verdict: Verdict,
    distribution: DistributionOf,
) -> None:
    known = {
        (rules.by_name[episode.rule].order, episode.signal): episode
        for episode in episodes.values()
    }
    holding, ceased = _decide(rules, report, known)
    # Twenty signals that drift together ask for one retrain: by the alert of the worst.
    actions: dict[int, list[str]] = {}
    for watch in sorted(
        [*holding, *ceased], key=lambda watch: _place(rules, watch, holding, ceased)
    ):
        order, signal = watch
        rule = rules.compiled[order].rule
        measured = holding[watch] if watch in holding else ceased[watch]
        step = _step(rules.compiled[order], report, known.get(watch), measured, watch in holding)
        identity = records.fingerprint(rule.name, report, signal)
        if step.episode is None:
            del episodes[identity]
        else:
            episodes[identity] = msgspec.structs.replace(step.episode, judged_at=report.window_end)
        if step.event is None:
            continue
        alert = records.alert_of(
            step.event,
            identity,
            step.told,
            report,
            rule=rule,
            distribution=_distribution(measured, distribution),
        )
        carry(alert, measured)
        alert.was = step.was
        if step.was is not None and step.event in ("pending", "firing"):
            alert.summary += "; there is data again"
        emit(rules, alert, verdict)
        # What fires again after a time without data has asked for its action before.
        if step.event == "firing" and step.was != "firing" and rule.action is not None:
            if order not in actions:
                actions[order] = _ask(rule, alert, report, asked, verdict)
            alert.actions = actions[order]
            if alert.actions and not rule.dry_run:
                alert.action = rule.action
                episodes[identity] = msgspec.structs.replace(episodes[identity], action=rule.action)


def _ask(
    rule: Rule,
    alert: Alert,
    report: WindowReport,
    asked: dict[str, list[int]],
    verdict: Verdict,
) -> list[str]:
    """Ask for the rule's action if that may be now; return the ids of what was asked for."""
    action = records.requested_action(alert, rule)
    before = asked.get(rule.name, [])
    why = why_withheld(rule, before, report)
    if why is not None:
        verdict.audit.append(records.audit_of_withheld(action, alert, why))
        return []
    times = remembered(rule, before, report.window_end)
    if times:
        asked[rule.name] = times
    verdict.actions.append(action)
    verdict.audit.append(records.audit_of_action(action, alert))
    return [action.id]


def _step(
    one: CompiledRule,
    report: WindowReport,
    before: Episode | None,
    measured: Measurement,
    holds: bool,
) -> Step:
    now = _episode(one, measured, report.window_start)
    if holds:
        return hold(one.rule, before, now, report.window_end)
    assert before is not None  # noqa: S101 - only what was there can cease
    if measured.evidence is not None:  # it is as severe as it was, however small by now
        now = msgspec.structs.replace(now, severity=before.severity)
    return cease(one.rule, before, now)


def _decide(
    rules: RuleSet, report: WindowReport, known: dict[_Watch, Episode]
) -> tuple[dict[_Watch, Measurement], dict[_Watch, Measurement]]:
    """Find the worst measurement wherever a rule holds, and wherever what is known ceased to."""
    holding: dict[_Watch, Measurement] = {}
    ceased: dict[_Watch, Measurement] = {}
    for metric, compiled in rules.by_metric.items():
        watching = [one for one in compiled if one.watches(report)]
        if not watching:
            continue
        for measured in measure(metric, report):
            signal = measured.signal
            for one in watching:
                if measured.events < one.required_events:
                    continue
                if signal is not None and not one.matches_signal(signal):
                    continue
                watch = (one.order, signal)
                episode = known.get(watch)
                # A small drift raises no alert; one that is firing lasts as long as its reason.
                firing = episode is not None and episode.phase == "firing"
                if one.rule.holds(measured.value) and (
                    firing or measured.psi >= one.rule.required_psi
                ):
                    _keep_worst(holding, watch, one, measured)
                elif episode is not None:
                    _keep_worst(ceased, watch, one, measured)
    return holding, {watch: one for watch, one in ceased.items() if watch not in holding}


def _keep_worst(
    found: dict[_Watch, Measurement], watch: _Watch, one: CompiledRule, measured: Measurement
) -> None:
    known = found.get(watch)
    if known is None or one.badness(measured.value) > one.badness(known.value):
        found[watch] = measured


def _place(
    rules: RuleSet,
    watch: _Watch,
    holding: dict[_Watch, Measurement],
    ceased: dict[_Watch, Measurement],
) -> tuple[int, bool, float, float, str]:
    order, signal = watch
    measured = holding[watch] if watch in holding else ceased[watch]
    badness = rules.compiled[order].badness(measured.value)
    return order, watch in ceased, measured.rank, -badness, signal or ""


def _episode(one: CompiledRule, measured: Measurement, starts_at: int) -> Episode:
    return Episode(
        rule=one.rule.name,
        severity=one.rule.severity_of(measured.evidence.size if measured.evidence else None),
        signal=measured.signal,
        metric=one.rule.metric,
        comparison=one.rule.comparison,
        threshold=one.rule.threshold,
        value=measured.value,
        unit=measured.unit,
        events=measured.events,
        minimum_events=one.required_events,
        baseline=measured.baseline,
        starts_at=starts_at,
        labels=one.rule.labels,
        receivers=one.rule.receivers,
    )


def _distribution(measured: Measurement, distribution: DistributionOf) -> Distribution | None:
    if measured.signal is None or measured.histogram is None or not measured.baseline:
        return None
    return distribution(measured.baseline, measured.signal, measured.histogram)


def emit(rules: RuleSet, alert: Alert, verdict: Verdict) -> None:
    """Add an alert to ``verdict``, with its audit record."""
    alert.rules_sha256 = rules.sha256
    verdict.alerts.append(alert)
    verdict.audit.append(records.audit_of_alert(alert))
