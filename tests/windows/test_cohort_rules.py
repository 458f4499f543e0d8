"""Rules on figures of labels: what a drop of accuracy leads to, once, whatever crashes."""

from collections.abc import Sequence

import msgspec
import numpy as np

from support.counting import NOW, a_baseline
from support.outcome_world import COHORT_SECONDS, MODEL, TARGET, OutcomeWorld
from support.world import Logged, Written, a_state, taken_over, writes
from tidegauge.alerting import DEFAULT_RULES, RuleSet
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import Action, Alert, AuditFact, PerformanceReport, Record, encode
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.cohort_rules import CohortRules
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.performance import PerformanceClosing, ReferenceFigures

WINDOWS = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}
TOPICS = TopicSettings()
START = int(NOW // COHORT_SECONDS * COHORT_SECONDS)


def labelled_baseline(rows: int = 10_000, right: float = 0.9) -> Baseline:
    """Return a baseline with so many labelled rows, of which a share was predicted right."""
    counts = OutcomeCounts(TARGET)
    places = np.arange(rows)
    score = np.where(places % 2, 0.8, 0.2)
    actual = (places % 2 ^ (places >= rows * right)).astype(np.float64)
    counts.add(score, np.full(rows, 65_535, dtype=np.uint16), actual, np.zeros(rows))
    outcomes = BaselineOutcomes(
        target=TARGET, predicted=rows, labelled=rows, performance=counts.to_tally()
    )
    return msgspec.structs.replace(a_baseline(), outcomes=outcomes)


BASELINE = labelled_baseline()


def a_world(
    shares: Sequence[float], labels: int = 200, *, region: bool = False, wait: int = 2
) -> OutcomeWorld:
    """Return a world of cohorts, each with such a share of right predictions, labelled at once.

    The clocks go on for ``wait`` hours.
    """
    world = OutcomeWorld()
    for hour, share in enumerate(shares):
        world.now = START + hour * COHORT_SECONDS + 60.0
        for number in range(labels):
            wrong = number >= round(labels * share)
            groups = {"region": "EU" if number % 2 else "US"} if region else {}
            score = 0.8 if number % 4 < 2 else 0.2
            world.predict(f"{hour}-{number}", score, **groups)
            world.label(f"{hour}-{number}", int((score > 0.5) ^ wrong))
        world.flush()
    let_pass(world, wait)
    return world


def let_pass(world: OutcomeWorld, hours: int) -> None:
    """Have the clocks go on."""
    for _ in range(hours * 3):
        world.now += COHORT_SECONDS / 3
        world.flush()


def fold(
    state: PartitionState,
    log: Sequence[Logged],
    rules: RuleSet = DEFAULT_RULES,
    baseline: Baseline = BASELINE,
) -> None:
    """Join records, and judge what is due after each, as the detector does."""
    references = ReferenceFigures()
    for offset, record in log:
        state.join(record, offset)
        state.hold_baseline("of-1", baseline)
        passed = state.pass_outcomes()
        judge = CohortRules(
            state, rules=rules, topics=TOPICS, alarms_of=lambda _: 1.0, references=references
        )
        closing = PerformanceClosing(
            state, topic=TOPICS.performance, references=references, judge=judge.judge
        )
        for window in state.outcomes.due():
            if closing.may_go_on:
                closing.close(window)
        if passed.minute is not None:
            judge.look(passed.minute)


def records(
    world: OutcomeWorld, rules: RuleSet = DEFAULT_RULES, state: PartitionState | None = None
) -> list[Record]:
    state = state or a_state(**WINDOWS)
    fold(state, world.log, rules)
    return [it.record for it in state.take_outputs() if it.topic != TOPICS.alerts]


def alerts(found: Sequence[Record]) -> list[Alert]:
    return [it for it in found if isinstance(it, Alert)]


def rules_of(*texts: str) -> RuleSet:
    lines = [f"  - {{{text}}}\n" for text in texts]
    return parse_rules(f"rules:\n{''.join(lines)}", source="rules.yaml")


def test_a_drop_of_accuracy_fires_by_default_and_is_resolved_by_a_good_cohort() -> None:
    found = records(a_world([0.9, 0.9, 0.7, 0.7, 0.9]))
    fired, resolved = alerts(found)
    assert (fired.rule, fired.state, fired.severity) == ("accuracy-drop", "firing", "critical")
    assert (fired.model, fired.version, fired.segment) == (MODEL, "1", {})
    third = START + 2 * COHORT_SECONDS
    assert (fired.window_start, fired.window_end) == (third, third + COHORT_SECONDS)
    assert (fired.value, fired.events, fired.comparison) == (0.7, 200, "below")
    assert abs(fired.threshold - 0.855) < 1e-12
    assert "70.0%" in fired.summary and "22.2% worse" in fired.summary and "90%" in fired.summary
    its = fired.cohort
    assert isinstance(its, msgspec.Struct)
    assert (its.predicted, its.labelled, its.drop_from_baseline) == (200, 200, 0.05)
    assert its.figure.low is not None and its.figure.high is not None
    assert its.figure.low < 0.7 < its.figure.high < 0.855
    assert its.baseline_figure is not None and its.baseline_figure.value == 0.9
    assert its.bound is not None and 0 < its.bound < (its.worsening or 0)
    assert its.chance == its.alarms_per_month / its.judgements_per_month
    (report,) = [it for it in found if isinstance(it, PerformanceReport) and it.id == fired.report]
    assert report.performance.figures["accuracy"] == its.figure
    assert its.time == report.time >= fired.window_end
    assert (resolved.state, resolved.starts_at) == ("resolved", third)
    assert resolved.ends_at == START + 4 * COHORT_SECONDS
    facts = [it for it in found if isinstance(it, AuditFact)]
    assert [it.event for it in facts] == ["alert.firing", "alert.resolved"]
    assert facts[0].time == its.time and facts[0].inputs["cohort_baseline_value"] == "0.9"


def test_what_may_be_chance_or_is_small_raises_nothing() -> None:
    assert not alerts(records(a_world([0.9, 0.9, 0.4], labels=25))), "fewer than 30 labels"
    assert not alerts(records(a_world([0.9, 0.9, 0.8], labels=40))), "1 cohort in 20 by chance"
    assert not alerts(records(a_world([0.9, 0.9, 0.86], labels=2_000))), "certain, and small"


def test_a_cohort_is_judged_once_it_is_mature() -> None:
    world = a_world([0.9, 0.7], wait=0)
    assert not alerts(records(world))
    let_pass(world, 2)
    (fired,) = alerts(records(world))
    assert fired.window_start == START + COHORT_SECONDS


def test_corrected_labels_are_judged_too() -> None:
    world = a_world([0.9, 0.9])
    for number in range(200):
        world.label(f"1-{number}", 1 - (world.seen[f"1-{number}"].actual or 0))
    world.flush()
    let_pass(world, 1)
    (fired,) = alerts(records(world))
    assert fired.revised and fired.window_start == START + COHORT_SECONDS
    assert abs(fired.value - 0.1) < 1e-12


def test_what_all_traffic_reports_is_not_reported_of_groups_too() -> None:
    found = alerts(records(a_world([0.9, 0.9, 0.6], labels=400, region=True)))
    assert [it.segment for it in found] == [{}]


def test_alerts_of_labels_that_stop_are_without_data_and_end() -> None:
    world = a_world([0.9, 0.9, 0.7], wait=20)
    fired, without = alerts(records(world))
    assert (fired.state, without.state) == ("firing", "no_data")
    let_pass(world, 50)
    state = a_state(**WINDOWS)
    state.outcomes.retention_of = lambda _: 40 * 3600.0
    *_, ended = alerts(records(world, state=state))
    assert ended.state == "resolved" and "no labels for" in ended.summary
    assert not state.outcomes.alerts


def test_a_cohort_without_the_figure_of_its_baseline_resolves_nothing() -> None:
    world = a_world([0.9, 0.9, 0.7])
    state = a_state(**WINDOWS)
    records(world, state=state)
    before = len(world.log)
    for number in range(200):
        world.predict(f"new-{number}", 0.8)
        world.label(f"new-{number}", 1)
    world.flush()
    let_pass(world, 2)
    del state.baselines["of-1"]
    fold(state, world.log[before:], baseline=a_baseline())
    found = [it.record for it in state.take_outputs()]
    assert any(isinstance(it, PerformanceReport) and it.mature for it in found)
    assert not alerts(found)


def test_a_retraining_is_requested_when_the_drop_is_known() -> None:
    rules = rules_of(
        "name: worse, metric: accuracy, drop_from_baseline: 0.05, severity: high, "
        "action: retrain, expires_after: 3600"
    )
    found = records(a_world([0.9, 0.9, 0.7]), rules)
    (fired,) = alerts(found)
    (action,) = [it for it in found if isinstance(it, Action)]
    assert isinstance(fired.cohort, msgspec.Struct)
    assert action.requested_at == fired.cohort.time and fired.actions == [action.id]
    assert action.expires_at == action.requested_at + 3600


def test_thresholds_are_judged_by_the_interval() -> None:
    rules = rules_of(
        "name: low, metric: f1, below: 0.85, severity: high",
        "name: near, metric: accuracy, below: 0.71, severity: high",
        "name: rough, metric: specificity, below: 0.92, severity: high",
        "name: few, metric: label_coverage, below: 0.5, severity: low",
        "name: slow, metric: label_delay_p90, above: 3600, severity: low",
    )
    found = alerts(records(a_world([0.9, 0.9, 0.7]), rules))
    assert [it.rule for it in found] == ["low", "rough"]


def test_crashes_change_no_byte() -> None:
    log = a_world([0.9, 0.9, 0.6, 0.6, 0.9], labels=100, region=True).log
    undisturbed = a_state(**WINDOWS)
    fold(undisturbed, log)
    expected = {(it.topic, it.key, encode(it.record)) for it in undisturbed.take_outputs()}
    assert any(topic == TOPICS.alerts for topic, _, _ in expected)
    for step in (1, 2, 3):
        written: list[Written] = []
        found = set()
        worker = Changelog(a_state(**WINDOWS))
        worker.restored()
        while rest := [at for at in log if at[0] >= worker.state.progress.next_offset]:
            fold(worker.state, rest[:step])
            found |= {(it.topic, it.key, encode(it.record)) for it in worker.state.take_outputs()}
            written += writes(worker.checkpoint())
            fold(worker.state, rest[step : 2 * step])  # lost with the worker
            worker = taken_over(written, **WINDOWS)
        assert found == expected
