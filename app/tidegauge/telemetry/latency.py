"""Latency as one Prometheus histogram a model, added up from closed windows."""

import threading
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

#: Labels of everything that is said of a model.
MODEL = ("model", "version", "variant")


class LatencyCollector(Collector):
    """Buckets since the process began, like any Prometheus counter. Thread-safe."""

    def __init__(self, registry: CollectorRegistry, edges: Sequence[float]) -> None:
        self._edges = edges
        self._totals: dict[tuple[str, ...], tuple[list[int], float]] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def add(self, labels: tuple[str, ...], counts: Sequence[int], total: float) -> None:
        """Add a window: its counts in the bins of ``edges``, and the sum of its latencies, ms."""
        with self._lock:
            before, sum_before = self._totals.get(labels, ([0] * len(counts), 0.0))
            added = [a + b for a, b in zip(before, counts, strict=True)]
            self._totals[labels] = (added, sum_before + total)

    def remove(self, labels: tuple[str, ...]) -> None:
        """Show these labels no more."""
        with self._lock:
            self._totals.pop(labels, None)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the family, buckets cumulative as Prometheus has them."""
        family = HistogramMetricFamily(
            "tidegauge_latency_ms", "Latency of predictions in closed windows", labels=MODEL
        )
        with self._lock:
            totals = dict(self._totals)
        bounds = [*map(floatToGoString, self._edges), "+Inf"]
        for labels, (counts, total) in totals.items():
            running = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip(bounds, counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(labels, buckets, total)
        yield family
