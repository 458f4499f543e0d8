"""When a report is an alert, how severe it is, and what is to be done about it.

Pure: a rule file, window reports and the state so far go in; alerts, actions and audit come out.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.alerting.cohorts import (
        SHARE_OF_COHORTS as SHARE_OF_COHORTS,
        CohortWindow as CohortWindow,
        cohort_window as cohort_window,
    )
    from tidegauge.alerting.evaluate import (
        MISSED_AFTER_SECONDS as MISSED_AFTER_SECONDS,
        InactiveSlice as InactiveSlice,
        Revised as Revised,
        due_at as due_at,
        end_forgotten as end_forgotten,
        evaluate as evaluate,
        evaluate_late as evaluate_late,
        holding as holding,
        judge_inactivity as judge_inactivity,
    )
    from tidegauge.alerting.measure import (
        MOST_MOVED as MOST_MOVED,
        NOISE_NATS as NOISE_NATS,
        measure as measure,
        surprise as surprise,
    )
    from tidegauge.alerting.metrics import (
        METRICS as METRICS,
        SILENCE as SILENCE,
        MetricName as MetricName,
    )
    from tidegauge.alerting.model import (
        MINIMUM_PSI as MINIMUM_PSI,
        Rule as Rule,
        rule_schema as rule_schema,
    )
    from tidegauge.alerting.records import EvaluationResult as EvaluationResult
    from tidegauge.alerting.ruleset import (
        DEFAULT_RULES as DEFAULT_RULES,
        RuleSet as RuleSet,
        load_rules as load_rules,
    )
    from tidegauge.alerting.state import AlertState as AlertState

face(__name__)
