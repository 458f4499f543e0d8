"""The metrics of OUTCOMES."""

from prometheus_client import CollectorRegistry

from tidegauge.telemetry.declaration import MetricSet, counter, gauge, histogram
from tidegauge.telemetry.metrics import record_metrics

_RESULTS = (
    "joined", "duplicate", "corrected", "retracted", "early", "unknown", "expired",
    "invalid_class", "stale_revision",
)  # fmt: skip


class OutcomeMetrics(MetricSet):
    """Metrics of OUTCOMES."""

    labels = counter(
        "tidegauge_labels_total{result}",
        "labels, committed: `joined`, `corrected` (a larger revision), `retracted`, `duplicate`, "
        "`stale_revision` (a smaller one); `early` ones wait for their prediction and are counted "
        "once more; dead letters are `unknown` (no prediction has the id), `expired` and "
        "`invalid_class`",
        from_zero=[(result,) for result in _RESULTS],
    )
    pending = gauge(
        "tidegauge_pending_predictions", "predictions in memory that a label finds by its id"
    )
    pending_bytes = gauge(
        "tidegauge_pending_bytes", "memory of predictions and labels, by which labels are joined"
    )
    pending_oldest = gauge(
        "tidegauge_pending_oldest_seconds", "age of the oldest prediction that waits for labels"
    )
    waiting = gauge(
        "tidegauge_waiting_labels", "labels that came before their prediction and wait for it"
    )
    duplicate_predictions = counter(
        "tidegauge_duplicate_predictions_total",
        "predictions whose id the same version and variant of a model has had before",
    )
    late_predictions = counter(
        "tidegauge_late_predictions_total",
        "predictions older than their model waits for labels, when they came",
    )
    restore = gauge(
        "tidegauge_outcomes_restore_seconds",
        "how long it took to read back what is remembered, at the last assignment",
    )
    flush = histogram(
        "tidegauge_outcomes_flush_seconds",
        "how long a flush and its commit took",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    )
    lag = gauge(
        "tidegauge_outcomes_lag_records",
        "records of `tidegauge.outcomes` not yet joined in this process's partitions",
    )
    aborted = counter(
        "tidegauge_outcomes_transactions_aborted_total",
        "flushes and sessions that failed; what they had joined was joined again, once",
    )
    letters_dropped = counter(
        "tidegauge_outcomes_dead_letters_dropped_total",
        "dead letters of labels that were not sent, because their topic took none",
    )

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.records_set_aside = record_metrics(registry)
