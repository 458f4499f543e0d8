"""How an INGEST worker ends: at once, with everything committed, whatever the brokers do."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(180)

#: What a pod has from SIGTERM to SIGKILL is 30 s; something of it must be left.
END_SECONDS = 25.0

SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    # If it were not for leaving, the group would notice after a minute.
    "INGEST__SESSION_TIMEOUT_SECONDS": "60",
}


def install(directory: Path, broker: KafkaBroker, redis_url: str, **extra: str) -> Installation:
    one = Installation(
        directory, unique("stop"), broker.bootstrap_servers, redis_url, SETTINGS | extra
    )
    one.create_topics()
    return one


@contextmanager
def running(installation: Installation) -> Iterator[Child]:
    child = installation.start("run", "--role", "ingest")
    try:
        yield child
    finally:
        child.kill()


def end(child: Child) -> tuple[int, float]:
    """Ask a worker to end; return its exit code and the seconds it took."""
    began = time.monotonic()
    child.signal(signal.SIGTERM)
    code = child.process.wait(60)
    return code, time.monotonic() - began


def send(broker: KafkaBroker, installation: Installation, events: int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    event = {"time": time.time(), "model": "m", "version": "1", "features": {}}
    for i in range(events):
        producer.produce(installation.topic("predictions"), json.dumps(event), partition=i % 2)
    assert producer.flush(30) == 0


def owned(installation: Installation) -> str:
    answer = installation.http("/readyz")
    detail = "" if answer is None else json.loads(answer[1])["conditions"]["ingest"]["detail"]
    return str(detail)


def wait_until_owned(installation: Installation, child: Child, what: str, seconds: float) -> None:
    wait_until(
        lambda: what in owned(installation),
        seconds=seconds,
        what=lambda: f"{what}, it is {owned(installation)}\n{child.tail()}",
    )


def wait_until_taken(installation: Installation, child: Child, events: int) -> None:
    """Wait until a worker holds that many events that are not committed: its probe says so."""

    def taken() -> bool:
        answer = installation.http("/healthz")
        return answer is not None and f"a lag of {events} events" in answer[1]

    wait_until(
        taken,
        seconds=30,
        what=lambda: f"{events} taken, it is {installation.http('/healthz')}\n{child.tail()}",
    )


def committed(broker: KafkaBroker, installation: Installation) -> list[int]:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": installation.environment()["TIDEGAUGE_INGEST__GROUP_ID"],
        }
    )
    try:
        topic = installation.topic("predictions")
        found = consumer.committed([TopicPartition(topic, p) for p in (0, 1)], timeout=30)
        return [at.offset for at in found]
    finally:
        consumer.close()


def test_a_worker_that_is_asked_to_end_commits_what_it_holds(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    # It never flushes by itself, so what is committed was committed on leaving.
    extra = {"INGEST__FLUSH_SECONDS": "1000", "HEALTH__STALL_SECONDS": "1"}
    one = install(tmp_path, kafka_broker, redis_url, **extra)
    with running(one) as child:
        wait_until_owned(one, child, "owns partitions [0, 1]", 60)
        send(kafka_broker, one, 100)
        wait_until_taken(one, child, 100)
        code, seconds = end(child)
        assert code == 0, child.tail()
        assert seconds < 10
    assert committed(kafka_broker, one) == [50, 50]


def test_the_partitions_of_a_worker_that_ends_move_at_once(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    first = install(tmp_path / "first", kafka_broker, redis_url)
    second = replace(
        first,
        directory=tmp_path / "second",
        extra={**SETTINGS, "INGEST__TRANSACTIONAL_ID": f"{first.name}-ingest-1"},
    )
    with running(first) as one, running(second) as other:
        for installation, child in ((first, one), (second, other)):
            wait_until(
                lambda installation=installation: (
                    owned(installation) in ("owns partitions [0]", "owns partitions [1]")
                ),
                seconds=60,
                what=lambda child=child: f"each owns one partition\n{child.tail()}",
            )
        code, seconds = end(one)
        assert code == 0, one.tail()
        assert seconds < 10
        wait_until_owned(second, other, "owns partitions [0, 1]", 10)
        assert end(other)[0] == 0, other.tail()


@pytest.mark.parametrize(
    ("away", "when"),
    [("silent", "at once"), ("killed", "during a flush"), ("silent", "while it tries again")],
)
def test_a_worker_ends_in_time_though_the_broker_does_not_answer(
    tmp_path: Path, redis_url: str, away: str, when: str
) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    try:
        flush_seconds = "1000" if when == "at once" else "0.2"
        extra = {"INGEST__FLUSH_SECONDS": flush_seconds, "HEALTH__STALL_SECONDS": "1"}
        one = install(tmp_path / "installation", broker, redis_url, **extra)
        with running(one) as child:
            wait_until_owned(one, child, "owns partitions [0, 1]", 60)
            send(broker, one, 100)
            if when == "at once":
                wait_until_taken(one, child, 100)
            if away == "killed":
                broker.kill()
            else:
                broker.freeze()
            if when == "while it tries again":
                child.wait_for_output("rejoining", seconds=60)
            elif when == "during a flush":
                wait_until(
                    lambda: one.loop_age("ingest") > 2,
                    seconds=30,
                    what=lambda: f"a flush\n{child.tail()}",
                )
            code, seconds = end(child)
            assert code == 0, child.tail()
            assert seconds < END_SECONDS, child.tail()
    finally:
        broker.kill()
