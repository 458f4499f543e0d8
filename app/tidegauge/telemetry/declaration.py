"""How a metric is declared: once, for the registry of a process and for the documentation."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.registry import Collector

from tidegauge.telemetry.collectors import GaugeTable, LatencyCollector

# A second series for each counter with the time of its creation, which nothing here uses.
disable_created_metrics()  # type: ignore[no-untyped-call]

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
