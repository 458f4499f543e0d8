"""What a rule can watch: every metric with its unit and range."""

import math
from typing import Literal, NamedTuple

MetricName = Literal[
    "psi",
    "kl",
    "kl_reverse",
    "js",
    "wasserstein",
    "kl_values",
    "surprise",
    "drifted_signals",
    "drifted_share",
    "missing_share",
    "absent_share",
    "not_finite_share",
    "invalid_share",
    "unseen_share",
    "missing_excess",
    "absent_excess",
    "not_finite_excess",
    "invalid_excess",
    "unseen_excess",
    "out_of_range_share",
    "constant",
    "mean",
    "prediction_mean_5m",
    "latency_mean_ms",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "error_share",
    "events",
    "seconds_without_events",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "auc",
    "pr_auc",
    "log_loss",
    "brier",
    "calibration_error",
    "mae",
    "rmse",
    "mape",
    "r2",
    "label_coverage",
    "label_delay_p50",
    "label_delay_p90",
]


#: The metric of slices that no window comes of.
SILENCE: MetricName = "seconds_without_events"

#: How much more is unusable than in the baseline; see the ``quality`` of a signal's report.
OF_QUALITY: frozenset[MetricName] = frozenset(
    {
        "missing_excess",
        "absent_excess",
        "not_finite_excess",
        "invalid_excess",
        "unseen_excess",
        "out_of_range_share",
        "constant",
    }
)

#: How far a window is from its baseline: what a retraining may rest on.
OF_DRIFT: frozenset[MetricName] = frozenset(
    {"psi", "kl", "kl_reverse", "js", "wasserstein", "kl_values", "surprise"}
)


class Metric(NamedTuple):
    """A figure of a window report, or of a cohort of predictions by their labels.

    ``of_signal``: measured on each signal, otherwise once a window. ``lowest`` and ``highest`` are
    the ends of its range. ``minimum_events`` holds where a rule doesn't say: a thousand for what
    sampling noise alone moves far (see docs/statistics.md), a hundred for means and shares, twenty
    for what is lost beyond chance, thirty labels for what is judged by an interval.
    ``in_baseline``: the baseline may have it, so that a rule can be about a drop from there.
    ``less_is_better``: then it is a rise.
    """

    of_signal: bool
    unit: str
    lowest: float
    highest: float
    minimum_events: int
    in_baseline: bool = False
    less_is_better: bool = False


class Noise(NamedTuple):
    """What a divergence is on average, nats, of n values: ``per_value`` / n + ``of_baseline``."""

    per_value: float
    of_baseline: float

    def minimum_events(self, threshold: float) -> float:
        """Return the events from which on noise is no more than a threshold; perhaps infinite.

        >>> Noise(per_value=8.5, of_baseline=0.0).minimum_events(0.05)
        170.0
        >>> Noise(per_value=6.5, of_baseline=0.065).minimum_events(0.05)
        inf
        """
        rest = threshold - self.of_baseline
        return math.ceil(self.per_value / rest - 1e-9) * 1.0 if rest > 0 else math.inf


_OF_COHORTS: dict[MetricName, Metric] = {
    "accuracy": Metric(False, "share", 0, 1, 30, True),
    "balanced_accuracy": Metric(False, "share", 0, 1, 30, True),
    "precision": Metric(False, "share", 0, 1, 30, True),
    "recall": Metric(False, "share", 0, 1, 30, True),
    "specificity": Metric(False, "share", 0, 1, 30, True),
    "f1": Metric(False, "value", 0, 1, 30, True),
    "precision_weighted": Metric(False, "share", 0, 1, 30, True),
    "recall_weighted": Metric(False, "share", 0, 1, 30, True),
    "f1_weighted": Metric(False, "value", 0, 1, 30, True),
    "auc": Metric(False, "value", 0, 1, 30, True),
    "pr_auc": Metric(False, "value", 0, 1, 30, True),
    "log_loss": Metric(False, "value", 0, math.inf, 30, True, True),
    "brier": Metric(False, "value", 0, 1, 30, True, True),
    "calibration_error": Metric(False, "value", 0, 1, 30, True, True),
    "mae": Metric(False, "value", 0, math.inf, 30, True, True),
    "rmse": Metric(False, "value", 0, math.inf, 30, True, True),
    "mape": Metric(False, "share", 0, math.inf, 30, True, True),
    "r2": Metric(False, "value", -math.inf, 1, 30, True),
    "label_coverage": Metric(False, "share", 0, math.inf, 30),
    "label_delay_p50": Metric(False, "s", 0, math.inf, 30, less_is_better=True),
    "label_delay_p90": Metric(False, "s", 0, math.inf, 30, less_is_better=True),
}

#: Of mature cohorts of predictions, by their labels; see docs/outcomes.md.
OF_COHORTS: frozenset[MetricName] = frozenset(_OF_COHORTS)

METRICS: dict[MetricName, Metric] = {
    "psi": Metric(True, "nats", 0, math.inf, 1000),
    "kl": Metric(True, "nats", 0, math.inf, 1000),
    "kl_reverse": Metric(True, "nats", 0, math.inf, 1000),
    "js": Metric(True, "nats", 0, math.log(2), 1000),
    "wasserstein": Metric(True, "bins", 0, math.inf, 1000),
    # Without the bins of what is no value; 0 where it is no more than sampling noise.
    "kl_values": Metric(True, "nats", 0, math.inf, 1000),
    # Events are pooled over windows until they are enough.
    "surprise": Metric(True, "of the alarm threshold", 0, math.inf, 0),
    "drifted_signals": Metric(False, "signals", 0, math.inf, 0),
    "drifted_share": Metric(False, "share", 0, 1, 0),
    "missing_share": Metric(True, "share", 0, 1, 100),
    "absent_share": Metric(True, "share", 0, 1, 100),
    "not_finite_share": Metric(True, "share", 0, 1, 100),
    "invalid_share": Metric(True, "share", 0, 1, 100),
    "unseen_share": Metric(True, "share", 0, 1, 100),
    # What may be chance is left out of these, so few events are enough to see that all is lost.
    "missing_excess": Metric(True, "share", 0, 1, 20),
    "absent_excess": Metric(True, "share", 0, 1, 20),
    "not_finite_excess": Metric(True, "share", 0, 1, 20),
    "invalid_excess": Metric(True, "share", 0, 1, 20),
    "unseen_excess": Metric(True, "share", 0, 1, 20),
    "out_of_range_share": Metric(True, "share", 0, 1, 20),
    # 1 if all values of the window are the same or nearly, and by the baseline that is no chance.
    "constant": Metric(True, "yes (1) or no (0)", 0, 1, 100),
    "mean": Metric(True, "value", -math.inf, math.inf, 100),
    "prediction_mean_5m": Metric(False, "value", -math.inf, math.inf, 100),
    "latency_mean_ms": Metric(False, "ms", 0, math.inf, 100),
    "latency_p50_ms": Metric(False, "ms", 0, math.inf, 100),
    "latency_p95_ms": Metric(False, "ms", 0, math.inf, 100),
    "latency_p99_ms": Metric(False, "ms", 0, math.inf, 100),
    "error_share": Metric(False, "share", 0, 1, 100),
    # Few events are what a rule on this metric is about, so no number of them is too few.
    "events": Metric(False, "events", 0, math.inf, 0),
    # Judged between windows too: see silence.py. A window has events, so it is 0 in each.
    "seconds_without_events": Metric(False, "s", 0, math.inf, 0),
    **_OF_COHORTS,
}
