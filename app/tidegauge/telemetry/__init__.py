"""What operators see: Prometheus metrics, health, JSON logs."""

from tidegauge.telemetry.health import Health, Progress
from tidegauge.telemetry.http import HttpServer
from tidegauge.telemetry.logs import configure_logging
from tidegauge.telemetry.metrics import CommonMetrics, DetectMetrics, IngestMetrics

__all__ = [
    "CommonMetrics",
    "DetectMetrics",
    "Health",
    "HttpServer",
    "IngestMetrics",
    "Progress",
    "configure_logging",
]
