"""The list that the dashboard is held against, held against the code that makes the metrics."""

import prometheus_client
import pytest

from support.metric_names import (
    BASELINES,
    CONDITIONS,
    DETECT,
    EVERY_ROLE,
    INGEST,
    LABELS,
    LEDGER,
    NOTIFY,
    OUTCOMES,
    RECORDS,
)
from tidegauge.telemetry import OutcomeMetrics
from tidegauge.telemetry.health import ConditionCollector, Health
from tidegauge.telemetry.label_metrics import LabelMetrics
from tidegauge.telemetry.metrics import (
    BaselineMetrics,
    CommonMetrics,
    DetectMetrics,
    IngestMetrics,
    LedgerMetrics,
    NotifyMetrics,
)


@pytest.mark.parametrize(
    ("make", "listed"),
    [
        (lambda registry: CommonMetrics(registry, "all"), EVERY_ROLE),
        (lambda registry: ConditionCollector(registry, "all", Health(float)), CONDITIONS),
        (IngestMetrics, INGEST | RECORDS),
        (OutcomeMetrics, OUTCOMES | RECORDS),
        (LabelMetrics, LABELS | RECORDS),
        (DetectMetrics, DETECT | RECORDS),
        (BaselineMetrics, BASELINES),
        (NotifyMetrics, NOTIFY | RECORDS),
        (LedgerMetrics, LEDGER | RECORDS),
    ],
    ids=[
        "every role",
        "conditions",
        "ingest",
        "outcomes",
        "labels",
        "detect",
        "baselines",
        "notify",
        "ledger",
    ],
)
def test_every_metric_that_a_role_registers_is_listed_and_no_other(make, listed):
    registry = prometheus_client.CollectorRegistry()
    make(registry)
    registered = {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in registry.collect()
    }
    assert registered == {name: metric.kind for name, metric in listed.items()}
