"""Every condition of ``/readyz`` as a metric, so that Prometheus can alert on each of them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegauge.telemetry.health import Health

#: The states that are a series of their own; a condition in neither of them is ok.
STATES = ("degraded", "failed")


class ConditionCollector(Collector):
    """``tidegauge_condition``: 1 while a condition of this process is in a state, 0 otherwise.

    >>> health = Health(clock=lambda: 0.0)
    >>> registry = CollectorRegistry()
    >>> _ = ConditionCollector(registry, "ingest", health)
    >>> health.say("kafka", "failed", "no answer")
    >>> for family in registry.collect():
    ...     for one in family.samples:
    ...         print(one.labels["condition"], one.labels["state"], one.value)
    kafka degraded 0.0
    kafka failed 1.0
    """

    def __init__(self, registry: CollectorRegistry, role: str, health: Health) -> None:
        self._role = role
        self._health = health
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family; the details are on ``/readyz`` only, since they change all the time."""
        family = GaugeMetricFamily(
            "tidegauge_condition",
            "1 while the condition of /readyz is in the state",
            labels=("role", "condition", "state"),
        )
        for condition, (present, _) in sorted(self._health.conditions().items()):
            for state in STATES:
                family.add_metric((self._role, condition, state), float(present == state))
        yield family
