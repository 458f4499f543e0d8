"""How a metric is declared: once, for the registry of a process and for the documentation.

``GaugeTable`` and ``LatencyCollector`` are kinds of metrics that ``prometheus_client`` lacks, or
has only in a slow form.
"""

import re
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

# A second series for each counter with the time of its creation, which nothing here uses.
disable_created_metrics()  # type: ignore[no-untyped-call]

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


_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")

Kind = Literal["counter", "gauge", "histogram"]


class Declared(NamedTuple):
    """A metric of a :class:`MetricSet`.

    ``text`` is Markdown: what the metric means, with links to pages as ``docs/PAGE.md#SECTION``.
    ``from_zero`` has the values of its labels that are exposed from the start.
    """

    kind: Kind
    make: Callable[..., Collector]
    name: str
    text: str
    labels: tuple[str, ...] = ()
    from_zero: Iterable[tuple[str, ...]] = ()
    options: Mapping[str, Any] = MappingProxyType({})

    @property
    def help(self) -> str:
        """The text without Markdown, as ``/metrics`` has it.

        >>> Declared("gauge", Gauge, "up", "1 if `redis` [answers](docs/operations.md#redis)").help
        '1 if redis answers'
        """
        return _LINK.sub(r"\1", self.text).replace("`", "")

    def register(self, registry: CollectorRegistry) -> Any:
        """Create the metric in a registry."""
        made: Any = self.make(self.name, self.help, self.labels, registry=registry, **self.options)
        for values in self.from_zero:
            made.labels(*values)
        return made


def counter(name: str, text: str, *, from_zero: Iterable[tuple[str, ...]] = ()) -> Counter:
    """Declare a counter; ``name`` is followed by its labels, as in ``alerts_total{rule,state}``.

    A counter that appears with its first event has no rate for that event, so label values that
    are known are given as ``from_zero``.
    """
    return cast(Counter, _declared("counter", Counter, name, text, from_zero))


def gauge(name: str, text: str) -> Gauge:
    """Declare a gauge."""
    return cast(Gauge, _declared("gauge", Gauge, name, text))


def table(name: str, text: str) -> GaugeTable:
    """Declare a gauge of very many series."""
    return cast(GaugeTable, _declared("gauge", GaugeTable, name, text))


def histogram(name: str, text: str, *, buckets: Sequence[float]) -> Histogram:
    """Declare a histogram."""
    return cast(Histogram, _declared("histogram", Histogram, name, text, buckets=buckets))


def binned(name: str, text: str, *, edges: Sequence[float]) -> LatencyCollector:
    """Declare a histogram that is added up from counts by bin."""
    return cast(LatencyCollector, _declared("histogram", LatencyCollector, name, text, edges=edges))


def _declared(
    kind: Kind,
    make: Callable[..., Collector],
    name: str,
    text: str,
    from_zero: Iterable[tuple[str, ...]] = (),
    **options: Any,
) -> Declared:
    name, _, labels = name.removesuffix("}").partition("{")
    return Declared(
        kind, make, name, text, tuple(labels.split(",")) if labels else (), from_zero, options
    )


class MetricSet:
    """Metrics that belong together: declared in the class, created by each instance.

    >>> class Tide(MetricSet):
    ...     depth = gauge("depth{place}", "Metres")
    >>> registry = CollectorRegistry()
    >>> Tide(registry).depth.labels("harbour").set(4.5)
    >>> registry.get_sample_value("depth", {"place": "harbour"})
    4.5
    >>> [(one.name, one.labels) for one in Tide.declared()]
    [('depth', ('place',))]
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        for attribute, one in vars(type(self)).items():
            if isinstance(one, Declared):
                setattr(self, attribute, one.register(registry))

    @classmethod
    def declared(cls) -> list[Declared]:
        """Return the declarations, in their order."""
        return [one for one in vars(cls).values() if isinstance(one, Declared)]
