"""What closed windows say to Prometheus."""

from tidegauge.contract import Alert, WindowReport
from tidegauge.detect.closing import Closed
from tidegauge.telemetry import DetectMetrics

_STATISTICS = (
    "psi",
    "kl_current_reference_nats",
    "kl_reference_current_nats",
    "js_nats",
    "wasserstein_bins",
)


def observe(closed: Closed, metrics: DetectMetrics) -> None:
    """Set the gauges to the last window of each model and count what was emitted."""
    for report in closed.reports:
        if report.revision == 0:
            _observe_report(report, metrics)
    for alert in closed.alerts:
        metrics.alerts.labels(alert.rule, alert.severity, alert.state).inc()
        _observe_alert(alert, metrics)
    for action in closed.actions:
        metrics.actions.labels(action.kind).inc()


def _observe_report(report: WindowReport, metrics: DetectMetrics) -> None:
    labels = (report.model, report.version, report.variant)
    metrics.windows_closed.labels(*labels).inc()
    metrics.window_end.labels(*labels).set(report.window_end)
    metrics.errors.labels(*labels).inc(report.errors)
    if report.prediction_mean_5m is not None:
        metrics.prediction_mean.labels(*labels).set(report.prediction_mean_5m)
    # If the baseline changed inside the window, the larger part speaks for it.
    for part in sorted(report.parts, key=lambda part: part.events):
        latency = part.signals["latency_ms"].histogram
        metrics.latency.add(labels, latency.counts, latency.sum)
        for name, signal in part.signals.items():
            if name in ("latency_ms", "status"):
                continue
            metrics.missing_share.labels(*labels, name).set(signal.missing_share)
            if signal.unseen_share is not None:
                metrics.unseen_share.labels(*labels, name).set(signal.unseen_share)
            for statistic in _STATISTICS:
                value = getattr(signal.drift, statistic, None)
                if value is not None:
                    metrics.drift.labels(*labels, name, statistic).set(value)


def _observe_alert(alert: Alert, metrics: DetectMetrics) -> None:
    metrics.alert_firing.labels(
        alert.model, alert.version, alert.variant, alert.signal or "", alert.rule, alert.severity
    ).set(alert.state == "firing")
