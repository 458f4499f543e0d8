"""How often a rule on a cohort's figure holds by chance, counted over every outcome there is."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from tidegauge.alerting import DEFAULT_RULES, AlertState, CohortWindow, cohort_window, evaluate
from tidegauge.alerting.cohorts import CohortFigure
from tidegauge.alerting.metrics import OF_COHORTS
from tidegauge.alerting.model import Rule
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.contract import (
    BinaryTarget,
    Figure,
    MulticlassTarget,
    Performance,
    PerformanceReport,
    RegressionTarget,
)
from tidegauge.outcomes import figures_of
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.outcomes.performance import LESS_IS_BETTER
from tidegauge.stats.intervals import at_chance, proportion
from tidegauge.stats.multiclass import average_f1_of_classes
from tidegauge.stats.ranking import average_precision, roc_auc

TARGETS = (
    BinaryTarget(positive="1", negative="0", threshold=0.5),
    MulticlassTarget(classes=["a", "b", "c"]),
    RegressionTarget(residual_edges=[-1.0, 1.0]),
)

DROP = Rule(name="drop", metric="accuracy", drop_from_baseline=0.05, severity="critical")
BELOW = Rule(name="below", metric="accuracy", below=0.9, severity="critical")


def a_window(alarms: float = 1.0, parts: int = 1) -> CohortWindow:
    report = PerformanceReport(
        id="", model="m", version="1", variant="", group={}, cohort_start=0, cohort_end=3600,
        revision=0, time=7200, problem="binary", baseline="b",
        performance=Performance(predicted=0, labelled=0, figures={}), joinable=0, maturity=1.0,
        mature=True,
    )  # fmt: skip
    rules = RuleSet([DROP, BELOW])
    return cohort_window(report, {}, rules=rules, alarms_per_month=alarms, parts=parts)


def test_the_budget_is_shared_by_cohorts_parts_and_rules() -> None:
    window = a_window(alarms=2.0, parts=3)
    assert (window.alarms, window.looks) == (0.4, 720 * 3 * 2)
    assert window.chance == 0.4 / (720 * 3 * 2)


@pytest.mark.parametrize("n", [30, 100, 1_000])
@pytest.mark.parametrize("truth", [0.6, 0.9, 0.99])
def test_a_proportion_passes_by_chance_no_more_often_than_the_budget_allows(
    n: int, truth: float
) -> None:
    window = a_window()
    reference = proportion(round(20_000 * truth), 20_000)
    below = Rule(name="below", metric="accuracy", below=truth, severity="low")
    for rule in (DROP, below):
        holding = [
            hits
            for hits in range(n + 1)
            if rule.holds(hits / n, truth)
            and CohortFigure(window, proportion(hits, n), reference).is_beyond_chance(rule)
        ]
        assert binom.pmf(holding, n, truth).sum() <= window.chance
        assert round(0.1 * n) in holding, "a large drop is seen"


@pytest.mark.parametrize("positives", [1, 2, 3, 5])
def test_the_area_of_a_handful_of_positives_passes_by_chance_as_seldom(positives: int) -> None:
    rng = np.random.default_rng(positives)

    def area(positives: int, negatives: int) -> Figure:
        scores = (expit(rng.normal(at, 1.0, n)) for at, n in ((1.8, positives), (0.0, negatives)))
        counts = (np.histogram(its, bins=128, range=(0.0, 1.0))[0] for its in scores)
        return roc_auc(*counts)

    window, reference = a_window(), area(20_000, 20_000)
    rule = Rule(name="ranks", metric="auc", drop_from_baseline=0.05, severity="high")
    found = [CohortFigure(window, area(positives, 200), reference) for _ in range(400)]
    assert not any(it.is_beyond_chance(rule) for it in found)
    flipped = CohortFigure(window, roc_auc([50, 0], [0, 50]), reference)
    assert flipped.is_beyond_chance(rule), "a large drop is seen"


@pytest.mark.parametrize("labels", [30, 100, 200])
@pytest.mark.parametrize("of_class", [(0.6, 0.39, 0.01), (0.985, 0.01, 0.005)])
def test_the_mean_f1_with_a_class_of_a_row_or_two_passes_by_chance_as_seldom(
    labels: int, of_class: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(labels)
    right = 0.05 + 0.85 * np.eye(3)
    places = (right * np.array(of_class)[:, np.newaxis]).reshape(-1)

    def mean_f1(labels: int) -> Figure:
        counts = rng.multinomial(labels, places / places.sum()).reshape(3, 3)
        return average_f1_of_classes(counts, "macro")

    window, reference = a_window(), mean_f1(20_000)
    rule = Rule(name="f1", metric="f1", drop_from_baseline=0.05, severity="high")
    found = [CohortFigure(window, mean_f1(labels), reference) for _ in range(200)]
    assert not any(it.is_beyond_chance(rule) for it in found)
    guessed = average_f1_of_classes(np.full((3, 3), 100), "macro")
    assert CohortFigure(window, guessed, reference).is_beyond_chance(rule), "a large drop is seen"


@pytest.mark.parametrize("name", ["auc", "pr_auc"])
def test_a_perfect_area_is_known_no_better_than_its_few_positives_allow(name: str) -> None:
    figure = (roc_auc if name == "auc" else average_precision)([0, 5], [1_000, 0])
    low, _ = at_chance(figure, 1e-4) or (1.0, 1.0)
    assert low == pytest.approx(1e-4 ** (1 / 5)) and figure.low is not None and low < figure.low


def test_a_rise_of_the_mean_absolute_error_is_critical_by_default() -> None:
    def state_after(error: float, labels: int) -> list[str]:
        def figure(value: float, n: int) -> Figure:
            half = 1.96 * value / n**0.5
            return Figure(n=n, value=value, low=value - half, high=value + half, method="normal")

        window = a_window()
        window.cohort.performance.figures["mae"] = figure(error, labels)
        window.references = {"mae": figure(2.0, 10_000)}
        verdict = evaluate(DEFAULT_RULES.of_cohorts, window, AlertState(), distribution=_without)
        return [f"{it.rule} {it.severity} {it.comparison} {it.threshold}" for it in verdict.alerts]

    assert state_after(2.6, 1_000) == ["mae-rise critical above 2.1"]
    assert not state_after(2.6, 20), "too few labels"
    assert not state_after(2.6, 100), "it may be chance"
    assert not state_after(2.08, 1_000_000), "4 % more"
    assert not state_after(1.0, 1_000), "better"


def test_any_error_is_a_rise_from_a_baseline_without_one() -> None:
    # A tree, on the rows that it was trained on.
    reference = Figure(n=1_000, value=0.0, low=0.0, high=0.0, method="normal")
    rule = Rule(name="rise", metric="mae", drop_from_baseline=0.05, severity="critical")
    for low, known in ((1.5, True), (0.1, False)):
        figure = Figure(n=200, value=2.0, low=low, high=4.0 - low, method="normal")
        one = CohortFigure(a_window(), figure, reference)
        assert rule.holds(2.0, 0.0) and one.is_beyond_chance(rule) == known
        window = a_window()
        window.cohort.performance.figures["mae"] = figure
        window.cohort.baseline_figures["mae"], window.references = 0.0, {"mae": reference}
        verdict = evaluate(DEFAULT_RULES.of_cohorts, window, AlertState(), distribution=_without)
        assert len(verdict.alerts) == known
        assert all(
            "error 2, 2 worse than the baseline's 0, by" in it.summary for it in verdict.alerts
        )
    perfect = CohortFigure(a_window(), reference, reference)
    assert not rule.holds(0.0, 0.0) and not perfect.is_beyond_chance(rule)


def _without(*_: object) -> None:
    return None


def test_what_has_no_interval_is_no_evidence() -> None:
    one = CohortFigure(a_window(), Figure(n=100, value=0.5), proportion(90, 100))
    assert not one.is_beyond_chance(DROP) and not one.is_beyond_chance(BELOW)


def test_rules_can_watch_what_is_computed_and_know_which_way_is_worse() -> None:
    names = {name for target in TARGETS for name in figures_of(OutcomeCounts(target))}
    assert names >= OF_COHORTS
    for name in OF_COHORTS:
        rule = {"name": "worse", "metric": name, "severity": "low"}
        if not name.startswith("label_"):
            worse = Rule(**rule, drop_from_baseline=0.1)
            assert worse.comparison == ("above" if name in LESS_IS_BETTER else "below")
