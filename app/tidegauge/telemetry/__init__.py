"""What operators see: Prometheus metrics, health, JSON logs."""

from tidegauge.telemetry.conditions import ConditionCollector
from tidegauge.telemetry.delivery import NotifyMetrics
from tidegauge.telemetry.health import Health, Progress
from tidegauge.telemetry.http import HttpServer
from tidegauge.telemetry.logs import configure_logging
from tidegauge.telemetry.metrics import (
    BaselineMetrics,
    CommonMetrics,
    DetectMetrics,
    IngestMetrics,
    LedgerMetrics,
)
from tidegauge.telemetry.records import RecordFaults, RecordMetrics, record_metrics
from tidegauge.telemetry.table import GaugeTable

__all__ = [
    "BaselineMetrics",
    "CommonMetrics",
    "ConditionCollector",
    "DetectMetrics",
    "GaugeTable",
    "Health",
    "HttpServer",
    "IngestMetrics",
    "LedgerMetrics",
    "NotifyMetrics",
    "Progress",
    "RecordFaults",
    "RecordMetrics",
    "configure_logging",
    "record_metrics",
]
