"""A gauge of very many series, set by the hundred."""

import threading
from collections.abc import Hashable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class GaugeTable(Collector):
    """Values by labels. Thread-safe.

    A thousand models of fifty signals have 340,000 series. ``prometheus_client.Gauge`` makes an
    object and a lock for each, 20 µs and a kilobyte. Here an owner has as many as it likes, and
    they are replaced as a whole: none is looked up until somebody asks for the page.
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
        """Show these series in place of what the owner showed; nobody else may show the same.

        ``values`` are by the values of the labels, in the order of the labels' names, and are kept:
        they must not change.

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
