"""Series that are set by the hundred look on the page as any gauge's do."""

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tidegauge.telemetry.declaration import GaugeTable


def test_the_page_is_the_one_that_prometheus_own_gauge_makes() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    names = ("depth_metres", "How deep it is", ("place", "kind"))
    table, gauge = GaugeTable(*names, registry=ours), Gauge(*names, registry=theirs)
    assert generate_latest(ours) == generate_latest(theirs)
    values = {("harbour", "low"): 4.5, ('odd "one"\n', ""): 12.0, ("bay", "high"): float("nan")}
    table.show("pilot", values)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    assert generate_latest(ours) == generate_latest(theirs)


def test_what_an_owner_shows_takes_the_place_of_what_it_showed_and_of_nobody_elses() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    names = ("depth_metres", "How deep it is", ("place",))
    table, gauge = GaugeTable(*names, registry=ours), Gauge(*names, registry=theirs)
    table.show("pilot", {("harbour",): 4.5, ("bay",): 1.0})
    table.show("diver", {("reef",): 30.0})
    table.show("pilot", {("harbour",): 5.0})
    gauge.labels("harbour").set(5.0)
    gauge.labels("reef").set(30.0)
    assert generate_latest(ours) == generate_latest(theirs)
    for owner in ("pilot", "diver", "nobody"):
        table.show(owner, {})
    gauge.clear()
    assert generate_latest(ours) == generate_latest(theirs)
