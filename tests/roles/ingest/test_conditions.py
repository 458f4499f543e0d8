"""What /readyz and the metrics say of a source that was changed, or is held back."""

from prometheus_client import CollectorRegistry

from tidegauge.counting.beginning import Beginning
from tidegauge.roles.ingest.conditions import SHOWN_SECONDS, SourceCondition
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import IngestMetrics


def test_what_happened_is_told_until_somebody_has_looked_and_what_is_held_until_it_is_not() -> None:
    now = [100.0]
    registry = CollectorRegistry()
    health = Health(clock=lambda: now[0])
    condition = SourceCondition(
        "predictions",
        name="source",
        metrics=IngestMetrics(registry),
        health=health,
        monotonic=lambda: now[0],
    )

    def said() -> tuple[str, str]:
        found = health.ready()[1]["conditions"]["source"]  # type: ignore[index]
        return found["state"], found["detail"]

    def series(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tidegauge_ingest_{name}", labels)

    assert series("source_breaks_total", happened="recreated") == 0, "or the first has no rate"
    condition.begun(0, Beginning(0, 5, 0, 0))
    condition.held({})
    assert said() == ("ok", "")
    condition.begun(
        1, Beginning(0, 0, 1, 0, lost=30, happened="recreated", detail="is another topic")
    )
    condition.begun(
        2, Beginning(0, 9, 0, 0, overlap=4, happened="moved_back", detail="was set back")
    )
    condition.begun(3, Beginning(0, 5, 0, 9, lost=4, detail="offsets 5 to 9 were deleted"))
    assert said()[0] == "degraded"
    assert "predictions/1 is another topic; predictions/2 was set back" in said()[1]
    assert series("source_lost_events_total") == 34
    assert series("source_overlap_events_total") == 4
    assert series("source_breaks_total", happened="recreated") == 1
    condition.held({7: 70, 4: 2})
    assert said()[1].startswith(
        "predictions/4, predictions/7: 72 records wait: a transaction is open"
    )
    assert series("held_events") == 72
    now[0] += SHOWN_SECONDS
    condition.held({7: 70})
    assert said()[0] == "degraded" and "another topic" not in said()[1]
    condition.held({})
    assert said() == ("ok", "") and series("held_events") == 0
