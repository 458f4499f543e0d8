"""Judging a window again with its late events: what holds only with them is told once.

In a revision, a rule is judged where it didn't hold in any report of the window before. If it holds
now, that is one more judged window in which it does: of what is firing already, nothing follows.
Where a rule held and doesn't with the late events, what was told stays told. Otherwise episodes go
by the first reports of windows, which come in order: so what begins here is over with the next of
them in which the rule doesn't hold.
"""

from collections.abc import Collection
from typing import NamedTuple

from tidegauge.alerting import records
from tidegauge.alerting.evaluate import DistributionOf, EvaluationResult, SliceEvaluation
from tidegauge.alerting.judge import decide
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.alerting.state import AlertState, SeriesState
from tidegauge.contract import WindowReport


class Revised(NamedTuple):
    """What a revision led to; ``held`` are the fingerprints of what held in the window so far."""

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

    ``earlier`` is what was reported of the window before; None if nothing was, since it opened
    after a later one had closed. ``held`` is what :class:`Revised` said of it, ``whole`` the state
    of all the traffic, as in :func:`evaluate`. Same inputs, same bytes.
    """
    key = records.series_key(report)
    before = state.series.get(key, SeriesState())
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
        evaluation = SliceEvaluation(
            rules, report, before, verdict, distribution, is_late=True, whole=whole
        )
        evaluation.end_abandoned()
        evaluation.judge_late(news, now)
        after = evaluation.state(before.through)
        verdict = verdict._replace(state=AlertState(series={**state.series, key: after}))
    return Revised(verdict, sorted(known))


def _name(rules: RuleSet, report: WindowReport, order: int, signal: str | None) -> str:
    return records.fingerprint(rules.compiled[order].rule.name, report, signal)
