"""A rule file that changes under a running worker: good, bad, and good again."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(240)

WINDOW_SECONDS = 10


QUIET = """
rules: [{name: quiet, metric: seconds_without_events, above: 30, severity: high}]
"""


def rules(name: str, *, more: str = "") -> str:
    return f"rules: [{{name: {name}, metric: events, above: 5, severity: low{more}}}]\n"


class Running:
    """A worker, its rule file and one model."""

    def __init__(self, broker: KafkaBroker, installation: Installation, file: Path) -> None:
        self.file = file
        self._url = f"http://127.0.0.1:{installation.http_port}"
        self._topic = installation.topic("predictions")
        self._producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
        self._reader = TopicReader(broker, installation.topic("alerts"))
        self._second = int(time.time() - 400) // WINDOW_SECONDS * WINDOW_SECONDS
        self.alerts: list[dict[str, Any]] = []

    def close(self) -> None:
        self._reader.close()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self._url + path, timeout=5) as answer:  # noqa: S310
            return str(answer.read().decode())

    def readiness(self) -> tuple[str, str]:
        """Return the state and detail of the condition ``rules``."""
        said = json.loads(self.get("/readyz"))["conditions"]["rules"]
        return said["state"], said["detail"]

    def window(self) -> None:
        """Send the events of the next window; it closes because nothing follows."""
        for at in range(self._second, self._second + WINDOW_SECONDS):
            self._producer.produce(
                self._topic, json.dumps({"time": at, "model": "m", "version": "1"}).encode()
            )
        assert self._producer.flush(30) == 0
        self._second += WINDOW_SECONDS

    def wait_for(self, what: str, true: Callable[[], bool]) -> None:
        def look() -> bool:
            self.alerts += [json.loads(message.value()) for message in self._reader.more()]
            return true()

        wait_until(look, seconds=60, what=lambda: f"{what}; alerts {self.alerts}")


@pytest.fixture
def running(kafka_broker: KafkaBroker, redis_url: str, tmp_path: Path) -> Iterator[Running]:
    file = tmp_path / "rules.yaml"
    file.write_text(rules("first"))
    installation = Installation(
        tmp_path / "installation",
        unique("rules"),
        kafka_broker.bootstrap_servers,
        redis_url,
        {
            "TOPICS__PREDICTIONS_PARTITIONS": "1",
            "TOPICS__DETECT_PARTITIONS": "1",
            "DETECT__RULES_FILE": str(file),
            "WINDOWS__SECONDS": str(WINDOW_SECONDS),
            "WINDOWS__GRACE_SECONDS": "1",
            "INGEST__IDLE_SECONDS": "2",
            "INGEST__FLUSH_SECONDS": "0.5",
        },
    )
    installation.create_topics()
    # Only what has a baseline, or came for a day, is missed.
    trained = tmp_path / "trained.csv"
    trained.write_text("x\n" + "\n".join(map(str, range(100))) + "\n")
    installation.succeed(
        "baseline", "create", "--model", "m", "--version", "1", "--from", str(trained), "--promote"
    )
    child = installation.start("run")
    running = Running(kafka_broker, installation, file)
    try:
        installation.wait_ready(child)
        yield running
    finally:
        running.close()
        child.stop()


def test_a_good_file_takes_force_a_bad_one_keeps_the_old_rules(running: Running) -> None:
    def told(rule: str, state: str) -> Callable[[], bool]:
        return lambda: any((it["rule"], it["state"]) == (rule, state) for it in running.alerts)

    assert running.readiness() == ("ok", "")
    running.window()
    running.wait_for("first fires", told("first", "firing"))
    # The window was 400 s ago, and nothing has come since.
    running.wait_for("first lacks data", told("first", "no_data"))

    running.file.write_text(rules("second", more=", sevrity: low"))
    running.wait_for("the file is refused", lambda: running.readiness()[0] == "degraded")
    assert "rules.yaml:1:" in running.readiness()[1] and "sevrity" in running.readiness()[1]
    assert "tidegauge_rules_file_ok 0.0" in running.get("/metrics")

    running.file.write_text(rules("second"))
    running.wait_for("the file is read", lambda: running.readiness() == ("ok", ""))
    assert "tidegauge_rules_file_ok 1.0" in running.get("/metrics")
    running.window()
    running.wait_for("second fires", told("second", "firing"))

    assert told("first", "resolved")()
    by_rule = {it["rule"]: it["rules_sha256"] for it in running.alerts if it["state"] == "firing"}
    assert len(by_rule) == len(set(by_rule.values())) == 2
    [resolved] = [it for it in running.alerts if it["state"] == "resolved"]
    assert resolved["rules_sha256"] == by_rule["second"]
    assert "was removed while its alert was firing" in resolved["summary"]

    running.file.write_text(QUIET)
    running.wait_for("the silence is told", told("quiet", "firing"))
    running.window()
    running.wait_for("there are events again", told("quiet", "resolved"))
    fired, ended = [it for it in running.alerts if it["rule"] == "quiet"][:2]
    assert fired["value"] == fired["window_end"] - fired["window_start"] > 30
    assert (fired["report"], fired["events"], ended["events"]) == ("", 0, WINDOW_SECONDS)
    assert ended["episode"] == fired["episode"]
