"""Rules on figures of labels: from reports on mature cohorts to alerts, actions and audit. Pure.

Each version and variant, and each group of it, has the alerts of a slice of its own. Its cohorts
are judged once they are mature, in the order of their ends; what corrected labels change later, and
a cohort that had to wait while later ones were judged, adds what holds then, as late events do.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field

import msgspec

from tidegauge.alerting import (
    CohortWindow,
    EvaluationResult,
    InactiveSlice,
    RuleSet,
    cohort_window,
    due_at,
    end_forgotten,
    evaluate,
    evaluate_late,
    holding,
    judge_inactivity,
)
from tidegauge.config import LinkSettings, TopicSettings
from tidegauge.contract import AuditFact, PerformanceReport, SignalHistogram
from tidegauge.windows.outcome_values import CohortAlerts, CohortAlertsKey
from tidegauge.windows.outputs import (
    NO_LINKS,
    Closed,
    DataWanted,
    Failures,
    Output,
    Raising,
    alert_outputs,
    dated,
)
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.performance import ReferenceFigures
from tidegauge.windows.values import Slice

NO_ALERTS = CohortAlerts()


@dataclass
class CohortRules:
    """Judges the cohorts of a partition by the rules that are active.

    ``alarms_of`` is the budget of false alarms of a model, a month; ``closed`` is what came of it.
    """

    state: PartitionState
    _: KW_ONLY
    rules: RuleSet
    topics: TopicSettings
    alarms_of: Callable[[str], float]
    references: ReferenceFigures
    links: LinkSettings = NO_LINKS
    failures: Failures = field(default_factory=Raising)
    closed: Closed = field(default_factory=Closed)

    def __post_init__(self) -> None:
        self.rules = self.rules.of_cohorts

    def judge(
        self, report: PerformanceReport, parts: int, held: list[str] | None
    ) -> list[str] | None:
        """Judge one of the parts of a mature cohort, and publish what follows.

        ``held`` is what rules have held on in it, None if it wasn't judged; the same is returned.
        """
        where = _key(report)
        try:
            return self._judge(where, report, parts, held)
        except Exception as error:
            self.failures.failed(_slice(where), f"rules on cohort {report.cohort_start}", error)
            return held

    def _judge(
        self,
        where: CohortAlertsKey,
        report: PerformanceReport,
        parts: int,
        held: list[str] | None,
    ) -> list[str]:
        outcomes = self.state.outcomes
        baseline = self.state.baselines.get(report.baseline)
        window = cohort_window(
            report,
            self.references.of(report.baseline, baseline),
            rules=self.rules,
            alarms_per_month=self.alarms_of(report.model),
            parts=parts,
        )
        known = outcomes.alerts.get(where, NO_ALERTS)
        above = outcomes.alerts.get(_key(report, whole=True)) if report.group else None
        whole = None if above is None else above.alerts
        if held is None and window.window_end > known.end:
            verdict = evaluate(self.rules, window, known.alerts, distribution=_without, whole=whole)
            held = holding(self.rules, window)
            after = CohortAlerts(
                step=known.step + 1,
                end=window.window_end,
                seconds=window.window_end - window.window_start,
                age=max(report.time - window.window_end, 0),
                alerts=verdict.state,
            )
        else:
            revised = evaluate_late(
                self.rules, window, None, known.alerts,
                held=held or (), distribution=_without, whole=whole,
            )  # fmt: skip
            verdict, held = revised
            after = msgspec.structs.replace(known, step=known.step + 1, alerts=verdict.state)
        outcomes.judged(where, after)
        self._publish(verdict, window)
        return held

    def look(self, now: int) -> None:
        """Report alerts that lack judged cohorts, and end those of what gets labels no more."""
        for where, value in sorted(
            self.state.outcomes.alerts.items(), key=lambda it: _slice(it[0])
        ):
            try:
                self._look(where, value, now)
            except Exception as error:
                self.failures.failed(_slice(where), "looking for cohorts that are missing", error)

    def _look(self, where: CohortAlertsKey, value: CohortAlerts, now: int) -> None:
        outcomes = self.state.outcomes
        quiet = InactiveSlice(
            model=where.model,
            version=where.version,
            variant=where.variant,
            segment=dict(where.group),
            since=value.end,
            window_seconds=value.seconds,
            grace_seconds=value.age,
            what="labels",
        )
        if outcomes.forgets(where, value) <= now:
            verdict = end_forgotten(
                self.rules,
                quiet,
                value.alerts,
                seconds=int(outcomes.forgets(where, value)) - value.end,
            )
            outcomes.judged(where, None)
        elif due_at(self.rules, quiet, value.alerts) <= now:
            verdict = judge_inactivity(self.rules, quiet, value.alerts, now=now)
            after = {"step": value.step + 1, "alerts": verdict.state}
            outcomes.judged(where, msgspec.structs.replace(value, **after))
        else:
            return
        self._publish(verdict)

    def _publish(self, verdict: EvaluationResult, window: CohortWindow | None = None) -> None:
        topics, data = self.topics, None if window is None else self._data(window)
        outputs = [*alert_outputs(verdict.alerts, topics, self.links)]
        for action in verdict.actions:
            wanted = data if action.kind == "retrain" else None
            outputs.append(Output(topics.actions, action.id, action, wanted))
        facts: Sequence[AuditFact] = verdict.audit
        if data is not None:
            facts = [dated(fact, data) for fact in facts]
        outputs += [Output(topics.audit_facts, fact.model, fact) for fact in facts]
        self.state.outputs += outputs
        self.closed.alerts += verdict.alerts
        self.closed.actions += verdict.actions

    def _data(self, window: CohortWindow) -> DataWanted | None:
        """Return the latest data of the model, as far as it was counted."""
        topic = self.topics.predictions
        source = self.state.progress.sources.get(topic)
        if source is None:
            return None
        return DataWanted(topic, dict(source.covered), window.cohort.time)


def _key(report: PerformanceReport, *, whole: bool = False) -> CohortAlertsKey:
    group = () if whole else tuple(sorted(report.group.items()))
    return CohortAlertsKey(report.model, report.version, report.variant, group)


def _slice(where: CohortAlertsKey) -> Slice:
    return Slice(where.model, where.version, where.variant, where.group)


def _without(baseline: str, signal: str, histogram: SignalHistogram) -> None:
    """Show no counts: a figure is of the whole cohort."""
