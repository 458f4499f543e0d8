"""Every metric, measured on a report that has a different value for each."""

import math

import msgspec
import pytest

from support.window_reports import (
    evidence_of,
    latency,
    part_of,
    signal_report,
    surprise_report,
    window_report,
)
from tidegauge.alerting.judge import decide, episode_of
from tidegauge.alerting.measure import measure
from tidegauge.alerting.metrics import METRICS, OF_COHORTS, MetricName
from tidegauge.alerting.ruleset import parse_rules
from tidegauge.contract.report import AlarmBudget, DriftPattern, Evidence, Quality, WindowReport

NOISE = {"kl_values_noise_nats": 0.025, "values_bins": 3}

AGE = signal_report(
    mean=41.5,
    missing_share=0.25,
    null=500,
    psi=0.31,
    kl_current_reference_nats=0.15,
    kl_reference_current_nats=0.16,
    js_nats=0.04,
    wasserstein_bins=0.8,
    kl_values_nats=0.12,
    values_surprise_nats=30.0,
)
AGE.histogram.nan, AGE.histogram.invalid = 100, 200
AGE.quality = Quality(
    absent_excess=0.02,
    missing_excess=0.2,
    not_finite_excess=0.04,
    invalid_excess=0.09,
    out_of_range_share=0.03,
    constant=True,
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
    "wasserstein": ("age", 0.8, "bins", 1200),
    "kl_values": ("age", 0.12, "nats", 2000),
    "surprise": ("age", 2.0, "of the alarm threshold", 2000),
    "drifted_signals": (None, 3.0, "signals", 2000),
    "drifted_share": (None, 0.375, "share", 2000),
    "missing_share": ("age", 0.25, "share", 2000),
    "absent_share": ("age", 0.0, "share", 2000),
    "not_finite_share": ("age", 0.05, "share", 2000),
    "invalid_share": ("age", 0.1, "share", 2000),
    "missing_excess": ("age", 0.2, "share", 2000),
    "absent_excess": ("age", 0.02, "share", 2000),
    "not_finite_excess": ("age", 0.04, "share", 2000),
    "invalid_excess": ("age", 0.09, "share", 2000),
    "unseen_excess": ("age", 0.0, "share", 2000),
    "out_of_range_share": ("age", 0.03, "share", 2000),
    "constant": ("age", 1.0, "yes (1) or no (0)", 2000),
    "mean": ("age", 41.5, "value", 1200),
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


def test_of_known_signals_every_value_is_measured_and_of_others_those_outside() -> None:
    drifts = {"age": 0.04, "income": 0.2, "score": 0.01}
    signals = {name: signal_report(psi=value) for name, value in drifts.items()}
    report = window_report(0, part_of(1000, **signals))
    found = measure("psi", report, outside=(-math.inf, 0.1), always={"score"})
    assert [(one.signal, one.value) for one in found] == [("income", 0.2), ("score", 0.01)]


def test_every_metric_is_tried_here() -> None:
    assert set(EXPECTED) | {"unseen_share"} == METRICS.keys() - OF_COHORTS
    assert not any(list(measure(metric, REPORT)) for metric in OF_COHORTS), "it is no cohort"


@pytest.mark.parametrize(
    ("figures", "value"),
    [
        ({"kl_values_nats": 0.4, "values_surprise_nats": 16.0}, [0.4]),
        ({"kl_values_nats": 0.4, "values_surprise_nats": 15.9}, [0.0]),
        ({"kl_current_reference_nats": 0.4}, [0.4]),
        ({"kl_values_nats": 0.4, "values_surprise_nats": 16.0, **NOISE}, [0.375]),
        ({"kl_values_nats": 0.02, "values_surprise_nats": 16.0, **NOISE}, [0.0]),
    ],
)
def test_values_differ_only_beyond_noise_and_old_reports_speak_of_all_bins(
    figures: dict[str, float], value: list[float]
) -> None:
    report = window_report(0, part_of(1000, age=signal_report(**figures)))
    assert [one.value for one in measure("kl_values", report)] == value


@pytest.mark.parametrize(("surprise", "value"), [(1.01, 0.375), (1.0, 0.0), (0.2, 0.0)])
def test_values_differ_only_with_evidence_of_a_drift(surprise: float, value: float) -> None:
    signal = signal_report(kl_values_nats=0.4, values_surprise_nats=20.0, **NOISE)
    report = surprise_report(0, age=evidence_of(surprise))
    known = report.parts[0].signals["age"]
    report.parts[0].signals["age"] = msgspec.structs.replace(known, drift=signal.drift)
    assert [one.value for one in measure("kl_values", report)] == [value]


@pytest.mark.parametrize(
    ("bins", "rows", "events", "judged"),
    [
        (18, 1_000_000, 171, True),
        (18, 1_000_000, 169, False),
        (14, 150, 975, True),  # 6.5 / 150 of .05 is the baseline's own noise
        (14, 150, 974, False),
        (14, 130, 1_000_000, False),
        (2, 30, 15, True),
    ],
)
def test_a_window_is_judged_where_its_noise_is_below_the_threshold(
    bins: int, rows: int, events: int, judged: bool
) -> None:
    half = (bins - 1) / 2
    signal = signal_report(
        counts=(events, 0), kl_values_nats=9.0, values_surprise_nats=99.0, values_bins=bins,
        kl_values_noise_nats=half / events + half / rows,
    )  # fmt: skip
    report = window_report(0, part_of(events, age=signal))
    rules = parse_rules(
        "rules: [{name: a, metric: kl_values, above: 0.05, severity: low}, "
        "{name: b, metric: kl_values, above: 0.05, severity: low, minimum_events: 10}]",
        source="rules.yaml",
    )
    holding = decide(rules, report, {}).holding
    assert set(holding) == ({(0, "age"), (1, "age")} if judged else {(1, "age")})
    if judged:
        least = episode_of(rules.compiled[0], holding[0, "age"], 0).minimum_events
        assert least == events


def test_what_is_not_there_has_no_drift_of_its_values() -> None:
    gone = signal_report(counts=(0, 0), null=1000, kl_current_reference_nats=5.0)
    assert list(measure("kl_values", window_report(0, part_of(1000, age=gone)))) == []


def test_a_signal_without_a_baseline_is_no_more_and_no_less_than_expected() -> None:
    report = window_report(0, part_of(500, "", age=signal_report(drifted=False, missing_share=0.9)))
    assert list(measure("missing_excess", report)) == []


def test_the_dimension_of_a_segment_is_left_out_of_its_slices() -> None:
    part = part_of(2000, region=AGE, age=AGE)
    for segment, expected in (({}, {"region", "age"}), ({"region": "EU"}, {"age"})):
        report = window_report(0, part, segment=segment)
        for metric in ("kl", "kl_values", "missing_share", "missing_excess"):
            assert {it.signal for it in measure(metric, report)} == expected


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
