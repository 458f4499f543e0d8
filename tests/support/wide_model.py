"""A model with many features, judged as DETECT judges it: counts in, alerts out."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from support.counting import a_baseline, numeric
from support.window_reports import part_of, window_report
from tidegauge.alerting.evaluate import evaluate
from tidegauge.alerting.records import EvaluationResult
from tidegauge.alerting.ruleset import DEFAULT_RULES, RuleSet
from tidegauge.alerting.state import AlertState
from tidegauge.baseline.compare import distribution
from tidegauge.contract.alert import Distribution
from tidegauge.contract.histogram import SignalHistogram
from tidegauge.windows.drift_detector import DriftDetector
from tidegauge.windows.report import signal_reports

SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
FEATURES = [f"f{number:02}" for number in range(50)]

_COUNTS = (SHARES * 100_000).astype(int).tolist()
BASELINE = a_baseline(
    **{name: numeric([-2.0, -1.0, 1.0, 2.0], _COUNTS) for name in (*FEATURES, "prediction")}
)


class Drift(NamedTuple):
    """From which window on, up to which, how many features, and what share of their events."""

    first: int
    end: int
    features: int
    share: float


def judged(
    windows: int, drift: Drift, *, events: int = 1000, rules: RuleSet = DEFAULT_RULES
) -> Iterator[EvaluationResult]:
    """Judge windows of a minute; the share of a feature's events that drift are a bin higher."""
    rng = np.random.default_rng(4)
    watch, memory, state = DriftDetector(lambda model: 1.0), None, AlertState()
    moved = (1 - drift.share) * SHARES + drift.share * np.roll(SHARES, 1)
    for number in range(windows):
        drifted = FEATURES[: drift.features] if drift.first <= number < drift.end else []
        counted = {
            name: SignalHistogram(
                counts=rng.multinomial(events, moved if name in drifted else SHARES).tolist()
            )
            for name in BASELINE.signals
        }
        signals = signal_reports(counted, BASELINE)
        report = window_report(number, part_of(events, BASELINE.id, **signals))
        memory, report = watch.take(memory, report, {BASELINE.id: BASELINE})
        verdict = evaluate(rules, report, state, distribution=_distribution)
        state = verdict.state
        yield verdict


def _distribution(_: str, signal: str, histogram: SignalHistogram) -> Distribution | None:
    return distribution(BASELINE.signals[signal], histogram)
