"""What operators see: Prometheus metrics, health, JSON logs."""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.telemetry.conditions import ConditionCollector as ConditionCollector
    from tidegauge.telemetry.delivery import (
        NotifyMetrics as NotifyMetrics,
        ReceiverMetrics as ReceiverMetrics,
    )
    from tidegauge.telemetry.health import Health as Health, Progress as Progress, State as State
    from tidegauge.telemetry.http import HttpServer as HttpServer
    from tidegauge.telemetry.logs import configure_logging as configure_logging
    from tidegauge.telemetry.metrics import (
        BaselineMetrics as BaselineMetrics,
        CommonMetrics as CommonMetrics,
        DetectMetrics as DetectMetrics,
        IngestMetrics as IngestMetrics,
        LedgerMetrics as LedgerMetrics,
    )
    from tidegauge.telemetry.records import (
        RecordFaults as RecordFaults,
        record_metrics as record_metrics,
    )
    from tidegauge.telemetry.repeats import ONE_BY_ONE as ONE_BY_ONE
    from tidegauge.telemetry.table import GaugeTable as GaugeTable

face(
    __name__,
    {
        "conditions": ("ConditionCollector",),
        "delivery": ("NotifyMetrics", "ReceiverMetrics"),
        "health": ("Health", "Progress", "State"),
        "http": ("HttpServer",),
        "logs": ("configure_logging",),
        "metrics": (
            "BaselineMetrics",
            "CommonMetrics",
            "DetectMetrics",
            "IngestMetrics",
            "LedgerMetrics",
        ),
        "records": ("RecordFaults", "record_metrics"),
        "repeats": ("ONE_BY_ONE",),
        "table": ("GaugeTable",),
    },
)
