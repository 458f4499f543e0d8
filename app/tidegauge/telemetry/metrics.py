"""The metrics of every role. Dashboards and alert rules depend on the names and labels.

The text of each metric is its line on ``/metrics`` and in ``docs/reference/metrics.md``.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple, get_args
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidegauge.contract import LAG_EDGES, LATENCY_EDGES_MS, ActionKind, NotifyReason, Reason
from tidegauge.telemetry.declaration import MetricSet, binned, counter, gauge, histogram, table

_REASONS = [(reason,) for reason in get_args(Reason)]


class CommonMetrics(MetricSet):
    """Metrics of every process."""

    build_info = gauge("tidegauge_build_info{version,role}", "always 1")
    topic_problems = gauge(
        "tidegauge_topic_problems",
        "topics that are missing, or have settings that lose records, as `tidegauge check` reports "
        "them; updated every minute",
    )

    def __init__(self, registry: CollectorRegistry, role: str) -> None:
        super().__init__(registry)
        self.build_info.labels(version("tidegauge"), role).set(1)


class BaselineMetrics(MetricSet):
    """Metrics of processes that need baselines."""

    baseline_store_up = gauge(
        "tidegauge_baseline_store_up", "1 if Redis answered the last request for baselines"
    )
    baseline_age = gauge(
        "tidegauge_baseline_age_seconds", "time since the promoted baselines were last read"
    )
    baselines_promoted = gauge(
        "tidegauge_baselines_promoted", "versions with a promoted baseline when Redis was last read"
    )
    baselines_unusable = gauge(
        "tidegauge_baselines_unusable",
        "promoted baselines that can't be used or read; `/readyz` says which and why, and the "
        "previous ones stay active",
    )


class RecordMetrics(MetricSet):
    """Counters that all roles of a process share; see :func:`record_metrics`."""

    skipped = counter(
        "tidegauge_skipped_records_total{topic}",
        "records that are not what their topic holds: skipped, and named in the log",
    )
    quarantined = counter(
        "tidegauge_quarantined_records_total{topic}",
        "records whose processing failed unexpectedly: set aside, with the traceback in the log",
    )


_RECORD_METRICS: WeakKeyDictionary[CollectorRegistry, RecordMetrics] = WeakKeyDictionary()


def record_metrics(registry: CollectorRegistry) -> RecordMetrics:
    """Return the counters of a registry: a process with several roles has one set."""
    if registry not in _RECORD_METRICS:
        _RECORD_METRICS[registry] = RecordMetrics(registry)
    return _RECORD_METRICS[registry]


class RoleMetrics(MetricSet):
    """Metrics of a role that reads records."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.records_set_aside = record_metrics(registry)


class IngestMetrics(RoleMetrics):
    """Metrics of INGEST."""

    events = counter(
        "tidegauge_ingest_events_total{path}",
        "events counted and committed; `native` (decoded by `tidegauge_native`), `tolerant` "
        "(decoded by Python: values of other types than the baseline's and other unusual events, "
        "or everything where `tidegauge_native` isn't installed) or `arrow`",
    )
    dead_letters = counter(
        "tidegauge_ingest_dead_letters_total{reason}",
        "records that could not be counted",
        from_zero=_REASONS,
    )
    dead_letters_dropped = counter(
        "tidegauge_ingest_dead_letters_dropped_total{reason}",
        "those among them whose dead letter was not sent, because its topic took none",
        from_zero=_REASONS,
    )
    overflow = counter(
        "tidegauge_ingest_overflow_total{level,model}",
        "events that were not counted, since there was no slot for their `model`, `version`, "
        "`variant` or `slice` ([Names](docs/operations.md#names)); `model` is that of a version or "
        "variant, for 200 models at most, else empty",
        from_zero=[(level, "") for level in ("model", "version", "variant", "slice")],
    )
    segments_dropped = counter(
        "tidegauge_ingest_segments_dropped_total{dimension}",
        "events counted overall but in no slice of this dimension: too many values, or one that "
        "can't name a slice ([Segments](docs/operations.md#segments))",
    )
    ignored_features = table(
        "tidegauge_ingest_ignored_features{model,version,reason}",
        "names of features that are counted nowhere, of versions with a baseline: "
        "`unknown_feature`, the baseline has no such signal (left out of it, or renamed), or "
        "`reserved_name`, a feature that has the name of an output. One event of each eighth poll "
        "is inspected, so a name that is in a few events only may be missed; at most 50 a version, "
        "and the log has the first ones",
    )
    awaited = counter(
        "tidegauge_ingest_awaited_predictions_total{result}",
        "predictions of models with a target: `routed`, so that a label finds them by id, or not: "
        "`no_id`, `invalid_id` (no text), `not_sampled` (`outcomes.rate`), "
        "`no_topic` (the topic of outcomes is not there)",
        from_zero=[(one,) for one in ("routed", "no_id", "invalid_id", "not_sampled", "no_topic")],
    )
    awaited_faults = counter(
        "tidegauge_ingest_awaited_faults_total{reason}",
        "what is wrong with such predictions, which count all the same: `no_score`, "
        "`invalid_score` (not a finite number), `score_out_of_range` (not in 0 to 1), "
        "`unknown_class` (the label is no class of the target), `disagreeing` (the label is not "
        "what score and threshold make), `too_many_groups` (counted without groups)",
        from_zero=[
            (one,)
            for one in (
                "no_score",
                "invalid_score",
                "score_out_of_range",
                "unknown_class",
                "disagreeing",
                "too_many_groups",
            )
        ],
    )
    flush = histogram(
        "tidegauge_ingest_flush_seconds",
        "how long a flush and its commit took",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    )
    lag = gauge(
        "tidegauge_ingest_lag_events",
        "records not yet counted in this process's partitions, up to their very end, including "
        "those that an open transaction holds back",
    )
    held = gauge(
        "tidegauge_ingest_held_events",
        "those among them that an open transaction has held back for ten seconds and more",
    )
    event_time = gauge(
        "tidegauge_ingest_event_time_seconds", "latest event time counted, epoch seconds"
    )
    clock_skew = table(
        "tidegauge_ingest_clock_skew_seconds{partition}",
        "by source partition, how far event times were ahead of this process's clock in the last "
        "minute or two, at most; 0 if none was",
    )
    tenures = counter(
        "tidegauge_ingest_tenures_total",
        "tenures begun: assignments, revocations and renewals; a steady rise means rebalances",
    )
    aborted = counter(
        "tidegauge_ingest_transactions_aborted_total",
        "flushes that failed; their events were counted again, once",
    )
    source_lost = counter(
        "tidegauge_ingest_source_lost_events_total",
        "events that were never counted: deleted by Kafka or with their topic, or left out by "
        "setting the group's offset forward",
    )
    source_breaks = counter(
        "tidegauge_ingest_source_breaks_total{happened}",
        "times that a source partition didn't go on where its counting had stopped ([offsets and "
        "topics that change](docs/operations.md#tidegaugesourcechanged)): `recreated`, "
        "`truncated`, `moved_back`, `moved_on`, `moved_beyond`",
    )
    source_overlap = counter(
        "tidegauge_ingest_source_overlap_events_total",
        "events that were not read again although the group's offset had been set back or was gone",
    )


class DetectMetrics(RoleMetrics):
    """Metrics of DETECT."""

    events = counter("tidegauge_events_total{model,version,variant}", "events joined into windows")
    windows_closed = counter(
        "tidegauge_windows_closed_total{model,version,variant}",
        "windows closed, revisions not counted",
    )
    failed_slices = counter(
        "tidegauge_failed_slices_total{model}",
        "windows that could not be closed, and other work on a slice that failed: the log has the "
        "reason, all other slices go on",
    )
    window_end = table(
        "tidegauge_window_end_seconds{model,version,variant}",
        "end of the last closed window, epoch seconds",
    )
    prediction_mean = table(
        "tidegauge_prediction_mean_5m{model,version,variant}",
        "mean prediction of the windows of the last five minutes",
    )
    surprise = table(
        "tidegauge_surprise{model,version,variant,signal}",
        "the last window's evidence of a drift ÷ its alarm threshold: above 1 is an alarm",
    )
    drift = table(
        "tidegauge_drift{model,version,variant,signal,statistic}",
        "distance of the last window from its baseline: `psi`, `kl_current_reference_nats`, "
        "`kl_reference_current_nats`, `js_nats`, `wasserstein_bins`, `kl_values_nats` (of the "
        "values alone)",
    )
    missing_share = table(
        "tidegauge_missing_share{model,version,variant,signal}",
        "share of events without a value, 0 to 1",
    )
    unseen_share = table(
        "tidegauge_unseen_share{model,version,variant,signal}",
        "share of events with a category the baseline never saw, 0 to 1; none of signals of which "
        "the baseline doesn't know all values",
    )
    latency = binned(
        "tidegauge_latency_ms{model,version,variant}",
        "latency of predictions, added when a window closes",
        edges=LATENCY_EDGES_MS,
    )
    errors = counter(
        "tidegauge_errors_total{model,version,variant}",
        "events with status `error` in closed windows",
    )
    alert_firing = table(
        "tidegauge_alert_firing{model,version,variant,segment,signal,rule,severity}",
        '1 while the rule fires on the signal, inhibited or not; `segment` is `""` for all '
        "traffic, or as `region=EU`",
    )
    alerts = counter(
        "tidegauge_alerts_total{rule,severity,state}",
        "alerts emitted, those of segments too, by state: `pending`, `firing`, `reminder`, "
        "`raised`, `no_data`, `inactive`, `resolved`",
    )
    rules_file_ok = gauge(
        "tidegauge_rules_file_ok",
        "1 if the active rules are those of the rule file, 0 if it is wrong or gone",
    )
    actions = counter(
        "tidegauge_actions_total{kind}",
        "actions requested",
        from_zero=[(kind,) for kind in get_args(ActionKind)],
    )
    late_events = counter(
        "tidegauge_late_events_total",
        "events that came after their window was deleted; counted nowhere else",
    )
    performance = table(
        "tidegauge_performance{model,version,variant,figure,cohort}",
        "figures by the labels of the latest cohort that is mature, such as `accuracy`, `auc` or "
        "`mae`; `cohort` is always `latest_mature` ([labels](docs/outcomes.md)). Models whose "
        "baseline is known, 50 versions and variants of each at most",
    )
    performance_worsening = table(
        "tidegauge_performance_worsening{model,version,variant,figure,cohort}",
        "by which share of the baseline's figure each of those is worse: 0.05 is 5 % worse",
    )
    estimated_performance = table(
        "tidegauge_estimated_performance{model,version,variant,figure,cohort}",
        "`accuracy`, `auc` and `f1` of the latest cohort that is over, estimated before its labels "
        "come, from its scores; `cohort` is always `latest` "
        "([estimates](docs/outcomes.md#before-the-labels))",
    )
    estimates_held = table(
        "tidegauge_estimate_held_share{model,version,variant,figure}",
        "share of earlier cohorts in which the interval of the estimate held what the labels "
        "showed, 0 to 1: 0.95 is what it promises",
    )
    label_coverage = table(
        "tidegauge_label_coverage{model,version,variant}",
        "share of the predictions of that cohort that have a label, 0 to 1",
    )
    label_maturity = table(
        "tidegauge_label_maturity{model,version,variant}",
        "share of the labels of that cohort that is to be expected by now, 0 to 1, by the delays "
        "in other cohorts",
    )
    label_delay = binned(
        "tidegauge_label_delay_seconds{model}",
        "time from prediction to label, added when labels have arrived; the sum is by the middles "
        "of the buckets",
        edges=LAG_EDGES,
    )
    late_outcomes = counter(
        "tidegauge_late_outcomes_total",
        "counts of labels that came after their cohort was deleted, a day after its labels count "
        "no more: records of one cohort each, not labels",
    )
    counted_twice = counter(
        "tidegauge_counted_twice_events_total",
        "source offsets that were counted twice, since both the group's offsets and the log of "
        "histograms were gone",
    )
    slices_left_out = gauge(
        "tidegauge_slices_left_out",
        'slices without a baseline that are shown under the model `""`, since there are too many '
        "([Names](docs/operations.md#names))",
    )
    versions_without_baseline = gauge(
        "tidegauge_versions_without_baseline",
        "versions that are counted without a baseline: in two windows or more, and with an event "
        "in the last hour",
    )
    without_baseline = table(
        "tidegauge_without_baseline{model,version,nearest}",
        "1 for those ten of them with the most traffic; `nearest` is the version whose baseline is "
        "nearest, or empty",
    )
    baselines_refused = counter(
        "tidegauge_baselines_refused_total",
        "baselines that windows were counted by and that can't be used: these windows are reported "
        "without drift",
    )
    outputs_refused = counter(
        "tidegauge_outputs_refused_total{topic}",
        "reports, alerts, actions and facts that were too large for their topic, and are not "
        "published",
    )
    recounts = counter(
        "tidegauge_recounts_total",
        "times DETECT counted a partition again from its beginning because source ranges didn't "
        "tile",
    )
    histogram_breaks = counter(
        "tidegauge_histogram_breaks_total{happened}",
        "partitions of `tidegauge.histograms` that were created again (`recreated`) or lost their "
        "end (`truncated`)",
    )
    watermark = table(
        "tidegauge_watermark_seconds{partition}",
        "event time up to which a partition is complete, epoch seconds",
    )
    lost_records = counter(
        "tidegauge_lost_records_total",
        "histograms that Kafka deleted before DETECT read them, and gaps that nothing has filled "
        "within 30 s",
    )


class ReceiverMetrics(NamedTuple):
    """The metrics of one receiver; see :class:`NotifyMetrics`."""

    delivered: Counter
    failed: Counter
    dead_letters: Mapping[NotifyReason, Counter]
    up: Gauge
    delay: Histogram
    silenced: Counter
    withheld: Gauge
    digested: Counter
    digest_waiting: Gauge


class NotifyMetrics(RoleMetrics):
    """Metrics of NOTIFY; those in :class:`ReceiverMetrics` are by receiver."""

    delivered = counter(
        "tidegauge_notify_delivered_total{receiver}",
        "alerts, and records of the audit trail, that a receiver has taken",
    )
    failed = counter(
        "tidegauge_notify_failed_total{receiver}", "attempts that failed, dead letters included"
    )
    dead_letters = counter(
        "tidegauge_notify_dead_letters_total{receiver,reason}",
        "alerts that were not delivered: `delivery_refused`, `delivery_given_up`, `invalid_record`",
    )
    up = gauge(
        "tidegauge_notify_receiver_up{receiver}",
        "0 if the last attempt got no answer, or an error of the receiver's own",
    )
    delay = histogram(
        "tidegauge_notify_delay_seconds{receiver}",
        "time from the alert's record in Kafka to its delivery",
        buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400),
    )
    silenced = counter(
        "tidegauge_notify_silenced_total{receiver}",
        "alerts that were [silenced](docs/alerting.md#silences) when their turn came for a "
        "receiver, and not delivered then",
    )
    withheld = gauge(
        "tidegauge_notify_withheld{receiver}",
        "those of them that are delivered once no silence matches them, if they still fire",
    )
    digested = counter(
        "tidegauge_notify_digested_total{receiver}",
        "alerts that the receiver's rate limit put into a [digest](docs/alerting.md#storms)",
    )
    digest_waiting = gauge(
        "tidegauge_notify_digest_waiting{receiver}", "those of them that wait for it"
    )
    receivers_file_ok = gauge(
        "tidegauge_notify_receivers_file_ok",
        "1 if the active receivers are those of the file, 0 if it is wrong or gone",
    )

    def of(self, receiver: str) -> ReceiverMetrics:
        """Return those of one receiver, from 0 on: otherwise the first event has no rate."""
        self.up.labels(receiver).set(1)
        ours: dict[str, Any] = {
            name: getattr(self, name).labels(receiver)
            for name in ReceiverMetrics._fields
            if name != "dead_letters"
        }
        letters = {why: self.dead_letters.labels(receiver, why) for why in get_args(NotifyReason)}
        return ReceiverMetrics(**ours, dead_letters=letters)

    def forget(self, receiver: str) -> None:
        """Stop exposing the metrics of a receiver that was removed."""
        for name in ReceiverMetrics._fields:
            if name != "dead_letters":
                getattr(self, name).remove(receiver)
        for reason in get_args(NotifyReason):
            self.dead_letters.remove(receiver, reason)


class LedgerMetrics(RoleMetrics):
    """Metrics of LEDGER."""

    records = counter("tidegauge_ledger_records_total", "facts chained and committed")
    duplicates = counter(
        "tidegauge_ledger_duplicates_total",
        "facts that were sent again; they are in the trail once",
    )
    refused = counter(
        "tidegauge_ledger_refused_total",
        "records of `tidegauge.audit-facts` that are no facts, chained as `fact.refused` with "
        "their SHA-256",
    )
    lost = counter(
        "tidegauge_ledger_lost_facts_total", "facts that Kafka deleted before they were chained"
    )
    acknowledgements = counter(
        "tidegauge_action_acknowledgements_total{kind,outcome}",
        "actions taken or failed, as reported by whatever carries them out",
    )
    breaks = gauge(
        "tidegauge_ledger_breaks", "places where the trail broke when it was last read back"
    )
