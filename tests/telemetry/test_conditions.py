"""Each condition of /readyz is a metric by its state, and goes when the condition goes."""

from prometheus_client import CollectorRegistry

from tidegauge.telemetry.health import ConditionCollector, Health


def series(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (one.labels["condition"], one.labels["state"]): one.value
        for family in registry.collect()
        for one in family.samples
    }


def test_a_condition_has_a_series_for_each_state_that_is_not_well() -> None:
    health, registry = Health(clock=lambda: 0.0), CollectorRegistry()
    ConditionCollector(registry, "ingest", health)
    assert series(registry) == {}
    health.report("kafka", "ok")
    health.report("names", "degraded", "more names than there are slots for")
    health.report("ingest", "failed", "joining the consumer group")
    assert series(registry) == {
        ("kafka", "degraded"): 0,
        ("kafka", "failed"): 0,
        ("names", "degraded"): 1,
        ("names", "failed"): 0,
        ("ingest", "degraded"): 0,
        ("ingest", "failed"): 1,
    }


def test_the_series_of_a_part_that_is_gone_go_with_it() -> None:
    health, registry = Health(clock=lambda: 0.0), CollectorRegistry()
    ConditionCollector(registry, "notify", health)
    health.report("receiver chat", "degraded", "no answer")
    assert series(registry)["receiver chat", "degraded"] == 1
    health.forget("receiver chat")
    assert series(registry) == {}
