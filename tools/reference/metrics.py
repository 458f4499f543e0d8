"""Every metric: name, kind, labels and meaning, as each role declares it."""

from tidegauge.telemetry import (
    BaselineMetrics,
    CommonMetrics,
    DetectMetrics,
    IngestMetrics,
    LabelMetrics,
    LedgerMetrics,
    NotifyMetrics,
    OutcomeMetrics,
)
from tidegauge.telemetry.declaration import Declared
from tidegauge.telemetry.health import CONDITION
from tidegauge.telemetry.metrics import RecordMetrics
from tools.reference.markdown import code, page, table, text

INTRODUCTION = """
The metrics that `/metrics` of each role exposes. `model`, `version` and `variant` are those of the
event. Labels that Prometheus adds (`instance`, `job`, `le`) are left out. The alert rules on these
metrics are in [alerts.yml](../../deploy/prometheus/alerts.yml).
"""

#: By heading, the metrics of a role.
ROLES: dict[str, list[Declared]] = {
    "Every role": [*CommonMetrics.declared(), CONDITION],
    "INGEST and DETECT: baselines": BaselineMetrics.declared(),
    "INGEST": [*IngestMetrics.declared(), *RecordMetrics.declared()],
    "OUTCOMES": [*OutcomeMetrics.declared(), *RecordMetrics.declared()],
    "INGEST: labels": [*LabelMetrics.declared(), *RecordMetrics.declared()],
    "DETECT": [*DetectMetrics.declared(), *RecordMetrics.declared()],
    "NOTIFY": [*NotifyMetrics.declared(), *RecordMetrics.declared()],
    "LEDGER": [*LedgerMetrics.declared(), *RecordMetrics.declared()],
}


def metric_page() -> str:
    """Return the page of metrics, a table for each role."""
    parts = []
    for heading, metrics in ROLES.items():
        rows = [
            [code(one.name), one.kind, ", ".join(map(code, one.labels)), text(one.text)]
            for one in metrics
        ]
        shown = table(["metric", "kind", "labels", "meaning"], rows)
        parts.append(f"## {heading}\n\n{shown}")
    return page("Metrics", INTRODUCTION, *parts)
