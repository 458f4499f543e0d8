"""What operators see: Prometheus metrics, health, JSON logs."""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.telemetry.declaration import GaugeTable as GaugeTable
    from tidegauge.telemetry.health import (
        ConditionCollector as ConditionCollector,
        Health as Health,
        Progress as Progress,
        RecordFaults as RecordFaults,
        State as State,
    )
    from tidegauge.telemetry.http import HttpServer as HttpServer
    from tidegauge.telemetry.label_metrics import LabelMetrics as LabelMetrics
    from tidegauge.telemetry.logs import (
        ONE_BY_ONE as ONE_BY_ONE,
        configure_logging as configure_logging,
    )
    from tidegauge.telemetry.metrics import (
        BaselineMetrics as BaselineMetrics,
        CommonMetrics as CommonMetrics,
        DetectMetrics as DetectMetrics,
        IngestMetrics as IngestMetrics,
        LedgerMetrics as LedgerMetrics,
        NotifyMetrics as NotifyMetrics,
        ReceiverMetrics as ReceiverMetrics,
        record_metrics as record_metrics,
    )
    from tidegauge.telemetry.outcome_metrics import OutcomeMetrics as OutcomeMetrics

face(__name__)
