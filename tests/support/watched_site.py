"""An installation with a process for each role, watched by a real Prometheus with shipped rules."""

import json
import random
import re
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from confluent_kafka import Producer

from support.deployment import ROOT
from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, wait_until
from support.product import Installation
from support.prometheus import Prometheus
from support.redis_server import RedisServer

ROLES = ("ingest", "detect", "notify", "ledger")

#: A receiver that nobody asks for anything: without one no process of role notify starts.
_RECEIVERS = """\
receivers:
  - name: nobody
    type: webhook
    url: http://127.0.0.1:1/
    match: {models: [nobody]}
"""

_SHIPPED = ROOT / "deploy" / "prometheus" / "alerts.yml"


def shipped_rules(directory: Path, *, wait: str | None = None) -> Path:
    """Write the shipped rules; with ``wait`` each alert fires after that, and not after its own."""
    text = _SHIPPED.read_text()
    if wait is not None:
        text, n = re.subn(r"(?m)^( +for: )\w+$", rf"\g<1>{wait}", text)
        assert n > 10, "the rules are written in another way"
    path = directory / "alerts.yml"
    path.write_text(text)
    return path


class WatchedSite:
    """A broker, a Redis, a process for each role, their Prometheus, and events of model ``m``.

    Every kind of process can be away for a while; ``directory`` keeps its data.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        rules: Path,
        scrape_seconds: int = 1,
        evaluation_seconds: int = 1,
    ) -> None:
        self.broker = KafkaBroker(directory / "kafka")
        (directory / "redis").mkdir()
        self.redis = RedisServer(directory / "redis")
        receivers = directory / "receivers.yaml"
        receivers.write_text(_RECEIVERS)
        self._directory = directory
        self._name = unique("watched")
        self._settings = {**settings, "NOTIFY__RECEIVERS_FILE": str(receivers)}
        self.installations = {role: self.installation(role, self._name) for role in ROLES}
        self.children: dict[str, Child] = {}
        self._traffic: Traffic | None = None
        self.prometheus = Prometheus(
            directory / "prometheus",
            [f"127.0.0.1:{one.http_port}" for one in self.installations.values()],
            rules=rules,
            scrape_seconds=scrape_seconds,
            evaluation_seconds=evaluation_seconds,
        )

    def installation(self, role: str, name: str) -> Installation:
        return Installation(
            self._directory / role,
            name,
            self.broker.bootstrap_servers,
            self.redis.url,
            self._settings,
        )

    @property
    def any(self) -> Installation:
        return self.installations["ingest"]

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        self.broker.start()
        self.redis.start()
        self.any.create_topics()
        self.create_baseline("m", "1")
        for role in ROLES:
            self.start(role)
        for role in ROLES:
            self.installations[role].wait_ready(self.children[role])
        self.prometheus.wait_ready()

    def __exit__(self, *_: object) -> None:
        if self._traffic is not None:
            self._traffic.stop()
        for child in self.children.values():
            child.signal(signal.SIGTERM)
        for child in self.children.values():
            child.stop()
        self.prometheus.stop()
        self.broker.kill()
        self.redis.stop()

    def start(self, role: str) -> None:
        self.children[role] = self.installations[role].start("run", "--role", role)

    def stop(self, role: str) -> None:
        assert self.children.pop(role).stop() == 0

    def create_baseline(self, model: str, version: str) -> None:
        rng = random.Random(5)
        table = self._directory / "reference.csv"
        rows = [f"{rng.gauss(50, 10):.3f},{rng.random():.4f}" for _ in range(5000)]
        table.write_text("\n".join(["x,score", *rows]))
        name = ("--model", model, "--version", version, "--from", str(table))
        self.any.succeed("baseline", "create", *name, "--prediction", "score", "--promote")

    def send_events(self, *versions: str, every_seconds: float = 0.02) -> None:
        """Begin to send events of these versions of ``m``, and go on with it."""
        if self._traffic is not None:
            self._traffic.stop()
        topic = self.any.topic("predictions")
        servers = self.broker.bootstrap_servers
        self._traffic = Traffic(servers, topic, versions, every_seconds)

    def send_garbage(self, records: int) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers})
        for number in range(records):
            producer.produce(self.any.topic("predictions"), b"{", partition=number % 2)
            if number % 1000 == 0:
                producer.poll(0)
        assert producer.flush(30) == 0

    def wait_fires(self, alert: str, *, n: int = 1, seconds: float = 40) -> list[dict[str, str]]:
        """Return labels and annotations of an alert once it fires ``n`` times."""

        def firing() -> list[dict[str, str]]:
            return [one for one in self.prometheus.firing() if one["alertname"] == alert]

        wait_until(
            lambda: len(firing()) >= n,
            seconds=seconds,
            what=lambda: f"{alert} fires, these do: {self.prometheus.firing()}",
        )
        return firing()

    def wait_ends(self, alert: str, *, seconds: float = 60) -> None:
        wait_until(
            lambda: alert not in {one["alertname"] for one in self.prometheus.firing()},
            seconds=seconds,
            what=lambda: f"{alert} is over, these fire: {self.prometheus.firing()}",
        )


class Traffic:
    """Sends like events from a thread of its own until it is stopped."""

    def __init__(
        self, servers: str, topic: str, versions: tuple[str, ...], every_seconds: float
    ) -> None:
        self._producer = Producer({"bootstrap.servers": servers, "log_level": 0})
        self._topic = topic
        self._versions = versions
        self._every_seconds = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng, number = random.Random(6), 0
        while not self._stop.wait(self._every_seconds):
            for version in self._versions:
                number += 1
                event = {
                    "time": time.time(),
                    "model": "m",
                    "version": version,
                    "prediction": rng.random(),
                    "latency_ms": 20,
                    "features": {"x": rng.gauss(50, 10)},
                }
                self._producer.produce(self._topic, json.dumps(event), partition=number % 2)
            self._producer.poll(0)
