"""Only the demo's broker and Redis, for the other commands of the command line.

A file of settings names both while they run: whoever starts a command beside it uses them.
"""

import signal
import tempfile
import threading
from pathlib import Path

import yaml
from rich.console import Console

from tidegauge.config import KafkaSettings, Settings
from tidegauge.demo.services import MOCK_PARTITIONS, MockKafka, redis_server

_MARK = "# Written by tidegauge demo --services, which deletes it at its end.\n"

#: Short windows, so that nobody waits for a minute to see one.
WINDOW_SECONDS = 2


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
    with tempfile.TemporaryDirectory(prefix="tidegauge-demo-") as name:
        kafka = MockKafka()
        kafka.make_topics(Settings(kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)))
        with redis_server(Path(name)) as redis_url:
            path.write_text(_MARK + yaml.safe_dump(_settings(kafka, redis_url), sort_keys=False))
            console.print(f"Embedded Kafka on {kafka.bootstrap_servers}")
            console.print(f"Redis on {redis_url}")
            console.print(f"Their settings are in {path}. Ctrl-C ends both and deletes their data.")
            try:
                stop.wait()
            finally:
                if path.exists() and _is_ours(path):
                    path.unlink()
    return 0


def _settings(kafka: MockKafka, redis_url: str) -> dict[str, dict[str, object]]:
    return {
        "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "check_crcs": False},
        "topics": {
            "predictions_partitions": MOCK_PARTITIONS,
            "detect_partitions": MOCK_PARTITIONS,
        },
        "redis": {"url": redis_url},
        "http": {"host": "127.0.0.1"},
        "windows": {"seconds": WINDOW_SECONDS, "grace_seconds": 1},
        "ingest": {"idle_seconds": 5, "flush_seconds": 0.5},
    }


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text("utf-8", errors="replace").startswith(_MARK)
