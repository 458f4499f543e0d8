"""How long OUTCOMES takes to have millions of pending predictions back after a SIGKILL.

Run: ``python -m bench.outcomes_restart``, with a real broker, some two minutes. The topic holds the
predictions of ``python -m bench.outcomes``, of the last month, and the group has read them all.
The last line is JSON: seconds of reading back as the process measures them, and from its start
until it holds everything, with those of its processors.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import psutil
from confluent_kafka import Producer

from bench import _harness  # noqa: F401 - puts the tests' support on the path
from bench.outcomes import predictions
from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, wait_until
from support.product import Installation
from support.redis_server import RedisServer

PARTITIONS = 8
PATIENCE_SECONDS = 600.0


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(prog="outcomes_restart", description=__doc__)
    parser.add_argument("--pending", type=int, default=10_000_000)
    parser.add_argument("--hours", type=int, default=720, help="over which predictions were made")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "redis").mkdir()
        broker, redis = KafkaBroker(directory / "kafka"), RedisServer(directory / "redis")
        broker.start()
        redis.start()
        try:
            installation = Installation(
                directory,
                unique("outcomes"),
                broker.bootstrap_servers,
                redis.url,
                {"TOPICS__OUTCOMES_PARTITIONS": str(PARTITIONS)},
            )
            installation.create_topics()
            print(json.dumps(_measure(installation, given.pending, given.hours)))
        finally:
            redis.stop()
            broker.stop()


def _measure(installation: Installation, pending: int, hours: int) -> dict[str, float]:
    servers = installation.bootstrap_servers
    producer = Producer({"bootstrap.servers": servers, "compression.type": "lz4"})
    for at, (_, value) in enumerate(predictions(pending, hours, int(time.time()))):
        producer.produce(installation.topic("outcomes"), value, partition=at % PARTITIONS)
        producer.flush(60)
    child = installation.start("run", "--role", "outcomes")
    _wait_held(installation, child, pending)
    child.kill()
    began = time.monotonic()
    child = installation.start("run", "--role", "outcomes")
    _wait_held(installation, child, pending)
    process = psutil.Process(child.pid)
    spent, memory = process.cpu_times(), process.memory_info()
    figures = {
        "pending": pending,
        "restore_seconds": installation.gauge("tidegauge_outcomes_restore_seconds") or 0.0,
        "start_to_owned_seconds": time.monotonic() - began,
        "cpu_seconds": spent.user + spent.system,
        "rss_mb": memory.rss / 2**20,
    }
    child.stop()
    return {name: round(value, 1) for name, value in figures.items()}


def _wait_held(installation: Installation, child: Child, pending: int) -> None:
    def held() -> bool:
        child.check_alive()
        return (installation.gauge("tidegauge_pending_predictions") or 0) >= pending

    wait_until(held, seconds=PATIENCE_SECONDS, what=f"{pending} predictions are held")


if __name__ == "__main__":
    main()
