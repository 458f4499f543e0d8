"""What every role exposes; the names are the contract with dashboards and alert rules."""

from importlib.metadata import version
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from tidegauge.contract import LATENCY_EDGES_MS, ActionKind, Reason
from tidegauge.telemetry.latency import MODEL, LatencyCollector
from tidegauge.telemetry.records import record_metrics
from tidegauge.telemetry.table import GaugeTable

# A second series for each counter, with its birthday: nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

SIGNAL = (*MODEL, "signal")


class CommonMetrics:
    """Metrics of every process."""

    def __init__(self, registry: CollectorRegistry, role: str) -> None:
        info = Gauge("tidegauge_build_info", "Always 1", ("version", "role"), registry=registry)
        info.labels(version("tidegauge"), role).set(1)
        self.topic_problems = Gauge(
            "tidegauge_topic_problems",
            "What is wrong with the topics: missing, or with settings that lose records",
            registry=registry,
        )


class BaselineMetrics:
    """Metrics of processes that need baselines."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.baseline_store_up = Gauge(
            "tidegauge_baseline_store_up",
            "1 if the baseline store answered the last time it was asked",
            registry=registry,
        )
        self.baseline_age = Gauge(
            "tidegauge_baseline_age_seconds",
            "Seconds since the promoted baselines were last read from the store",
            registry=registry,
        )
        self.baselines_promoted = Gauge(
            "tidegauge_baselines_promoted",
            "Promoted baselines that the store had when it was last read",
            registry=registry,
        )
        self.baselines_unusable = Gauge(
            "tidegauge_baselines_unusable",
            "Promoted baselines that can't be used or read; those before them stay in force",
            registry=registry,
        )


class IngestMetrics:
    """Metrics of INGEST."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records_set_aside = record_metrics(registry)
        self.events = Counter(
            "tidegauge_ingest_events_total",
            "Events counted and committed, by the path they took",
            ("path",),
            registry=registry,
        )
        self.dead_letters = Counter(
            "tidegauge_ingest_dead_letters_total",
            "Records refused, by reason",
            ("reason",),
            registry=registry,
        )
        self.dead_letters_dropped = Counter(
            "tidegauge_ingest_dead_letters_dropped_total",
            "Records refused whose dead letters were not sent, because their topic took none",
            ("reason",),
            registry=registry,
        )
        # A counter that appears with its first event has no rate for it.
        for reason in get_args(Reason):
            self.dead_letters.labels(reason)
            self.dead_letters_dropped.labels(reason)
        self.segments_dropped = Counter(
            "tidegauge_ingest_segments_dropped_total",
            "Events counted overall, but in no slice of their value in a dimension",
            ("dimension",),
            registry=registry,
        )
        self.overflow = Counter(
            "tidegauge_ingest_overflow_total",
            "Events not counted since there are more names than there are slots for",
            ("level", "model"),
            registry=registry,
        )
        for level in ("model", "version", "variant", "slice"):
            self.overflow.labels(level, "")
        self.ignored_features = GaugeTable(
            "tidegauge_ingest_ignored_features",
            "Names of features that are counted nowhere, in events that were looked at",
            (*MODEL[:2], "reason"),
            registry=registry,
        )
        self.flush = Histogram(
            "tidegauge_ingest_flush_seconds",
            "Time a flush took, from settling the counts to the committed transaction",
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.lag = Gauge(
            "tidegauge_ingest_lag_events",
            "Records between what is counted and the end of the owned partitions",
            registry=registry,
        )
        self.event_time = Gauge(
            "tidegauge_ingest_event_time_seconds",
            "Latest event time counted, epoch seconds",
            registry=registry,
        )
        self.clock_skew = GaugeTable(
            "tidegauge_ingest_clock_skew_seconds",
            "How far event times were ahead of this worker's clock in the last minute or two",
            ("partition",),
            registry=registry,
        )
        self.tenures = Counter(
            "tidegauge_ingest_tenures_total",
            "Tenures begun: assignments, revocations and renewals",
            registry=registry,
        )
        self.aborted = Counter(
            "tidegauge_ingest_transactions_aborted_total",
            "Flushes that failed; their events are read and counted again",
            registry=registry,
        )
        self.source_lost = Counter(
            "tidegauge_ingest_source_lost_events_total",
            "Source offsets that were deleted, or skipped by hand, before they were counted",
            registry=registry,
        )
        self.source_breaks = Counter(
            "tidegauge_ingest_source_breaks_total",
            "Times that a source partition didn't go on where its counting had stopped",
            ("happened",),
            registry=registry,
        )
        self.source_overlap = Counter(
            "tidegauge_ingest_source_overlap_events_total",
            "Source offsets not read again although the group's offsets were set back",
            registry=registry,
        )
        self.held = Gauge(
            "tidegauge_ingest_held_events",
            "Source offsets that an open transaction has held back for ten seconds and more",
            registry=registry,
        )


class DetectMetrics:
    """Metrics of DETECT."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records_set_aside = record_metrics(registry)
        self.events = Counter(
            "tidegauge_events_total",
            "Events counted into windows",
            MODEL,
            registry=registry,
        )
        self.windows_closed = Counter(
            "tidegauge_windows_closed_total",
            "Windows closed, revisions not counted",
            MODEL,
            registry=registry,
        )
        self.failed_slices = Counter(
            "tidegauge_failed_slices_total",
            "Windows that could not be closed, and other work on a slice that failed",
            ("model",),
            registry=registry,
        )
        self.window_end = GaugeTable(
            "tidegauge_window_end_seconds",
            "End of the last closed window, epoch seconds",
            MODEL,
            registry=registry,
        )
        self.prediction_mean = GaugeTable(
            "tidegauge_prediction_mean_5m",
            "Mean prediction over the windows of the last five minutes",
            MODEL,
            registry=registry,
        )
        self.drift = GaugeTable(
            "tidegauge_drift",
            "How far the last closed window is from the baseline; divergences in nats",
            (*SIGNAL, "statistic"),
            registry=registry,
        )
        self.surprise = GaugeTable(
            "tidegauge_surprise",
            "How far towards a drift alarm the last closed window is: 1 is the threshold",
            SIGNAL,
            registry=registry,
        )
        self.missing_share = GaugeTable(
            "tidegauge_missing_share",
            "Share of events in the last closed window whose value was absent or null",
            SIGNAL,
            registry=registry,
        )
        self.unseen_share = GaugeTable(
            "tidegauge_unseen_share",
            "Share of events in the last closed window with a category the baseline never saw",
            SIGNAL,
            registry=registry,
        )
        self.latency = LatencyCollector(registry, LATENCY_EDGES_MS)
        self.errors = Counter(
            "tidegauge_errors_total",
            "Events with status error in closed windows",
            MODEL,
            registry=registry,
        )
        self.alert_firing = GaugeTable(
            "tidegauge_alert_firing",
            "1 while the rule fires on the signal, told or inhibited",
            (*MODEL, "segment", "signal", "rule", "severity"),
            registry=registry,
        )
        self.alerts = Counter(
            "tidegauge_alerts_total",
            "Alerts emitted",
            ("rule", "severity", "state"),
            registry=registry,
        )
        self.rules_file_ok = Gauge(
            "tidegauge_rules_file_ok",
            "1 if the rules in force are those of the rule file, 0 if it is wrong or gone",
            registry=registry,
        )
        self.actions = Counter(
            "tidegauge_actions_total", "Actions asked for", ("kind",), registry=registry
        )
        for kind in get_args(ActionKind):
            self.actions.labels(kind)
        self.late_events = Counter(
            "tidegauge_late_events_total",
            "Events that came after their window was deleted, and were not counted",
            registry=registry,
        )
        self.counted_twice = Counter(
            "tidegauge_counted_twice_events_total",
            "Source offsets that were counted although they had been counted before",
            registry=registry,
        )
        self.slices_left_out = Gauge(
            "tidegauge_slices_left_out",
            "Slices without a baseline that are shown under no name, since there are too many",
            registry=registry,
        )
        self.versions_without_baseline = Gauge(
            "tidegauge_versions_without_baseline",
            "Versions of models that are counted without a baseline: no drift of them is seen",
            registry=registry,
        )
        self.without_baseline = GaugeTable(
            "tidegauge_without_baseline",
            "1 for the versions without a baseline that have the most traffic, at most ten",
            ("model", "version", "nearest"),
            registry=registry,
        )
        self.baselines_refused = Counter(
            "tidegauge_baselines_refused_total",
            "Baselines that windows were counted by and that can't be used: no drift is reported",
            registry=registry,
        )
        self.outputs_refused = Counter(
            "tidegauge_outputs_refused_total",
            "Reports, alerts, actions and facts that were too large for their topic",
            ("topic",),
            registry=registry,
        )
        self.histogram_breaks = Counter(
            "tidegauge_histogram_breaks_total",
            "Partitions of the histogram topic that were made anew, or lost their end",
            ("happened",),
            registry=registry,
        )
        self.recounts = Counter(
            "tidegauge_recounts_total",
            "Times a partition was counted again because source ranges didn't tile",
            registry=registry,
        )
        self.lost_records = Counter(
            "tidegauge_lost_records_total",
            "Gaps in the log of histograms: deleted before they were read, or never filled",
            registry=registry,
        )
        self.watermark = GaugeTable(
            "tidegauge_watermark_seconds",
            "Event time up to which a partition is complete, epoch seconds",
            ("partition",),
            registry=registry,
        )


class LedgerMetrics:
    """Metrics of LEDGER."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records_set_aside = record_metrics(registry)
        self.records = Counter(
            "tidegauge_ledger_records_total", "Facts chained and committed", registry=registry
        )
        self.duplicates = Counter(
            "tidegauge_ledger_duplicates_total",
            "Facts that were sent again, and are in the chain once",
            registry=registry,
        )
        self.refused = Counter(
            "tidegauge_ledger_refused_total",
            "Records that are no facts, chained as fact.refused",
            registry=registry,
        )
        self.lost = Counter(
            "tidegauge_ledger_lost_facts_total",
            "Facts that retention deleted before they were chained",
            registry=registry,
        )
        self.acknowledgements = Counter(
            "tidegauge_action_acknowledgements_total",
            "Actions taken or failed, as those who carry them out say",
            ["kind", "outcome"],
            registry=registry,
        )
        self.breaks = Gauge(
            "tidegauge_ledger_breaks",
            "Places where the audit trail broke when it was last read back",
            registry=registry,
        )
