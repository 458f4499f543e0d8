"""What the benchmarks share: a real broker and Redis, topics, a promoted baseline, a worker."""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.kafka_broker import KafkaBroker, unique  # noqa: E402
from support.processes import free_port  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from tidegauge.baseline import Baseline, NumericSignal  # noqa: E402
from tidegauge.baseline.io import BaselineStore  # noqa: E402

PARTITIONS = 4
FEATURES = [f"f{i}" for i in range(10)]
MODEL, VERSION = "credit", "3"

_QUANTILES = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99]


@dataclass(frozen=True)
class Setting:
    """A broker with topics and a Redis with a promoted baseline, ready for a worker."""

    directory: Path
    servers: str
    topic: str
    environment: dict[str, str]


@contextmanager
def setting() -> Iterator[Setting]:
    """Start broker and Redis, make topics and baseline; stop both at the end."""
    with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as name:
        directory = Path(name)
        broker, redis = KafkaBroker(directory / "kafka"), RedisServer(directory)
        try:
            broker.start()
            redis.start()
            topic = unique("predictions")
            environment = {
                "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                "TIDEGAUGE_REDIS__URL": redis.url,
                "TIDEGAUGE_TOPICS__PREDICTIONS": topic,
                "TIDEGAUGE_TOPICS__PREDICTIONS_PARTITIONS": str(PARTITIONS),
                "TIDEGAUGE_HTTP__HOST": "127.0.0.1",
            }
            subprocess.run(
                [sys.executable, "-m", "tidegauge", "topics", "create"],
                env={**os.environ, **environment},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            store = BaselineStore(redis.url)
            store.promote(MODEL, VERSION, store.put(_baseline()), now=time.time())
            store.close()
            yield Setting(directory, broker.bootstrap_servers, topic, environment)
        finally:
            redis.stop()
            broker.stop()


def _baseline() -> Baseline:
    """Make a baseline of 14 bins for every feature and the prediction."""
    rng = np.random.default_rng(1)

    def signal(sample: np.ndarray) -> NumericSignal:
        edges = np.percentile(sample, _QUANTILES).tolist()
        counts = np.bincount(np.searchsorted(edges, sample, side="right"), minlength=14).tolist()
        return NumericSignal(
            edges=edges,
            counts=counts,
            missing=0,
            nan=0,
            mean=float(sample.mean()),
            std=float(sample.std()),
            minimum=float(sample.min()),
            maximum=float(sample.max()),
        )

    signals = {name: signal(rng.normal(size=10_000)) for name in FEATURES}
    signals["prediction"] = signal(rng.beta(2, 5, size=10_000))
    return Baseline(model=MODEL, version=VERSION, rows=10_000, source="bench", signals=signals)


class Worker:
    """A running ``tidegauge run``; its log is in the error if it ends."""

    def __init__(self, at: Setting, role: str, **environment: str) -> None:
        self.port = free_port()
        self._log = at.directory / f"worker-{self.port}.log"
        variables = at.environment | environment | {"TIDEGAUGE_HTTP__PORT": str(self.port)}
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tidegauge", "run", "--role", role],
                env={**os.environ, **variables},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def total(self, metric: str) -> int | None:
        """Sum a counter over its labels; None while the worker isn't listening yet."""
        if self.process.poll() is not None:
            raise RuntimeError(self._log.read_text()[-3000:])
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as page:
                text = page.read().decode()
        except OSError:
            return None
        values = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return sum(int(float(value)) for value in values)

    def ready(self) -> bool:
        """Whether /readyz says so."""
        if self.process.poll() is not None:
            raise RuntimeError(self._log.read_text()[-3000:])
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait()
