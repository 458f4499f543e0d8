"""The alert fold: window reports in, the events of alerts out.

An episode begins with the first judged window in which a rule holds on a signal. It fires in the
``for``-th such window in a row, and is over after ``keep_firing_for`` judged windows in a row in
which the rule doesn't hold; with the default of 1 each, in the first of them. A window that had too
few events, or in which the figure could not be measured, changes nothing and is passed over in both
counts: neither a quiet night nor a missing baseline resolves an alert. What is reported of episodes
is decided in :mod:`tidegauge.alerting.incidents`.
"""

from collections.abc import Collection
from typing import NamedTuple

from tidegauge.alerting import records
from tidegauge.alerting.judge import decide
from tidegauge.alerting.records import DistributionOf, EvaluationResult
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.alerting.slice_evaluation import SliceEvaluation
from tidegauge.alerting.state import AlertState
from tidegauge.contract import WindowReport


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


def _name(rules: RuleSet, report: WindowReport, order: int, signal: str | None) -> str:
    return records.fingerprint(rules.compiled[order].rule.name, report, signal)
