"""An INGEST worker that stands still while events wait is not alive, and says why."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from support import blocked_worker
from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, wait_until
from support.product import Installation

pytestmark = pytest.mark.timeout(120)

STALL_SECONDS = 3.0
SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    "INGEST__FLUSH_SECONDS": "0.2",
    "HEALTH__STALL_SECONDS": str(STALL_SECONDS),
}


@pytest.fixture
def installation(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> Iterator[Installation]:
    one = Installation(
        tmp_path, unique("health"), kafka_broker.bootstrap_servers, redis_url, SETTINGS
    )
    one.create_topics()
    yield one


def a_producer(broker: KafkaBroker, **config: Any) -> Producer:
    return Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"} | config)


def send(producer: Producer, installation: Installation, events: int) -> None:
    event = {"time": time.time(), "model": "m", "version": "1", "features": {}}
    for i in range(events):
        producer.produce(installation.topic("predictions"), json.dumps(event), partition=i % 2)
    assert producer.flush(30) == 0


def liveness(installation: Installation) -> tuple[int, dict[str, str]]:
    answer = installation.http("/healthz")
    assert answer is not None, "nobody answers at /healthz"
    return answer[0], json.loads(answer[1])["stalled"]


def test_a_worker_whose_counting_is_blocked_fails_its_probe_until_it_moves_on(
    installation: Installation, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    child = Child(
        [sys.executable, blocked_worker.__file__, str(blocked), "run", "--role", "ingest"],
        log=tmp_path / "run.log",
        env=installation.environment(),
        cwd=tmp_path,
    )
    try:
        installation.wait_ready(child)
        producer = a_producer(kafka_broker)
        send(producer, installation, 10)
        installation.wait_counted(child, 10)
        assert liveness(installation) == (200, {})
        blocked.touch()
        send(producer, installation, 20)
        wait_until(
            lambda: liveness(installation)[0] == 503,
            seconds=STALL_SECONDS + 20,
            what=lambda: f"/healthz is 503, it is {liveness(installation)}\n{child.tail()}",
        )
        reason = liveness(installation)[1]["ingest"]
        assert reason.startswith("partitions ["), reason
        assert " have a lag of " in reason and " and nothing was counted for " in reason
        blocked.unlink()
        installation.wait_counted(child, 30)
        assert liveness(installation) == (200, {})
        assert child.stop() == 0, child.tail()
    finally:
        child.stop()


def test_records_that_nobody_may_read_are_no_lag(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    child = installation.start("run", "--role", "ingest")
    try:
        installation.wait_ready(child)
        producer = a_producer(
            kafka_broker, **{"transactional.id": unique("t"), "transaction.timeout.ms": 60_000}
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        send(producer, installation, 4)
        producer.commit_transaction(30)
        installation.wait_counted(child, 4)
        for finished in (True, False):
            producer.begin_transaction()
            send(producer, installation, 6)
            if finished:
                producer.abort_transaction(30)
            until = time.monotonic() + 2 * STALL_SECONDS
            wait_until(
                # For all of this time, and not only at its end.
                lambda until=until: (
                    (liveness(installation) == (200, {}) and time.monotonic() > until)
                    or liveness(installation)[0] == 503
                ),
                seconds=3 * STALL_SECONDS,
                what="the time is over",
            )
            assert liveness(installation) == (200, {}), child.tail()
        producer.commit_transaction(30)
        installation.wait_counted(child, 10)
    finally:
        child.stop()


def test_an_outage_of_the_brokers_is_no_stall(tmp_path: Path, redis_url: str) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    # Longer than a flush waits before it is given up; what comes after must not count either.
    one = Installation(
        tmp_path / "installation",
        unique("outage"),
        broker.bootstrap_servers,
        redis_url,
        SETTINGS | {"HEALTH__STALL_SECONDS": "16"},
    )
    one.create_topics()
    child = one.start("run", "--role", "ingest")
    try:
        one.wait_ready(child)
        producer = a_producer(broker, log_level=0)
        send(producer, one, 10)
        one.wait_counted(child, 10)
        send(producer, one, 10)
        broker.kill()
        until = time.monotonic() + 22
        wait_until(
            lambda: time.monotonic() > until or liveness(one)[0] == 503,
            seconds=60,
            what="the time is over",
        )
        assert liveness(one) == (200, {}), child.tail()
        broker.start()
        one.wait_counted(child, 20)
        assert child.stop() == 0, child.tail()
    finally:
        child.stop()
        broker.stop()
