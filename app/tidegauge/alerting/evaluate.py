"""The alert fold: window reports in, the events of alerts out; and what time without windows adds.

An episode begins with the first judged window in which a rule holds on a signal. It fires in the
``for``-th such window in a row, and is over after ``keep_firing_for`` judged windows in a row in
which the rule doesn't hold; with the default of 1 each, in the first of them. A window that had too
few events, or in which the figure could not be measured, changes nothing and is passed over in both
counts: neither a quiet night nor a missing baseline resolves an alert. What is reported of episodes
is decided in :mod:`tidegauge.alerting.incidents`.

While no window of a slice comes, rules on ``seconds_without_events`` fire when nothing has come for
longer than their threshold; they are resolved by the next window, as every alert is. Alerts of
other rules that are pending or firing become ``no_data`` when no window has been judged for too
long, and go on with the next that is. The alerts of a slice that is inactive until it is forgotten
end.
"""

import math
from collections.abc import Collection, Iterator
from typing import NamedTuple

from tidegauge.alerting import records
from tidegauge.alerting.incidents import by_rule_and_signal, miss, signals_of
from tidegauge.alerting.judge import decide
from tidegauge.alerting.measure import Measurement
from tidegauge.alerting.metrics import METRICS, SILENCE
from tidegauge.alerting.model import Rule
from tidegauge.alerting.records import DistributionOf, EvaluationResult
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.alerting.slice_evaluation import SliceEvaluation
from tidegauge.alerting.state import AlertState, Incident, SeriesState
from tidegauge.contract import WindowReport, duration_text


def evaluate(
    rules: RuleSet,
    report: WindowReport,
    state: AlertState,
    *,
    distribution: DistributionOf,
    whole: AlertState | None = None,
) -> EvaluationResult:
    """Judge ``report`` by ``rules`` and fold it into ``state``; same inputs, same bytes.

    ``whole`` is the state of all traffic after the same window, if the report is of a segment: what
    is reported of a rule and a signal there is not reported of the segment again.

    Alerts come in the order of the rule file: for each rule those in which it holds, worst value
    first (by surprise in the order of their ``rank``, which knows of importances), and then those
    that are over; before all of them, the alerts of rules that are no longer there.
    If the report has several parts, each is judged by its own events, and a rule holds if it holds
    in one of them; the alert then shows the worst.
    """
    evaluation = SliceEvaluation(rules, report, state, distribution, whole=whole)
    through = evaluation.before.through
    if through is not None and report.window_start <= through:
        return EvaluationResult(state, [], [], [], stale=True)
    evaluation.end_abandoned()
    evaluation.judge()
    return evaluation.result(report.window_start)


class Revised(NamedTuple):
    """The result of a revision; ``held``: fingerprints of what has held in the window so far."""

    verdict: EvaluationResult
    held: list[str]


def evaluate_late(
    rules: RuleSet,
    report: WindowReport,
    earlier: WindowReport | None,
    state: AlertState,
    *,
    held: Collection[str] = (),
    distribution: DistributionOf,
    whole: AlertState | None = None,
) -> Revised:
    """Judge the ``report`` of a window that is not later than the last one judged.

    A rule is judged where it didn't hold in any earlier report of the window. If it holds now, that
    is one more judged window in which it does, which changes nothing for an alert that fires
    already. Where a rule held and doesn't with the late events, what was reported stays reported.
    Otherwise episodes follow the first reports of windows, which come in order. So an episode that
    begins here ends with the next first report in which the rule doesn't hold.

    ``earlier`` is the report of the window before this one; None if there was none, since the
    window opened after a later one had closed. ``held`` is that of its :class:`Revised`, ``whole``
    the state of all the traffic, as in :func:`evaluate`. Same inputs, same bytes.
    """
    known = set(held)
    if earlier is not None:
        holding = decide(rules, earlier, {}).holding
        known |= {_name(rules, earlier, *watch) for watch in holding}
    now = decide(rules, report, {}).holding
    news = {
        watch: measured
        for watch, measured in now.items()
        if _name(rules, report, *watch) not in known
    }
    known |= {_name(rules, report, *watch) for watch in news}
    verdict = EvaluationResult(state, [], [], [])
    if news:
        evaluation = SliceEvaluation(rules, report, state, distribution, is_late=True, whole=whole)
        evaluation.end_abandoned()
        evaluation.judge_late(news, now)
        verdict = evaluation.result(evaluation.before.through)
    return Revised(verdict, sorted(known))


def holding(rules: RuleSet, report: WindowReport) -> list[str]:
    """Return the fingerprints of what holds in a report, for :func:`evaluate_late`."""
    return sorted({_name(rules, report, *watch) for watch in decide(rules, report, {}).holding})


def _name(rules: RuleSet, report: WindowReport, order: int, signal: str | None) -> str:
    return records.fingerprint(rules.compiled[order].rule.name, report, signal)


#: A slice without a baseline is missed only if it has had windows for so long. Else each request id
#: that a producer wrote into ``version`` would raise an alert, as nothing more comes of it.
MISSED_AFTER_SECONDS = 24 * 3600


class InactiveSlice(NamedTuple):
    """A slice, and the event time from which on nothing of it is known.

    ``since`` is the end of its last window, epoch seconds. A window lasts ``window_seconds`` and
    closes ``grace_seconds`` after its end. ``is_missed``: it has a baseline, or has had windows for
    :data:`MISSED_AFTER_SECONDS`. ``what`` is what it gets no more.
    """

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    since: int
    window_seconds: int
    grace_seconds: int
    is_missed: bool = True
    what: str = "events"

    def until(self, now: int, since: int | None = None) -> WindowReport:
        """Return the time without events as a window that nothing was counted in."""
        return WindowReport(
            id="",
            model=self.model,
            version=self.version,
            variant=self.variant,
            segment=self.segment,
            window_start=self.since if since is None else since,
            window_end=now,
            revision=0,
            closed_by=float(now),
            events=0,
            errors=0,
            counted=[],
            prediction_mean_5m=None,
            latency=None,
            parts=[],
        )


class _Due(NamedTuple):
    """A report that is due at a time: of inactivity by its rule, or of an incident without data."""

    at: float
    order: int
    signal: str
    identity: str
    of_inactivity: bool


def due_at(rules: RuleSet, inactive: InactiveSlice, state: AlertState) -> float:
    """Return the event time at which a report is due if nothing comes; it may be past."""
    report = inactive.until(inactive.since)
    series = _series(state)
    if _has_abandoned(rules, report, series):
        # It ends with the next window; after the time of one it can't be waited for any longer.
        return inactive.since + inactive.window_seconds + inactive.grace_seconds
    return min((due.at for due in _dues(rules, inactive, report, series)), default=math.inf)


def judge_inactivity(
    rules: RuleSet, inactive: InactiveSlice, state: AlertState, *, now: int
) -> EvaluationResult:
    """Report what is due at ``now``, the event time up to which everything is known.

    Same inputs, same bytes. No action follows from inactivity: nothing was measured.
    """
    report = inactive.until(now)
    evaluation = SliceEvaluation(rules, report, state, _without)
    through = evaluation.before.through
    evaluation.end_abandoned()
    dues = list(_dues(rules, inactive, report, evaluation.after(through)))
    for due in sorted((due for due in dues if due.at <= now), key=lambda it: it[1:3]):
        if due.of_inactivity:
            seconds = float(now - inactive.since)
            silence = Measurement(None, seconds, METRICS[SILENCE].unit, 0, "", None)
            evaluation.hold(rules.compiled[due.order], silence)
            continue
        incident = evaluation.incidents[due.identity] = miss(evaluation.incidents[due.identity])
        members = evaluation.members(due.identity, incident)
        signals = signals_of(incident, members, rules.compiled[due.order].worse)
        since = inactive.until(now, _judged_at(incident, inactive))
        evaluation.emit(records.no_data_alert(due.identity, incident, since, signals))
    return evaluation.result(through)


def end_forgotten(
    rules: RuleSet, inactive: InactiveSlice, state: AlertState, *, seconds: int
) -> EvaluationResult:
    """End every alert of a slice that nothing has come of for so many seconds."""
    at = inactive.since + seconds
    report = inactive.until(at, at)
    evaluation = SliceEvaluation(rules, report, state, _without)
    for identity, incident in sorted(evaluation.incidents.items(), key=by_rule_and_signal):
        if incident.reported is None:
            continue
        reason = (
            f"{inactive.model} {inactive.version}: no {inactive.what} for "
            f"{duration_text(seconds)}, so it counts as retired; the alert of rule "
            f"{incident.shown.rule!r} was {incident.reported}"
        )
        evaluation.emit(records.abandoned_alert(identity, incident, report, reason))
    return evaluation.result(None)._replace(state=AlertState())


def _without(baseline: str, signal: str, histogram: object) -> None:
    """Show no counts: there are none."""


def _series(state: AlertState) -> SeriesState:
    """Return the one series that the state of a slice has, if it has one yet."""
    return next(iter(state.series.values()), SeriesState())


def _has_abandoned(rules: RuleSet, report: WindowReport, series: SeriesState) -> bool:
    for episode in series.episodes.values():
        one = rules.by_name.get(episode.rule)
        if one is None or not one.covers(
            report, episode.metric, episode.comparison, episode.signal
        ):
            return True
    rule_of = {name: one.rule for name, one in rules.by_name.items()}
    return any(it.grouped != rule_of[it.shown.rule].grouped for it in series.incidents.values())


def _dues(
    rules: RuleSet, inactive: InactiveSlice, report: WindowReport, series: SeriesState
) -> Iterator[_Due]:
    for one in rules.by_metric.get(SILENCE, ()):
        if one.watches(report):
            incidents = series.incidents.values()
            known = next((it for it in incidents if it.shown.rule == one.rule.name), None)
            if known is None and not inactive.is_missed:
                continue
            yield _Due(_inactivity_due(one.rule, inactive, known), one.order, "", "", True)
    for identity, incident in series.incidents.items():
        shown = incident.shown
        one = rules.by_name[shown.rule]
        is_reported = incident.reported is not None and not incident.no_data
        if shown.metric == SILENCE or not is_reported or not one.rule.no_data_after:
            continue
        # The last of the windows that may be missing closes only after its grace.
        patience = one.rule.no_data_after * inactive.window_seconds + inactive.grace_seconds
        at = _judged_at(incident, inactive) + patience
        yield _Due(at, one.order, shown.signal or "", identity, False)


def _inactivity_due(rule: Rule, inactive: InactiveSlice, known: Incident | None) -> float:
    # Above is strict, and time is taken in whole seconds.
    silent = inactive.since + math.floor(rule.threshold) + 1
    if known is None:
        return silent
    if not rule.repeat_interval or known.reported is None:
        return math.inf
    return max(silent, known.reported_at + rule.repeat_interval)


def _judged_at(incident: Incident, inactive: InactiveSlice) -> int:
    return inactive.since if incident.judged_at is None else incident.judged_at
