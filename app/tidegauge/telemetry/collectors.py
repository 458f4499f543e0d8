"""Metrics that ``prometheus_client`` has no kind for, or not a fast one. All are thread-safe."""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


class GaugeTable(Collector):
    """A gauge of very many series, set by the hundred.

    A thousand models of fifty signals have 340,000 series. ``prometheus_client.Gauge`` creates an
    object and a lock for each, 20 µs and a kilobyte. Here an owner has as many as it likes, and
    they are replaced as a whole: none is looked up until the page is requested.
    """

    def __init__(
        self, name: str, documentation: str, labels: Labels, *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._values: dict[Hashable, Mapping[Labels, float]] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def show(self, owner: Hashable, values: Mapping[Labels, float]) -> None:
        """Show these series in place of the owner's previous ones.

        No two owners may show the same series. ``values`` are by the values of the labels, in the
        order of the labels' names; the mapping is kept and must not change.

        >>> table = GaugeTable("depth", "Metres", ("place",), registry=CollectorRegistry())
        >>> table.show("pilot", {("harbour",): 4.5, ("channel",): 12.0})
        >>> table.show("pilot", {("channel",): 11.5})
        >>> [(one.labels, one.value) for family in table.collect() for one in family.samples]
        [({'place': 'channel'}, 11.5)]
        """
        with self._lock:
            if values:
                self._values[owner] = values
            else:
                self._values.pop(owner, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            shown = list(self._values.values())
        for values in shown:
            for labels, value in values.items():
                family.add_metric(labels, value)
        yield family


class LatencyCollector(Collector):
    """A histogram that is added up from counts by bin. It starts at 0 with the process."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Labels,
        *,
        registry: CollectorRegistry,
        edges: Sequence[float],
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._edges = edges
        self._totals: dict[Labels, tuple[list[int], float]] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def add(self, labels: Labels, counts: Sequence[int], total: float) -> None:
        """Add a window: its counts in the bins of ``edges``, and the sum of its latencies, ms."""
        with self._lock:
            before, sum_before = self._totals.get(labels, ([0] * len(counts), 0.0))
            added = [a + b for a, b in zip(before, counts, strict=True)]
            self._totals[labels] = (added, sum_before + total)

    def remove(self, labels: Labels) -> None:
        """Stop exposing the series with these labels."""
        with self._lock:
            self._totals.pop(labels, None)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the family; its buckets are cumulative, as in every Prometheus histogram."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
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
