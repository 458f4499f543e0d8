"""Window reports made to measure, for tests that judge them."""

from typing import Any

import msgspec

from tidegauge.contract import deterministic_id
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.report import (
    AlarmBudget,
    CountedRange,
    Drift,
    Evidence,
    LatencySummary,
    ReportPart,
    SignalReport,
    WindowReport,
)
from tidegauge.sequential.engine import size_of

NO_DRIFT: dict[str, float | None] = {
    "psi": 0.0,
    "kl_current_reference_nats": 0.0,
    "kl_reference_current_nats": 0.0,
    "js_nats": 0.0,
    "wasserstein_bins": 0.0,
}


def signal_report(
    *,
    counts: tuple[int, ...] = (600, 400),
    mean: float | None = None,
    missing_share: float = 0.0,
    unseen_share: float | None = None,
    null: int = 0,
    drifted: bool = True,
    **drift: float | None,
) -> SignalReport:
    """One signal; figures of its drift by keyword, 0 where not given, none if not ``drifted``."""
    return SignalReport(
        kind="numeric" if unseen_share is None else "categorical",
        histogram=SignalHistogram(counts=list(counts), null=null),
        mean=mean,
        missing_share=missing_share,
        unseen_share=unseen_share,
        drift=Drift(**(NO_DRIFT | drift)) if drifted else None,
    )


def part_of(events: int, baseline: str = "b1", **signals: SignalReport) -> ReportPart:
    """One part of a report."""
    return ReportPart(baseline=baseline, baseline_age_seconds=0.5, events=events, signals=signals)


def window_report(
    window: int = 0,
    *parts: ReportPart,
    model: str = "credit",
    version: str = "3",
    variant: str = "",
    segment: dict[str, str] | None = None,
    **fields: Any,
) -> WindowReport:
    """Report of minute number ``window``; its events are those of its parts."""
    start = 1_700_000_040 + 60 * window
    given = {
        "id": deterministic_id("report", model, version, variant, start),
        "revision": 0,
        "closed_by": start + 70.0,
        "events": sum(part.events for part in parts),
        "errors": 0,
        "counted": [CountedRange(topic="predictions", partition=0, start=10, to=2000)],
        "prediction_mean_5m": None,
        "latency": None,
    }
    return WindowReport(
        model=model,
        version=version,
        variant=variant,
        segment=segment or {},
        window_start=start,
        window_end=start + 60,
        parts=list(parts),
        **(given | fields),
    )


def kl_report(
    window: int, value: float | None, *, events: int = 1000, signal: str = "age", **fields: Any
) -> WindowReport:
    """Report with one signal whose KL(current‖reference) is ``value``, or was not measured."""
    signal_of = signal_report(kl_current_reference_nats=value or 0.0, drifted=value is not None)
    return window_report(window, part_of(events, **{signal: signal_of}), **fields)


def evidence_of(surprise: float, psi: float | None = None, **fields: Any) -> Evidence:
    """Evidence of ``surprise`` times the threshold of :func:`surprise_report`."""
    given: dict[str, Any] = {
        "score": "mean", "span_windows": 1, "surprise_nats": 10.0 * surprise, "events": 1000.0,
        "baseline_events": 10_000, "bins": 2, "psi_corrected": psi,
        "size": None if psi is None else size_of(psi),
    }  # fmt: skip
    return Evidence(**given | fields)


def surprise_report(window: int, /, **evidence: Evidence) -> WindowReport:
    """Report whose signals have this evidence, with a threshold of 10 nats."""
    signals = {
        name: msgspec.structs.replace(signal_report(), evidence=its)
        for name, its in evidence.items()
    }
    budget = AlarmBudget(
        threshold_nats=10.0, looks=20.0, alarms_per_month=1.0, windows_per_month=43_200.0
    )
    part = msgspec.structs.replace(part_of(1000, **signals), alarm_budget=budget)
    return window_report(window, part)


def latency(mean_ms: float, **quantiles: float) -> LatencySummary:
    """Latency of a window; quantiles are the mean where not given."""
    given = {"p50_ms": mean_ms, "p95_ms": mean_ms, "p99_ms": mean_ms} | quantiles
    return LatencySummary(mean_ms=mean_ms, **given)
