"""The parts that the other tests stand on: broker, Prometheus and child processes are real."""

import socket
import struct
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, free_port, wait_until
from support.prometheus import Prometheus, http_get
from support.scheduling import ELSEWHERE, LONGEST, TOGETHER, rank, scope_of

ROOT = Path(__file__).resolve().parents[2]


def read_one(broker: KafkaBroker, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": unique("g")})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = wait_until(lambda: consumer.poll(0.2), seconds=20, what=f"a record on {topic}")
        assert message.error() is None
        value: bytes | None = message.value()
        return value
    finally:
        consumer.close()


def test_records_outlive_a_restart_and_a_crash_of_the_broker(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "own")
    broker.start()
    try:
        broker.create_topics({"kept": 1})
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
        producer.produce("kept", b"still here")
        assert producer.flush(20) == 0
        broker.restart()
        assert read_one(broker, "kept") == b"still here"
        broker.kill()
        broker.start()
        assert read_one(broker, "kept") == b"still here"
    finally:
        broker.stop()


class OneMetric(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'one_metric{part="a"} 2.5\none_metric{part="b"} 4\n'
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def one_metric() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), OneMetric)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_prometheus_scrapes_a_target_and_answers_queries(tmp_path: Path, one_metric: str) -> None:
    prometheus = Prometheus(tmp_path / "prometheus", [one_metric])
    try:
        prometheus.wait_ready()
        found = wait_until(
            lambda: prometheus.query("sum(one_metric)"), seconds=20, what="a scrape of one_metric"
        )
        assert [value for _, value in found] == [6.5]
        assert {labels["part"] for labels, _ in prometheus.query("one_metric")} == {"a", "b"}
    finally:
        prometheus.stop()


def test_a_child_that_ends_early_fails_with_its_output(tmp_path: Path) -> None:
    child = Child(
        [sys.executable, "-c", "print('no such luck'); raise SystemExit(7)"],
        log=tmp_path / "log",
    )
    with pytest.raises(AssertionError, match=r"(?s)ended with 7.*no such luck"):
        child.wait_for_output("ready", seconds=20)
    assert child.stop() == 7


def test_a_child_that_ignores_the_request_to_end_is_ended(tmp_path: Path) -> None:
    code = (
        "import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('up', flush=True); threading.Event().wait()"
    )
    child = Child([sys.executable, "-c", code], log=tmp_path / "log")
    child.wait_for_output("up", seconds=20)
    assert child.stop(seconds=0.5) == -9


def test_a_free_port_can_be_listened_on_again_and_again() -> None:
    port = free_port()
    for _ in range(2):
        server = HTTPServer(("127.0.0.1", port), OneMetric)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert http_get(f"http://127.0.0.1:{port}/metrics")[0] == 200
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def only(port: int) -> socket.socket:
    """Return a socket that the kernel may give this port alone (``IP_LOCAL_PORT_RANGE``)."""
    made = socket.socket()
    try:
        made.setsockopt(socket.IPPROTO_IP, 51, struct.pack("I", port << 16 | port))
    except OSError:
        made.close()
        pytest.skip("this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)")
    return made


@pytest.mark.parametrize("reuse", [0, 1])
def test_a_free_port_is_given_to_nobody_else_while_nobody_listens_on_it(reuse: int) -> None:
    port = free_port()
    with (
        HTTPServer(("127.0.0.1", 0), OneMetric) as server,
        only(port) as client,
        pytest.raises(OSError, match="Cannot assign requested address"),
    ):
        client.connect(server.server_address)
    with only(port) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", 0))


def test_a_port_that_is_not_held_is_given_to_a_connection() -> None:
    """What went wrong: it shows that the test before this one would notice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with HTTPServer(("127.0.0.1", 0), OneMetric) as server, only(port) as client:
        client.connect(server.server_address)
        assert client.getsockname()[1] == port


def test_nobody_answers_on_a_free_port_not_even_to_itself() -> None:
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", free_port()))


def test_files_that_share_a_run_go_to_one_process_and_others_each_to_one() -> None:
    assert (
        scope_of("tests/alerting/test_ruleset.py::test_a[b::c]") == "tests/alerting/test_ruleset.py"
    )
    for folder in TOGETHER:
        files = list((ROOT / folder).glob("test_*.py"))
        assert len(files) > 1, f"{folder} has moved"
        found = {scope_of(f"{file.relative_to(ROOT)}::test_a") for file in files}
        assert found == {folder}
    for name, file in ELSEWHERE.items():
        path, _, function = name.rstrip("]").partition("::")
        assert all(word in (ROOT / path).read_text() for word in function.split("[")), name
        assert scope_of(name) == scope_of(f"{file}::test_a")


def test_what_takes_longest_is_handed_out_first_and_is_there() -> None:
    assert all((ROOT / name).exists() for name in LONGEST)
    files = [f"{path.relative_to(ROOT)}" for path in (ROOT / "tests").rglob("test_*.py")]
    ranks = [rank(f"{file}::test_a") for file in sorted(files, key=rank)]
    assert ranks[0] == 0 and len(set(ranks)) == len(LONGEST) + 2
