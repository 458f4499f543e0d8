"""A DETECT worker that can't count says so: it stands still, or its changelog is gone."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support import blocked_worker
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(240)

STALL_SECONDS = 8.0
SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    "INGEST__FLUSH_SECONDS": "0.2",
    "INGEST__IDLE_SECONDS": "1",
    "WINDOWS__SECONDS": "1",
    "WINDOWS__GRACE_SECONDS": "1",
    "DETECT__CHECKPOINT_SECONDS": "0.5",
    "HEALTH__STALL_SECONDS": str(STALL_SECONDS),
}


class Running:
    """An installation with a running worker, what is sent to it, and what it reports."""

    def __init__(self, broker: KafkaBroker, installation: Installation) -> None:
        self.installation = installation
        self.sent = 0
        self._producer = Producer(
            {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "log_level": 2}
        )
        self._reports = TopicReader(broker, installation.topic("windows"))

    def send(self, events: int) -> None:
        event = {"time": time.time(), "model": "m", "version": "1", "features": {}}
        for i in range(events):
            topic = self.installation.topic("predictions")
            self._producer.produce(topic, json.dumps(event), partition=i % 2)
        assert self._producer.flush(30) == 0
        self.sent += events

    def reported(self) -> int:
        """Return the events in the last revision of every report."""
        for _ in self._reports.more():
            pass
        reports = [json.loads(message.value()) for message in self._reports.messages]
        events: dict[int, tuple[int, int]] = {}
        for report in reports:
            start = report["window_start"]
            events[start] = max(events.get(start, (0, 0)), (report["revision"], report["events"]))
        return sum(n for _, n in events.values())

    def wait_reported(self, child: Child) -> None:
        wait_until(
            lambda: self.reported() == self.sent,
            seconds=60,
            what=lambda: f"{self.sent} events reported, it is {self.reported()}\n{child.tail()}",
        )

    def page(self, path: str) -> tuple[int, str]:
        answer = self.installation.http(path)
        assert answer is not None, f"nobody answers at {path}"
        return answer

    def wait_status(self, path: str, status: int, child: Child) -> str:
        """Return the body of the page once it has this status."""
        wait_until(
            lambda: self.page(path)[0] == status,
            seconds=STALL_SECONDS + 30,
            what=lambda: f"{path} is {status}, it is {self.page(path)}\n{child.tail()}",
        )
        return self.page(path)[1]


@pytest.fixture
def running(tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str) -> Iterator[Running]:
    installation = Installation(
        tmp_path, unique("detect"), kafka_broker.bootstrap_servers, redis_url, SETTINGS
    )
    installation.create_topics()
    yield Running(kafka_broker, installation)


def test_a_worker_that_takes_no_input_fails_its_probe_until_it_moves_on(
    running: Running, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    installation = running.installation
    ingest = Installation(
        tmp_path,
        installation.name,
        installation.bootstrap_servers,
        installation.redis_url,
        SETTINGS,
    ).start("run", "--role", "ingest")
    child = Child(
        [sys.executable, blocked_worker.__file__, str(blocked), "run", "--role", "detect"],
        log=tmp_path / "detect.log",
        env=installation.environment(),
        cwd=tmp_path,
    )
    try:
        installation.wait_ready(child)
        running.send(20)
        running.wait_reported(child)
        assert running.page("/healthz")[0] == 200
        blocked.touch()
        running.send(20)
        stalled = json.loads(running.wait_status("/healthz", 503, child))["stalled"]["detect"]
        assert "have new records" in stalled and "nothing was joined for" in stalled
        blocked.unlink()
        running.wait_status("/healthz", 200, child)
        running.wait_reported(child)
    finally:
        child.stop()
        ingest.stop()


def test_a_worker_without_its_changelog_says_so_and_goes_on_once_it_is_there(
    running: Running, kafka_broker: KafkaBroker
) -> None:
    installation = running.installation
    child = installation.start("run")
    try:
        installation.wait_ready(child)
        running.send(20)
        running.wait_reported(child)
        changelog = f"{installation.name}-detect-windows-changelog"
        admin = kafka_broker.admin()
        for future in admin.delete_topics([changelog]).values():
            future.result(10)
        said = running.wait_status("/readyz", 503, child)
        assert f"{changelog} is missing" in said and "tidegauge topics create" in said
        running.send(20)
        installation.succeed("topics", "create")

        def reported() -> bool:
            child.check_alive()
            return running.reported() == running.sent

        wait_until(reported, seconds=120, what=lambda: f"all are reported\n{child.tail()}")
        running.wait_status("/readyz", 200, child)
    finally:
        child.stop()


def test_a_topic_of_histograms_that_is_made_anew_is_counted_from_its_beginning(
    running: Running, kafka_broker: KafkaBroker
) -> None:
    installation = running.installation
    histograms, admin = installation.topic("histograms"), kafka_broker.admin()
    child = installation.start("run")
    try:
        installation.wait_ready(child)
        # More than the topic will have when it is made anew: those offsets were joined once.
        for _ in range(3):
            running.send(20)
            running.wait_reported(child)
        for future in admin.delete_topics([histograms]).values():
            future.result(10)
        running.wait_status("/readyz", 503, child)
        running.send(20)
        installation.succeed("topics", "create")
        running.wait_reported(child)
        running.wait_status("/readyz", 200, child)
        assert "was made anew" in running.page("/readyz")[1]
        # Whoever comes next goes on with the new topic, of which less may be there than was read.
        child.kill()
        running.send(20)
        child = installation.start("run")
        running.wait_reported(child)
        # And while nobody looks: what was saved by now is of a topic that is gone.
        child.stop()
        for future in admin.delete_topics([histograms]).values():
            future.result(10)
        running.send(20)
        installation.succeed("topics", "create")
        child = installation.start("run")
        running.wait_reported(child)
        running.send(20)
        running.wait_reported(child)
        assert installation.gauge("tidegauge_recounts_total") == 0
        child.check_alive()
    finally:
        child.stop()


def test_a_worker_that_gets_no_partition_is_ready_and_alive(
    running: Running, tmp_path: Path
) -> None:
    first = running.installation
    workers = [first] + [
        Installation(
            tmp_path / f"{i}", first.name, first.bootstrap_servers, first.redis_url, SETTINGS
        )
        for i in (1, 2)
    ]
    children = [worker.start("run", "--role", "detect") for worker in workers]
    try:
        for worker, child in zip(workers, children, strict=True):
            worker.wait_ready(child)
        wait_until(
            lambda: any(said(worker) == "owns partitions []" for worker in workers),
            seconds=30,
            what=lambda: f"one of three owns none of two: {[said(w) for w in workers]}",
        )
        until = time.monotonic() + 2 * STALL_SECONDS
        wait_until(
            lambda: time.monotonic() > until or not all(map(alive, workers)),
            seconds=3 * STALL_SECONDS,
            what="the time is over",
        )
        assert all(map(alive, workers))
    finally:
        for child in children:
            child.stop()


def said(worker: Installation) -> str:
    answer = worker.http("/readyz")
    assert answer is not None
    return str(json.loads(answer[1])["conditions"]["detect"]["detail"])


def alive(worker: Installation) -> bool:
    answer = worker.http("/healthz")
    return answer is not None and answer[0] == 200
