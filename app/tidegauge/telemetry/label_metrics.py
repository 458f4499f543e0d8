"""The metrics of routing labels, which INGEST does beside counting."""

from tidegauge.telemetry.declaration import counter, gauge, histogram
from tidegauge.telemetry.metrics import RoleMetrics

#: Other reasons of ``contract.LabelReason`` are those of the join.
_REASONS = [
    (reason,)
    for reason in (
        "empty", "too_large", "invalid_utf8", "invalid_json", "invalid_record", "invalid_time",
        "invalid_receipt", "no_target", "too_many_variants",
    )
]  # fmt: skip


class LabelMetrics(RoleMetrics):
    """Metrics of the thread of INGEST that reads labels."""

    routed = counter(
        "tidegauge_label_router_labels_total{named}",
        "labels handed to OUTCOMES and committed, with the `id` of a prediction or with the "
        "`prediction`, by a receipt or without; `not_sampled`: labels by an id that no model keeps "
        "(`outcomes.rate`), which are handed to nobody; `without_groups`: those with a prediction "
        "whose groups were more combinations than are kept of a model, and are left out",
        from_zero=[(one,) for one in ("id", "prediction", "not_sampled", "without_groups")],
    )
    dead_letters = counter(
        "tidegauge_label_router_dead_letters_total{reason}",
        "labels that could not be handed on",
        from_zero=_REASONS,
    )
    dead_letters_dropped = counter(
        "tidegauge_label_router_dead_letters_dropped_total{reason}",
        "those among them whose dead letter was not sent, because its topic took none",
        from_zero=_REASONS,
    )
    flush = histogram(
        "tidegauge_label_router_flush_seconds",
        "how long a flush and its commit took",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    )
    lag = gauge(
        "tidegauge_label_router_lag_labels",
        "labels not yet handed on in this process's partitions, including those that an open "
        "transaction holds back",
    )
    held = gauge(
        "tidegauge_label_router_held_labels",
        "those among them that an open transaction has held back for ten seconds and more",
    )
    tenures = counter(
        "tidegauge_label_router_tenures_total",
        "assignments, revocations and renewals; a steady rise means rebalances",
    )
    aborted = counter(
        "tidegauge_label_router_transactions_aborted_total",
        "flushes and sessions that failed; their labels were handed on again, once",
    )
    source_lost = counter(
        "tidegauge_label_router_source_lost_labels_total",
        "labels that were never handed on: deleted by Kafka or with their topic, or left out by "
        "setting the group's offset forward",
    )
    source_breaks = counter(
        "tidegauge_label_router_source_breaks_total{happened}",
        "times that a partition of labels didn't go on where it had stopped: as of "
        "`tidegauge_ingest_source_breaks_total`",
    )
    source_overlap = counter(
        "tidegauge_label_router_source_overlap_labels_total",
        "labels that were not read again although the group's offset had been set back or was gone",
    )
