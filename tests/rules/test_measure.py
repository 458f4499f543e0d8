"""Every metric, measured on a report that has a different value for each."""

import math

import pytest

from support.window_reports import latency, part_of, signal_report, window_report
from tidegauge.contract import AlarmBudget, DriftPattern, Evidence, WindowReport
from tidegauge.rules import METRICS, measure
from tidegauge.rules.metrics import MetricName

AGE = signal_report(
    mean=41.5,
    missing_share=0.25,
    null=500,
    psi=0.31,
    kl_current_reference_nats=0.15,
    kl_reference_current_nats=0.16,
    js_nats=0.04,
    wasserstein_bins=0.8,
)
AGE.evidence = Evidence(
    score="mean",
    span_windows=16,
    surprise_nats=30.0,
    events=9000.0,
    baseline_events=50_000,
    bins=17,
)
PART = part_of(
    2000,
    age=AGE,
    latency_ms=signal_report(mean=180.0, null=1600, drifted=False),
    status=signal_report(unseen_share=0.0, drifted=False),
)
PART.alarm_budget = AlarmBudget(
    threshold_nats=15.0, looks=80.0, alarms_per_month=1.0, windows_per_month=43_200.0
)
PART.pattern = DriftPattern(
    signals=8,
    drifted_signals=3,
    drifted_share=0.375,
    prediction_drifted=False,
    reading="inputs_only",
)
REPORT = window_report(
    0,
    PART,
    errors=40,
    prediction_mean_5m=0.61,
    latency=latency(180.0, p50_ms=120.0, p95_ms=500.0, p99_ms=900.0),
)

EXPECTED: dict[MetricName, tuple[str | None, float, str, int]] = {
    "psi": ("age", 0.31, "nats", 2000),
    "kl": ("age", 0.15, "nats", 2000),
    "kl_reverse": ("age", 0.16, "nats", 2000),
    "js": ("age", 0.04, "nats", 2000),
    "wasserstein": ("age", 0.8, "bins", 1500),
    "surprise": ("age", 2.0, "of the alarm threshold", 2000),
    "drifted_signals": (None, 3.0, "signals", 2000),
    "drifted_share": (None, 0.375, "share", 2000),
    "missing_share": ("age", 0.25, "share", 2000),
    "mean": ("age", 41.5, "value", 1500),
    "prediction_mean_5m": (None, 0.61, "value", 2000),
    "latency_mean_ms": (None, 180.0, "ms", 400),
    "latency_p50_ms": (None, 120.0, "ms", 400),
    "latency_p95_ms": (None, 500.0, "ms", 400),
    "latency_p99_ms": (None, 900.0, "ms", 400),
    "error_share": (None, 0.02, "share", 2000),
    "events": (None, 2000.0, "events", 2000),
    "seconds_without_events": (None, 0.0, "s", 2000),
}


@pytest.mark.parametrize("metric", EXPECTED)
def test_a_metric_is_the_figure_of_the_report_it_is_named_after(metric: MetricName) -> None:
    (found,) = measure(metric, REPORT)
    assert (found.signal, found.value, found.unit, found.events) == EXPECTED[metric]
    against_baseline = METRICS[metric].of_signal or metric.startswith("drifted_")
    assert found.baseline == ("b1" if against_baseline else "")


def test_every_metric_is_tried_here() -> None:
    assert set(EXPECTED) | {"unseen_share"} == set(METRICS)


def test_the_unseen_share_is_measured_on_categories_alone() -> None:
    report = window_report(
        0, part_of(500, region=signal_report(unseen_share=0.1, wasserstein_bins=None), age=AGE)
    )
    (found,) = measure("unseen_share", report)
    assert (found.signal, found.value, found.events) == ("region", 0.1, 500)
    assert [one.signal for one in measure("wasserstein", report)] == ["age"]


def test_prediction_and_label_are_signals_and_latency_and_status_are_not() -> None:
    names = ("age", "prediction", "label", "latency_ms", "status")
    report = window_report(0, part_of(10, **{name: signal_report(mean=1.0) for name in names}))
    for metric in ("psi", "mean", "missing_share"):
        assert [one.signal for one in measure(metric, report)] == ["age", "prediction", "label"]


def test_each_part_is_measured_by_its_own_events_and_baseline() -> None:
    report = window_report(
        0,
        part_of(300, "old", age=signal_report(psi=0.1)),
        part_of(700, "new", age=signal_report(psi=0.2)),
    )
    found = [(one.value, one.events, one.baseline) for one in measure("psi", report)]
    assert found == [(0.1, 300, "old"), (0.2, 700, "new")]


def test_latency_without_a_histogram_rests_on_all_events() -> None:
    report = window_report(0, part_of(300), latency=latency(50.0))
    (found,) = measure("latency_mean_ms", report)
    assert found.events == 300


def unmeasured() -> WindowReport:
    return window_report(
        0, part_of(0, "", age=signal_report(mean=None, drifted=False)), events=0, latency=None
    )


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"missing_share", "events"}))
def test_what_the_report_does_not_have_is_not_measured(metric: MetricName) -> None:
    assert list(measure(metric, unmeasured())) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_not_measured(value: float) -> None:
    report = window_report(
        0, part_of(10, age=signal_report(mean=value, psi=value)), latency=latency(value)
    )
    for metric in ("mean", "psi", "latency_mean_ms"):
        assert list(measure(metric, report)) == []


@pytest.mark.parametrize("metric", EXPECTED)
def test_what_is_outside_two_values_is_all_that_is_told_if_they_are_given(
    metric: MetricName,
) -> None:
    value = EXPECTED[metric][1]
    for sides, told in [
        ((-math.inf, math.inf), False),
        ((value, value), False),
        ((-math.inf, value - 0.01), True),
        ((value + 0.01, math.inf), True),
    ]:
        found = list(measure(metric, REPORT, outside=sides))
        assert found == (list(measure(metric, REPORT)) if told else [])
