"""The alert fold: window reports in, firing and resolved alerts out.

An episode begins with the first judged window in which a rule holds (one ``firing`` alert), and
ends with the first judged window in which it doesn't (one ``resolved`` alert). A window that had
too few events, or in which the figure could not be measured, changes nothing. So neither a quiet
night nor a missing baseline resolves an alert.
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
from tidegauge.rules.measure import Measurement, measure
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

    Alerts come in the order of the rule file: for each rule those that fire, worst value first (by
    surprise in the order of their ``rank``, which knows of importances), and then those that are
    resolved; before all of them, the alerts of rules that are no longer there.
    If the report has several parts, each is judged by its own events, and a rule holds if it holds
    in one of them; the alert then shows the worst.
    """
    key = records.series_key(report)
    before = state.series.get(key, SeriesState())
    if before.through is not None and report.window_start <= before.through:
        return Verdict(state, [], [], [], stale=True)
    firing = dict(before.firing)
    verdict = Verdict(state, [], [], [])
    _resolve_abandoned(rules, report, firing, verdict)
    _judge(rules, report, firing, verdict, distribution)
    after = SeriesState(through=report.window_start, firing=firing)
    return verdict._replace(state=AlertState(series={**state.series, key: after}))


def _resolve_abandoned(
    rules: RuleSet, report: WindowReport, firing: dict[str, Episode], verdict: Verdict
) -> None:
    """End the episodes that no rule watches any more; nothing else would ever end them."""
    for identity, episode in sorted(firing.items(), key=_by_rule_and_signal):
        compiled = rules.by_name.get(episode.rule)
        if compiled is None:
            reason = f"Rule {episode.rule!r} was removed while its alert was firing"
        elif not compiled.covers(report.model, episode.metric, episode.comparison, episode.signal):
            reason = f"Rule {episode.rule!r} was changed and no longer watches this"
        else:
            continue
        del firing[identity]
        _emit(
            records.resolved_alert(identity, episode, report, distribution=None, reason=reason),
            verdict,
        )


def _by_rule_and_signal(item: tuple[str, Episode]) -> tuple[str, str]:
    return item[1].rule, item[1].signal or ""


def _judge(
    rules: RuleSet,
    report: WindowReport,
    firing: dict[str, Episode],
    verdict: Verdict,
    distribution: DistributionOf,
) -> None:
    identities = {
        (rules.by_name[episode.rule].order, episode.signal): identity
        for identity, episode in firing.items()
    }
    holding, ceased = _decide(rules, report, identities)
    # Twenty signals that drift together ask for one retrain: by the alert of the worst.
    asked: dict[int, str] = {}
    for order, signal in sorted(
        [*holding, *ceased], key=lambda watch: _place(rules, watch, holding, ceased)
    ):
        watch = (order, signal)
        one = rules.compiled[order]
        rule = one.rule
        held = holding.get(watch)
        identity = identities.get(watch)
        if held is not None and identity is None:
            identity = records.fingerprint(rule.name, report, signal)
            firing[identity] = _episode(one, held, report.window_start)
            alert = records.firing_alert(
                identity,
                firing[identity],
                report,
                template=rule.summary,
                distribution=_distribution(held, distribution),
            )
            alert.evidence, alert.alarm_budget = held.evidence, held.alarm_budget
            _emit(alert, verdict)
            if rule.action is not None and order not in asked:
                action = records.requested_action(alert, rule.action)
                asked[order] = action.id
                verdict.actions.append(action)
                verdict.audit.append(records.audit_of_action(action, alert))
            if order in asked:
                alert.actions = [asked[order]]
        elif held is None and identity is not None:
            measured = ceased[watch]
            before = firing.pop(identity)
            ended = _episode(one, measured, before.starts_at)
            if measured.evidence is not None:  # it is as severe as it was, however small by now
                ended = msgspec.structs.replace(ended, severity=before.severity)
            alert = records.resolved_alert(
                identity,
                ended,
                report,
                distribution=_distribution(measured, distribution),
                reason=None,
            )
            alert.evidence, alert.alarm_budget = measured.evidence, measured.alarm_budget
            _emit(alert, verdict)


def _decide(
    rules: RuleSet, report: WindowReport, identities: dict[_Watch, str]
) -> tuple[dict[_Watch, Measurement], dict[_Watch, Measurement]]:
    """Find the worst measurement wherever a rule holds, and wherever a firing one ceased to."""
    holding: dict[_Watch, Measurement] = {}
    ceased: dict[_Watch, Measurement] = {}
    for metric, compiled in rules.by_metric.items():
        watching = [one for one in compiled if one.matches_model(report.model)]
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
                if one.rule.holds(measured.value):
                    # A small drift raises no alert; one that is firing lasts as long as its reason.
                    if watch not in identities and measured.psi < one.rule.required_psi:
                        continue
                    _keep_worst(holding, watch, one, measured)
                elif watch in identities:
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
    )


def _distribution(measured: Measurement, distribution: DistributionOf) -> Distribution | None:
    if measured.signal is None or measured.histogram is None or not measured.baseline:
        return None
    return distribution(measured.baseline, measured.signal, measured.histogram)


def _emit(alert: Alert, verdict: Verdict) -> None:
    verdict.alerts.append(alert)
    verdict.audit.append(records.audit_of_alert(alert))
