"""/metrics, /healthz and /readyz as Prometheus and Kubernetes see them."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from support.processes import wait_until
from tidegauge.contract.prediction import LATENCY_EDGES_MS
from tidegauge.telemetry import http as http_module
from tidegauge.telemetry.declaration import GaugeTable, LatencyCollector
from tidegauge.telemetry.health import STALL_SECONDS, Health
from tidegauge.telemetry.http import HttpServer, MetricsPage
from tidegauge.telemetry.metrics import (
    BaselineMetrics,
    CommonMetrics,
    DetectMetrics,
    IngestMetrics,
    NotifyMetrics,
)


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

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def connect(self, *said: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=10)
        for part in said:
            connection.sendall(part)
        return connection

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
    running.health.report("kafka", "ok")
    running.health.report("baselines", "degraded", "store down")
    status, body = running.json("/readyz")
    assert (status, body["status"]) == (200, "degraded")
    assert body["conditions"]["baselines"] == {"state": "degraded", "detail": "store down"}


def test_failed_is_not_ready_until_it_is_well_again(running: Running) -> None:
    running.health.report("baselines", "degraded", "store down")
    running.health.report("kafka", "failed", "no broker")
    status, body = running.json("/readyz")
    assert (status, body["status"]) == (503, "failed")
    running.health.report("kafka", "ok")
    assert running.get("/readyz")[0] == 200


def test_another_path_is_not_found_and_says_what_there_is(running: Running) -> None:
    status, body = running.get("/")
    assert status == 404 and "/readyz" in body


def test_every_metric_of_every_role_can_be_scraped(running: Running) -> None:
    CommonMetrics(running.registry, "all")
    BaselineMetrics(running.registry).baseline_store_up.set(1)
    NotifyMetrics(running.registry).of("chat").delivered.inc()
    IngestMetrics(running.registry).events.labels("native").inc(3)
    detect = DetectMetrics(running.registry)
    detect.latency.add(("m", "1", ""), [1] * (len(LATENCY_EDGES_MS) + 1), 12.5)

    def scraped() -> str | None:
        # On a busy machine the page before this one may be given once more.
        status, text = running.get("/metrics")
        assert status == 200
        return text if "tidegauge_latency_ms" in text else None

    text = wait_until(scraped, seconds=30, what="a page with the series of detect")
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


class Stuck:
    """A collector that is in the middle of its work until it may go on."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def collect(self) -> Iterator[Any]:
        self.entered.set()
        self.leave.wait(10)
        yield GaugeMetricFamily("depth", "Metres", value=4.5)

    def describe(self) -> list[Any]:
        return []


def test_a_page_that_takes_long_is_answered_by_the_one_before_in_a_second(
    running: Running,
) -> None:
    CommonMetrics(running.registry, "all")
    wait_until(
        lambda: b"tidegauge_build_info" in running.ask("GET", "/metrics")[2],
        seconds=10,
        what="a first page",
    )
    stuck = Stuck()
    running.registry.register(stuck)  # type: ignore[arg-type]
    try:
        began = time.monotonic()
        status, headers, body = running.ask("GET", "/metrics")
        assert (
            stuck.entered.is_set() and time.monotonic() - began < 5
        )  # a second, on an idle machine
        assert status == 200 and b"tidegauge_build_info" in body and b"depth" not in body
        assert int(headers["Age"]) >= 0
    finally:
        stuck.leave.set()
    wait_until(
        lambda: b"depth 4.5" in running.ask("GET", "/metrics")[2], seconds=10, what="a new page"
    )


def test_a_collector_that_fails_is_a_failed_scrape_and_no_old_page(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Stuck):
        def collect(self) -> Iterator[Any]:
            raise RuntimeError("broken")

    running.get("/metrics")
    running.registry.register(Broken())  # type: ignore[arg-type]
    failed = (500, "can't be rendered: RuntimeError('broken')\n")
    # On a busy machine the page before may be given once more.
    wait_until(lambda: running.get("/metrics") == failed, seconds=30, what="a failed scrape")
    assert running.get("/readyz")[0] == 200
    assert "broken" in caplog.text


def test_a_large_page_is_the_one_that_prometheus_own_client_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_module, "_AT_ONCE", 3)
    monkeypatch.setattr(http_module, "_LARGE", 10)
    registry = CollectorRegistry()
    IngestMetrics(registry).events.labels("native").inc(3)
    detect = DetectMetrics(registry)
    for model in "abcdefgh":
        detect.latency.add((model, "1", ""), [1] * (len(LATENCY_EDGES_MS) + 1), 12.5)
        detect.window_end.show(model, {(model, "1", ""): 1.5})
    page = MetricsPage(registry)
    try:
        made = page.ask().result(10)
        assert made.body("text") == generate_latest(registry)
        assert made.body("openmetrics") == openmetrics.generate_latest(registry)
    finally:
        page.stop()


def test_a_scrape_gets_the_form_that_it_asks_for_of_the_same_page(running: Running) -> None:
    IngestMetrics(running.registry).events.labels("native").inc(3)
    # As Prometheus sends it.
    asked = (
        "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    )
    _, headers, body = running.ask("GET", "/metrics", Accept=asked)
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert headers["Vary"] == "Accept, Accept-Encoding"
    families = {family.name: family for family in parse_openmetrics(body.decode())}
    [counted] = [it for it in families["tidegauge_ingest_events"].samples if it.value]
    assert counted.name == "tidegauge_ingest_events_total" and counted.value == 3
    _, headers, packed = running.ask("GET", "/metrics", Accept=asked, **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(packed).endswith(b"# EOF\n")
    unreadable = [f"application/openmetrics-text;version={it}" for it in ("abc", "1..0", "\xb9")]
    for accept in ("*/*", "text/plain", "text/html, application/json", "", *unreadable):
        _, headers, body = running.ask("GET", "/metrics", Accept=accept)
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"# EOF" not in body and b"tidegauge_ingest_events_total{" in body


def test_a_page_is_packed_for_whoever_takes_gzip(running: Running) -> None:
    CommonMetrics(running.registry, "all")
    _, headers, plain = running.ask("GET", "/metrics")
    assert "Content-Encoding" not in headers
    _, headers, packed = running.ask("GET", "/metrics", **{"Accept-Encoding": "deflate, gzip;q=1"})
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == plain


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_head_is_answered_as_get_is_without_the_body(running: Running, path: str) -> None:
    CommonMetrics(running.registry, "all")
    _, get, body = running.ask("GET", path)
    status, head, nothing = running.ask("HEAD", path)
    assert (status, nothing) == (200, b"")
    assert head["Content-Type"] == get["Content-Type"]
    assert int(head["Content-Length"]) > 0 and body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_allowed_and_it_says_which_are(running: Running, method: str) -> None:
    status, headers, _ = running.ask(method, "/readyz")
    assert status == 405 and {"GET", "HEAD"} == set(headers["Allow"].split(","))


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /readyz HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
        b"GET /%00%1b HTTP/9.9\r\n\r\n",
        b"BREW /metrics HTTP/1.1\r\nHost: here\r\n\r\n",
    ],
    ids=["long line", "many headers", "tls", "zeros", "no such version", "no such method"],
)
def test_what_is_no_request_is_refused_and_others_are_answered(
    running: Running, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connection = running.connect()
    try:
        connection.sendall(request_)
        assert b" 400 Bad Request" in connection.recv(1000).splitlines()[0]
    except ConnectionError:
        pass  # cut while it was still sending
    finally:
        connection.close()
    assert running.get("/readyz")[0] == 200
    assert caplog.records == []


@pytest.mark.parametrize(
    "said", [[], [b"GET /met"], [b"GET /metrics HTTP/1.1\r\n", b"X: y\r\n"]],
    ids=["nothing", "half a line", "no end"],
)  # fmt: skip
def test_a_connection_without_a_request_is_cut(
    running: Running, monkeypatch: pytest.MonkeyPatch, said: list[bytes]
) -> None:
    monkeypatch.setattr(http_module, "CONNECTION_SECONDS", 0.2)
    with running.connect(*said) as connection:
        connection.settimeout(10)
        with suppress(ConnectionError):
            assert connection.recv(1) == b""


def test_a_connection_that_sends_byte_by_byte_is_cut(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "CONNECTION_SECONDS", 0.2)
    with running.connect(b"GET /metrics HTTP/1.1\r\n") as connection:

        def is_cut() -> bool:
            try:
                connection.sendall(b"X: y\r\n")
            except ConnectionError:
                return True
            return False

        wait_until(is_cut, seconds=10, what="the connection is cut")


def test_an_answer_that_nobody_reads_is_given_up(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = GaugeTable("depth", "Metres", ("place",), registry=running.registry)
    table.show("all", {(f"{'x' * 1000}-{i}",): 1.0 for i in range(20_000)})
    wait_until(lambda: len(running.get("/metrics")[1]) > 1000, seconds=20, what="a large page")
    monkeypatch.setattr(http_module, "CONNECTION_SECONDS", 0.2)
    monkeypatch.setattr(http_module, "FRESH_SECONDS", 0.0)
    with running.connect(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n") as connection:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        read = []

        def is_over() -> bool:  # little by little: what the kernels hold is some MB
            with suppress(ConnectionError):
                read.append(len(connection.recv(200_000)))
                return read[-1] == 0
            return True

        wait_until(is_over, seconds=30, what="the connection is cut")
        assert sum(read) < 20_000_000
    assert running.get("/readyz")[0] == 200


def test_many_slow_connections_cost_no_thread_and_delay_no_probe(running: Running) -> None:
    running.get("/metrics")
    threads = threading.active_count()
    with ExitStack() as slow:
        for _ in range(3 * http_module.MOST_CONNECTIONS):
            slow.enter_context(running.connect(b"GET /metrics HTTP/1.1\r\n"))
        assert running.get("/readyz")[0] == 200
        assert running.get("/metrics")[0] == 200
        assert threading.active_count() <= threads + 1


def test_a_stopped_server_gives_its_port_back() -> None:
    first = Running()
    port = first.server.port
    first.server.stop()
    again = HttpServer("127.0.0.1", port, CollectorRegistry(), Health(clock=lambda: 0.0))
    again.stop()


LATENCY = ("tidegauge_latency_ms", "Latency", ("model", "version", "variant"))


def test_latency_buckets_are_cumulative_over_bins_and_windows() -> None:
    registry = CollectorRegistry()
    collector = LatencyCollector(*LATENCY, registry=registry, edges=[1.0, 10.0])
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
    collector = LatencyCollector(*LATENCY, registry=CollectorRegistry(), edges=[1.0, 10.0])
    collector.add(("m", "1", ""), [1, 1, 1], 1.0)
    with pytest.raises(ValueError, match="zip"):
        collector.add(("m", "1", ""), [1, 1], 1.0)
