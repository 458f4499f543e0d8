"""/metrics, /healthz and /readyz as Prometheus and Kubernetes see them."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tidegauge.contract import LATENCY_EDGES_MS
from tidegauge.telemetry import (
    BaselineMetrics,
    CommonMetrics,
    DetectMetrics,
    Health,
    HttpServer,
    IngestMetrics,
    NotifyMetrics,
)
from tidegauge.telemetry.health import STALL_SECONDS
from tidegauge.telemetry.latency import LatencyCollector


class Running:
    """A server on a free port, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.registry = CollectorRegistry()
        self.health = Health(clock=lambda: self.now)
        self.server = HttpServer("127.0.0.1", 0, self.registry, self.health)

    def get(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def json(self, path: str) -> tuple[int, Any]:
        status, body = self.get(path)
        return status, json.loads(body)


@pytest.fixture
def running() -> Iterator[Running]:
    one = Running()
    yield one
    one.server.stop()


def test_a_process_without_loops_or_conditions_is_live_and_ready(running: Running) -> None:
    assert running.json("/healthz") == (200, {"loop_age_seconds": {}, "stalled": {}})
    assert running.json("/readyz") == (200, {"status": "ok", "conditions": {}})


def test_a_stalled_loop_fails_liveness_and_a_turning_one_mends_it(running: Running) -> None:
    running.health.beat("ingest")
    running.health.beat("detect")
    running.now += STALL_SECONDS - 1
    running.health.beat("detect")
    assert running.get("/healthz")[0] == 200
    running.now += 1
    status, body = running.json("/healthz")
    assert status == 503
    assert body["loop_age_seconds"] == {"ingest": STALL_SECONDS, "detect": 1.0}
    assert body["stalled"] == {"ingest": "the loop has not come round for 100 s"}
    running.health.beat("ingest")
    assert running.get("/healthz")[0] == 200


def test_degraded_is_ready_and_says_why(running: Running) -> None:
    running.health.say("kafka", "ok")
    running.health.say("baselines", "degraded", "store down")
    status, body = running.json("/readyz")
    assert (status, body["status"]) == (200, "degraded")
    assert body["conditions"]["baselines"] == {"state": "degraded", "detail": "store down"}


def test_failed_is_not_ready_until_it_is_well_again(running: Running) -> None:
    running.health.say("baselines", "degraded", "store down")
    running.health.say("kafka", "failed", "no broker")
    status, body = running.json("/readyz")
    assert (status, body["status"]) == (503, "failed")
    running.health.say("kafka", "ok")
    assert running.get("/readyz")[0] == 200


def test_another_path_is_not_found_and_says_what_there_is(running: Running) -> None:
    status, body = running.get("/")
    assert status == 404 and "/readyz" in body


def test_every_metric_of_every_role_can_be_scraped(running: Running) -> None:
    CommonMetrics(running.registry, "all")
    BaselineMetrics(running.registry).baseline_store_up.set(1)
    NotifyMetrics(running.registry).of("chat").delivered.inc()
    IngestMetrics(running.registry).events.labels("fast").inc(3)
    detect = DetectMetrics(running.registry)
    detect.latency.add(("m", "1", ""), [1] * (len(LATENCY_EDGES_MS) + 1), 12.5)
    status, text = running.get("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["tidegauge_build_info"].samples[0].labels["role"] == "all"
    assert families["tidegauge_ingest_events"].samples[0].value == 3
    delivered = families["tidegauge_notify_delivered"].samples[0]
    assert (delivered.labels, delivered.value) == ({"receiver": "chat"}, 1)
    assert families["tidegauge_latency_ms"].type == "histogram"
    assert not any(name.endswith("_created") for name in families)


def test_a_slow_client_delays_nobody(running: Running) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        def collect(self) -> Iterator[Any]:
            entered.set()
            leave.wait(10)
            return iter(())

        def describe(self) -> list[Any]:
            return []

    running.registry.register(Slow())  # type: ignore[arg-type]
    scrape = threading.Thread(target=running.get, args=("/metrics",))
    scrape.start()
    try:
        assert entered.wait(10)
        assert running.get("/healthz")[0] == 200
    finally:
        leave.set()
        scrape.join(10)
    assert not scrape.is_alive()


def test_a_stopped_server_gives_its_port_back() -> None:
    first = Running()
    port = first.server.port
    first.server.stop()
    again = HttpServer("127.0.0.1", port, CollectorRegistry(), Health(clock=lambda: 0.0))
    again.stop()


def test_latency_buckets_are_cumulative_over_bins_and_windows() -> None:
    registry = CollectorRegistry()
    collector = LatencyCollector(registry, [1.0, 10.0])
    collector.add(("m", "1", ""), [3, 2, 1], 40.0)
    collector.add(("m", "1", ""), [1, 0, 0], 0.5)
    collector.add(("m", "2", "canary"), [0, 0, 7], 700.0)

    def value(name: str, version: str, **labels: str) -> float | None:
        variant = "canary" if version == "2" else ""
        return registry.get_sample_value(
            f"tidegauge_latency_ms{name}",
            {"model": "m", "version": version, "variant": variant, **labels},
        )

    assert [value("_bucket", "1", le=le) for le in ("1.0", "10.0", "+Inf")] == [4, 6, 7]
    assert (value("_count", "1"), value("_sum", "1")) == (7, 40.5)
    assert [value("_bucket", "2", le=le) for le in ("1.0", "10.0", "+Inf")] == [0, 0, 7]


def test_latency_counts_of_another_binning_are_refused() -> None:
    collector = LatencyCollector(CollectorRegistry(), [1.0, 10.0])
    collector.add(("m", "1", ""), [1, 1, 1], 1.0)
    with pytest.raises(ValueError, match="zip"):
        collector.add(("m", "1", ""), [1, 1], 1.0)
