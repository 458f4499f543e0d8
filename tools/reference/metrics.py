"""Every metric: name, kind, labels and help, from the registries of the roles."""

import prometheus_client
from prometheus_client.registry import Collector

from tidegauge.telemetry import (
    BaselineMetrics,
    CommonMetrics,
    ConditionCollector,
    DetectMetrics,
    Health,
    IngestMetrics,
    LedgerMetrics,
    NotifyMetrics,
)
from tidegauge.telemetry.latency import MODEL, LatencyCollector
from tools.reference.markdown import code, page, table, text

INTRODUCTION = """
What `/metrics` of each role has. Labels that Prometheus adds (`instance`, `job`, `le`) are left
out. [The manual](../operations.md#metrics) says what each metric means in operation, and
[alerts.yml](../../deploy/prometheus/alerts.yml) has the alert rules on them.
"""

#: By heading, what registers the metrics of a role.
ROLES = {
    "Every role": (
        lambda registry: CommonMetrics(registry, "all"),
        lambda registry: ConditionCollector(registry, "all", _health()),
    ),
    "INGEST and DETECT: baselines": (BaselineMetrics,),
    "INGEST": (IngestMetrics,),
    "DETECT": (DetectMetrics,),
    "NOTIFY": (NotifyMetrics,),
    "LEDGER": (LedgerMetrics,),
}


def metric_page() -> str:
    """Return the page of metrics, a table for each role."""
    parts = []
    for heading, makers in ROLES.items():
        registry = _Registry()
        for make in makers:
            make(registry)
        parts.append(f"## {heading}\n\n{_table(registry)}")
    return page("Metrics", INTRODUCTION, *parts)


class _Registry(prometheus_client.CollectorRegistry):
    """A registry that remembers what was registered, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self.collectors.append(collector)


def _table(registry: _Registry) -> str:
    rows = []
    for collector in registry.collectors:
        for family in collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(code(label) for label in _labels(collector))
            rows.append([code(name), family.type, labels, text(family.documentation)])
    return table(["metric", "kind", "labels", "meaning"], sorted(rows))


def _labels(collector: Collector) -> tuple[str, ...]:
    """Return the names of labels, which a metric without series shows nowhere."""
    if isinstance(collector, LatencyCollector):
        return MODEL
    for attribute in ("_labelnames", "_labels"):
        found = getattr(collector, attribute, None)
        if found:
            return tuple(found)
    samples = [sample for family in collector.collect() for sample in family.samples]
    return tuple(name for name in samples[0].labels if name != "le") if samples else ()


def _health() -> Health:
    health = Health(clock=lambda: 0.0)
    health.say("kafka", "failed", "an example, so that the metric has labels")
    return health
