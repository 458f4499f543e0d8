"""An installation whose windows are of a second, and traffic that is held against its reports."""

import json
import time
from collections import defaultdict
from typing import Any, Self

from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation

#: Windows of a second that close soon, so that a test sees reports at once.
QUICK = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    "WINDOWS__SECONDS": "1",
    "WINDOWS__GRACE_SECONDS": "0",
    "INGEST__IDLE_SECONDS": "1",
    "INGEST__FLUSH_SECONDS": "0.2",
    "REDIS__REFRESH_SECONDS": "0.5",
}


class Traffic:
    """Sends events of model ``m`` and reads back what was reported of them."""

    def __init__(self, broker: KafkaBroker, installation: Installation) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "acks": "all",
                "linger.ms": 0,
                "log_level": 2,  # a broker that goes away is part of the test
            }
        )
        self._topic = installation.topic("predictions")
        self._reports = TopicReader(broker, installation.topic("windows"))
        self.sent = 0

    def send(self, events: int = 10) -> float:
        """Send events that happen now; return that time, epoch seconds."""
        now = time.time()
        for i in range(events):
            event = {"time": now, "model": "m", "version": "1", "features": {"x": i % 4}}
            self._producer.produce(self._topic, json.dumps(event), partition=i % 2)
        assert self._producer.flush(30) == 0
        self.sent += events
        return now

    def windows(self) -> dict[int, dict[str, int]]:
        """Return the events of each window by baseline id, from the latest revisions."""
        for _ in self._reports.more():
            pass
        latest: dict[int, dict[str, Any]] = {}
        for message in self._reports.messages:
            report = json.loads(message.value())
            start = report["window_start"]
            if start not in latest or latest[start]["revision"] < report["revision"]:
                latest[start] = report
        found: dict[int, dict[str, int]] = {}
        for start, report in latest.items():
            events: dict[str, int] = defaultdict(int)
            for part in report["parts"]:
                events[part["baseline"]] += part["events"]
            found[start] = dict(events)
        return found

    def by_baseline(self) -> dict[str, int]:
        """Return all events by baseline id."""
        total: dict[str, int] = defaultdict(int)
        for parts in self.windows().values():
            for baseline, events in parts.items():
                total[baseline] += events
        return dict(total)

    def wait_until_reported(self, child: Child, by_baseline: dict[str, int]) -> None:
        def reported() -> bool:
            child.check_alive()
            return self.by_baseline() == by_baseline

        wait_until(
            reported,
            seconds=40,
            what=lambda: f"events {by_baseline}, it is {self.by_baseline()}\n{child.tail()}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reports.close()


def readiness(installation: Installation) -> tuple[int, dict[str, Any]]:
    answer = installation.http("/readyz")
    assert answer is not None, "nobody answers at /readyz"
    return answer[0], json.loads(answer[1])
