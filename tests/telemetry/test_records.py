"""What could not be used is counted by topic, named in the log, and degrades health."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from tidegauge.telemetry.health import Health, RecordFaults
from tidegauge.telemetry.metrics import record_metrics


def test_roles_of_one_process_share_the_counters() -> None:
    registry = CollectorRegistry()
    assert record_metrics(registry) is record_metrics(registry)
    assert record_metrics(registry) is not record_metrics(CollectorRegistry())


def test_a_record_in_quarantine_is_counted_said_and_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, health = CollectorRegistry(), Health(clock=lambda: 0.0)
    faults = RecordFaults(record_metrics(registry), health, ("histograms",))
    name, topic = "tidegauge_quarantined_records_total", {"topic": "histograms"}
    assert registry.get_sample_value(name, topic) == 0.0
    with caplog.at_level(logging.ERROR):
        try:
            raise ZeroDivisionError("events")
        except ZeroDivisionError as error:
            faults.quarantined("histograms/3 at offset 17", error)
    assert registry.get_sample_value(name, topic) == 1.0
    ready, body = health.ready()
    assert ready and body["status"] == "degraded"
    assert "histograms/3 at offset 17" in str(body["conditions"])
    assert "Traceback" in caplog.text and "ZeroDivisionError: events" in caplog.text


def test_a_record_that_is_skipped_is_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    registry, health = CollectorRegistry(), Health(clock=lambda: 0.0)
    faults = RecordFaults(record_metrics(registry), health, ("silences",))
    with caplog.at_level(logging.ERROR):
        faults.skipped("silences/0 at offset 4", "nested too deeply")
    assert registry.get_sample_value("tidegauge_skipped_records_total", {"topic": "silences"}) == 1
    assert "silences/0 at offset 4 is skipped: nested too deeply" in caplog.text
    assert health.ready()[1]["status"] == "ok"
