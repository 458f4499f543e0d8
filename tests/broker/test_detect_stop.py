"""How a DETECT worker ends while the brokers are away: in time, and its successor sets it right."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(240)

#: What a pod has from SIGTERM to SIGKILL is 30 s; something of it must be left.
END_SECONDS = 25.0

WINDOW_SECONDS = 5
MODELS = ("a", "b", "c")
EVENTS = 300

SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    "WINDOWS__SECONDS": str(WINDOW_SECONDS),
    "WINDOWS__GRACE_SECONDS": "1",
    "INGEST__FLUSH_SECONDS": "0.2",
    "INGEST__IDLE_SECONDS": "1",
    "INGEST__SESSION_TIMEOUT_SECONDS": "6",
    "DETECT__SESSION_TIMEOUT_SECONDS": "6",
}

Window = tuple[str, int]  # model, start


@contextmanager
def running(installation: Installation, role: str) -> Iterator[Child]:
    child = installation.start("run", "--role", role)
    try:
        yield child
    finally:
        child.kill()


def send(broker: KafkaBroker, installation: Installation, number: int) -> Counter[Window]:
    """Send events of now; return how many there are in each window."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    now = time.time()
    sent: Counter[Window] = Counter()
    for i in range(number):
        model = MODELS[i % len(MODELS)]
        event = {"time": now, "model": model, "version": "1", "features": {}}
        producer.produce(installation.topic("predictions"), json.dumps(event), partition=i % 2)
        sent[model, int(now // WINDOW_SECONDS) * WINDOW_SECONDS] += 1
    assert producer.flush(30) == 0
    return sent


def counted(installation: Installation) -> float:
    """Return how many events a DETECT worker has counted into windows."""
    series = (
        f'tidegauge_events_total{{model="{model}",variant="",version="1"}}' for model in MODELS
    )
    return installation.gauge(*series) or 0.0


def wait_counted(installation: Installation, child: Child, events: float) -> None:
    wait_until(
        lambda: counted(installation) >= events,
        seconds=60,
        what=lambda: f"{events} counted, it is {counted(installation)}\n{child.tail()}",
    )


class Reports:
    """What is on the topic of reports."""

    def __init__(self, broker: KafkaBroker, installation: Installation) -> None:
        self._reader = TopicReader(broker, installation.topic("windows"))

    def latest(self) -> Counter[Window]:
        """Return the events in the latest revision of each window.

        Whatever was sent again must be the same.
        """
        for _ in self._reader.more():
            pass
        contents: dict[str, bytes] = {}
        latest: dict[Window, tuple[int, int]] = {}
        for message in self._reader.messages:
            report = json.loads(message.value())
            assert contents.setdefault(report["id"], message.value()) == message.value()
            window = report["model"], report["window_start"]
            found = report["revision"], report["events"]
            latest[window] = max(latest.get(window, found), found)
        return Counter({window: events for window, (_, events) in latest.items()})

    def close(self) -> None:
        self._reader.close()


@pytest.mark.parametrize(
    ("away", "when"),
    [
        ("killed", "holding what is not saved"),
        ("silent", "holding what is not saved"),
        ("silent", "during a checkpoint"),
    ],
)
def test_a_worker_ends_in_time_though_the_broker_is_away_and_nothing_is_lost(
    tmp_path: Path, redis_url: str, away: str, when: str
) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    checkpoint_seconds = "1000" if when == "holding what is not saved" else "0.5"
    detect = Installation(
        tmp_path / "detect",
        unique("stop"),
        broker.bootstrap_servers,
        redis_url,
        SETTINGS | {"DETECT__CHECKPOINT_SECONDS": checkpoint_seconds},
    )
    ingest = replace(detect, directory=tmp_path / "ingest")
    try:
        detect.create_topics()
        with running(ingest, "ingest") as feeding:
            with running(detect, "detect") as child:
                detect.wait_ready(child)
                ingest.wait_ready(feeding)
                sent = send(broker, detect, EVENTS)
                wait_counted(detect, child, EVENTS)
                go_away(broker, away)
                if when == "during a checkpoint":
                    wait_until(
                        lambda: detect.loop_age("detect") > 2,
                        seconds=30,
                        what=lambda: f"a checkpoint that stands still\n{child.tail()}",
                    )
                began = time.monotonic()
                child.signal(signal.SIGTERM)
                child.process.wait(60)
                seconds = time.monotonic() - began
                assert seconds < END_SECONDS, f"{seconds:.1f} s\n{child.tail()}"
                # It can't say goodbye to brokers that don't answer; it gives up by itself.
                assert child.process.returncode == 1, child.tail()
            come_back(broker, away)
            with running(detect, "detect") as successor:
                detect.wait_ready(successor, seconds=90)
                sent += send(broker, detect, EVENTS)
                reports = Reports(broker, detect)
                wait_until(
                    lambda: reports.latest() == sent,
                    seconds=90,
                    what=lambda: f"{sent}, it is {reports.latest()}\n{successor.tail()}",
                )
                reports.close()
    finally:
        broker.kill()


def go_away(broker: KafkaBroker, away: str) -> None:
    if away == "killed":
        broker.kill()
    else:
        broker.freeze()


def come_back(broker: KafkaBroker, away: str) -> None:
    if away == "killed":
        broker.start()
    else:
        broker.thaw()
