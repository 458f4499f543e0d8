"""What operators see: Prometheus metrics, health, JSON logs."""

from tidegauge.telemetry.delivery import NotifyMetrics
from tidegauge.telemetry.health import Health, Progress
from tidegauge.telemetry.http import HttpServer
from tidegauge.telemetry.logs import configure_logging
from tidegauge.telemetry.metrics import (
    BaselineMetrics,
    CommonMetrics,
    DetectMetrics,
    IngestMetrics,
)
from tidegauge.telemetry.table import GaugeTable

__all__ = [
    "BaselineMetrics",
    "CommonMetrics",
    "DetectMetrics",
    "GaugeTable",
    "Health",
    "HttpServer",
    "IngestMetrics",
    "NotifyMetrics",
    "Progress",
    "configure_logging",
]
