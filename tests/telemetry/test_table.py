"""Series that are set by the hundred look on the page as any gauge's do."""

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tidegauge.telemetry import GaugeTable


def test_the_page_is_the_one_that_prometheus_own_gauge_makes() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    names = ("depth_metres", "How deep it is", ("place", "kind"))
    table, gauge = GaugeTable(*names, registry=ours), Gauge(*names, registry=theirs)
    assert generate_latest(ours) == generate_latest(theirs)
    values = {("harbour", "low"): 4.5, ('odd "one"\n', ""): 12.0, ("bay", "high"): float("nan")}
    table.set(values)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    assert generate_latest(ours) == generate_latest(theirs)
    table.set({("harbour", "low"): 5.0})
    gauge.labels("harbour", "low").set(5.0)
    table.remove([("bay", "high"), ("never", "there")])
    gauge.remove("bay", "high")
    assert generate_latest(ours) == generate_latest(theirs)
