"""Every metric that tidegauge exposes: what dashboard and alerts may ask for."""

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

_MODEL = ("model", "version", "variant")


class MetricName(NamedTuple):
    """``labels`` without those that Prometheus adds (``le``, ``instance``, …)."""

    kind: Kind
    labels: tuple[str, ...] = ()


INGEST: dict[str, MetricName] = {
    "tidegauge_ingest_events_total": MetricName("counter", ("path",)),
    "tidegauge_ingest_dead_letters_total": MetricName("counter", ("reason",)),
    "tidegauge_ingest_dead_letters_dropped_total": MetricName("counter", ("reason",)),
    "tidegauge_ingest_overflow_total": MetricName("counter", ("level", "model")),
    "tidegauge_ingest_ignored_features": MetricName("gauge", ("model", "version", "reason")),
    "tidegauge_ingest_flush_seconds": MetricName("histogram"),
    "tidegauge_ingest_lag_events": MetricName("gauge"),
    "tidegauge_ingest_event_time_seconds": MetricName("gauge"),
    "tidegauge_ingest_clock_skew_seconds": MetricName("gauge", ("partition",)),
    "tidegauge_ingest_tenures_total": MetricName("counter"),
    "tidegauge_ingest_transactions_aborted_total": MetricName("counter"),
    "tidegauge_ingest_source_lost_events_total": MetricName("counter"),
    "tidegauge_ingest_source_breaks_total": MetricName("counter", ("happened",)),
    "tidegauge_ingest_source_overlap_events_total": MetricName("counter"),
    "tidegauge_ingest_held_events": MetricName("gauge"),
    "tidegauge_ingest_segments_dropped_total": MetricName("counter", ("dimension",)),
    "tidegauge_ingest_awaited_predictions_total": MetricName("counter", ("result",)),
    "tidegauge_ingest_awaited_faults_total": MetricName("counter", ("reason",)),
}

LABELS: dict[str, MetricName] = {
    "tidegauge_label_router_labels_total": MetricName("counter", ("named",)),
    "tidegauge_label_router_dead_letters_total": MetricName("counter", ("reason",)),
    "tidegauge_label_router_dead_letters_dropped_total": MetricName("counter", ("reason",)),
    "tidegauge_label_router_flush_seconds": MetricName("histogram"),
    "tidegauge_label_router_lag_labels": MetricName("gauge"),
    "tidegauge_label_router_held_labels": MetricName("gauge"),
    "tidegauge_label_router_tenures_total": MetricName("counter"),
    "tidegauge_label_router_transactions_aborted_total": MetricName("counter"),
    "tidegauge_label_router_source_lost_labels_total": MetricName("counter"),
    "tidegauge_label_router_source_breaks_total": MetricName("counter", ("happened",)),
    "tidegauge_label_router_source_overlap_labels_total": MetricName("counter"),
}

OUTCOMES: dict[str, MetricName] = {
    "tidegauge_labels_total": MetricName("counter", ("result",)),
    "tidegauge_pending_predictions": MetricName("gauge"),
    "tidegauge_pending_bytes": MetricName("gauge"),
    "tidegauge_pending_oldest_seconds": MetricName("gauge"),
    "tidegauge_waiting_labels": MetricName("gauge"),
    "tidegauge_duplicate_predictions_total": MetricName("counter"),
    "tidegauge_late_predictions_total": MetricName("counter"),
    "tidegauge_outcomes_restore_seconds": MetricName("gauge"),
    "tidegauge_outcomes_flush_seconds": MetricName("histogram"),
    "tidegauge_outcomes_lag_records": MetricName("gauge"),
    "tidegauge_outcomes_transactions_aborted_total": MetricName("counter"),
    "tidegauge_outcomes_dead_letters_dropped_total": MetricName("counter"),
}

DETECT: dict[str, MetricName] = {
    "tidegauge_events_total": MetricName("counter", _MODEL),
    "tidegauge_windows_closed_total": MetricName("counter", _MODEL),
    "tidegauge_failed_slices_total": MetricName("counter", ("model",)),
    "tidegauge_window_end_seconds": MetricName("gauge", _MODEL),
    "tidegauge_prediction_mean_5m": MetricName("gauge", _MODEL),
    "tidegauge_drift": MetricName("gauge", (*_MODEL, "signal", "statistic")),
    "tidegauge_surprise": MetricName("gauge", (*_MODEL, "signal")),
    "tidegauge_missing_share": MetricName("gauge", (*_MODEL, "signal")),
    "tidegauge_unseen_share": MetricName("gauge", (*_MODEL, "signal")),
    "tidegauge_latency_ms": MetricName("histogram", _MODEL),
    "tidegauge_errors_total": MetricName("counter", _MODEL),
    "tidegauge_alert_firing": MetricName(
        "gauge", (*_MODEL, "segment", "signal", "rule", "severity")
    ),
    "tidegauge_alerts_total": MetricName("counter", ("rule", "severity", "state")),
    "tidegauge_rules_file_ok": MetricName("gauge"),
    "tidegauge_actions_total": MetricName("counter", ("kind",)),
    "tidegauge_late_events_total": MetricName("counter"),
    "tidegauge_performance": MetricName(
        "gauge", ("model", "version", "variant", "figure", "cohort")
    ),
    "tidegauge_performance_worsening": MetricName(
        "gauge", ("model", "version", "variant", "figure", "cohort")
    ),
    "tidegauge_estimated_performance": MetricName(
        "gauge", ("model", "version", "variant", "figure", "cohort")
    ),
    "tidegauge_estimate_held_share": MetricName("gauge", ("model", "version", "variant", "figure")),
    "tidegauge_label_coverage": MetricName("gauge", ("model", "version", "variant")),
    "tidegauge_label_maturity": MetricName("gauge", ("model", "version", "variant")),
    "tidegauge_label_delay_seconds": MetricName("histogram", ("model",)),
    "tidegauge_late_outcomes_total": MetricName("counter"),
    "tidegauge_counted_twice_events_total": MetricName("counter"),
    "tidegauge_versions_without_baseline": MetricName("gauge"),
    "tidegauge_without_baseline": MetricName("gauge", ("model", "version", "nearest")),
    "tidegauge_baselines_refused_total": MetricName("counter"),
    "tidegauge_outputs_refused_total": MetricName("counter", ("topic",)),
    "tidegauge_recounts_total": MetricName("counter"),
    "tidegauge_histogram_breaks_total": MetricName("counter", ("happened",)),
    "tidegauge_slices_left_out": MetricName("gauge"),
    "tidegauge_watermark_seconds": MetricName("gauge", ("partition",)),
    "tidegauge_lost_records_total": MetricName("counter"),
}

LEDGER: dict[str, MetricName] = {
    "tidegauge_ledger_records_total": MetricName("counter"),
    "tidegauge_ledger_duplicates_total": MetricName("counter"),
    "tidegauge_ledger_refused_total": MetricName("counter"),
    "tidegauge_ledger_lost_facts_total": MetricName("counter"),
    "tidegauge_ledger_breaks": MetricName("gauge"),
    "tidegauge_action_acknowledgements_total": MetricName("counter", ("kind", "outcome")),
}

NOTIFY: dict[str, MetricName] = {
    "tidegauge_notify_delivered_total": MetricName("counter", ("receiver",)),
    "tidegauge_notify_failed_total": MetricName("counter", ("receiver",)),
    "tidegauge_notify_dead_letters_total": MetricName("counter", ("receiver", "reason")),
    "tidegauge_notify_receiver_up": MetricName("gauge", ("receiver",)),
    "tidegauge_notify_delay_seconds": MetricName("histogram", ("receiver",)),
    "tidegauge_notify_silenced_total": MetricName("counter", ("receiver",)),
    "tidegauge_notify_withheld": MetricName("gauge", ("receiver",)),
    "tidegauge_notify_digested_total": MetricName("counter", ("receiver",)),
    "tidegauge_notify_digest_waiting": MetricName("gauge", ("receiver",)),
    "tidegauge_notify_receivers_file_ok": MetricName("gauge"),
}

BASELINES: dict[str, MetricName] = {
    "tidegauge_baseline_store_up": MetricName("gauge"),
    "tidegauge_baseline_age_seconds": MetricName("gauge"),
    "tidegauge_baselines_promoted": MetricName("gauge"),
    "tidegauge_baselines_unusable": MetricName("gauge"),
}

#: Of every role that reads records.
RECORDS: dict[str, MetricName] = {
    "tidegauge_skipped_records_total": MetricName("counter", ("topic",)),
    "tidegauge_quarantined_records_total": MetricName("counter", ("topic",)),
}

EVERY_ROLE: dict[str, MetricName] = {
    "tidegauge_build_info": MetricName("gauge", ("version", "role")),
    "tidegauge_topic_problems": MetricName("gauge"),
}

#: Of every process, by the conditions that it has.
CONDITIONS: dict[str, MetricName] = {
    "tidegauge_condition": MetricName("gauge", ("role", "condition", "state")),
}

METRICS = {
    **INGEST, **LABELS, **OUTCOMES, **DETECT, **NOTIFY, **LEDGER, **RECORDS, **BASELINES,
    **EVERY_ROLE, **CONDITIONS,
}  # fmt: skip


def series_names(metrics: dict[str, MetricName] = METRICS) -> set[str]:
    """Return the names as they are queried: a histogram has three."""
    return {
        series
        for name, metric in metrics.items()
        for series in (
            [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
            if metric.kind == "histogram"
            else [name]
        )
    }
