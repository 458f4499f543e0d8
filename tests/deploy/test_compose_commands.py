"""The one-shot services of docker-compose.yml, run for real: topics made, baseline in force."""

import os
import sys
from pathlib import Path

import pytest

from support.deployment import ROOT, read_yaml, run
from support.kafka_broker import KafkaBroker
from support.redis_server import RedisServer
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.config.settings import Settings
from tidegauge.kafka.topics import topic_specs

SERVICES = read_yaml("docker-compose.yml")["services"]


def _run(name, addresses):
    """Run a service's command with what its container would have, at other addresses."""
    service = SERVICES[name]
    mounts = dict(volume.split(":")[:2][::-1] for volume in service.get("volumes", []))
    replaced = {**addresses, **{inside: str(ROOT / path) for inside, path in mounts.items()}}

    def here(text):
        for inside, outside in replaced.items():
            text = text.replace(inside, outside)
        return text

    programs = Path(sys.executable).parent
    return run(
        *service.get("entrypoint", [programs / "tidegauge"]),
        *map(here, service["command"]),
        env={
            **{key: here(value) for key, value in service["environment"].items()},
            "PATH": f"{programs}:{os.environ['PATH']}",
        },
    )


def test_the_topics_service_makes_every_topic_and_can_be_run_again(tmp_path):
    broker = KafkaBroker(tmp_path / "kafka")
    try:
        broker.start()
        for _ in range(2):
            made = _run("topics", {"kafka:9092": broker.bootstrap_servers})
            assert made.returncode == 0, made.stdout + made.stderr
        found = broker.admin().list_topics(timeout=10)
    finally:
        broker.stop()
    assert {spec.name for spec in topic_specs(Settings())} <= found.topics.keys()


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_the_baseline_service_puts_a_baseline_of_the_demo_model_in_force(tmp_path, redis):
    addresses = {"redis://redis:6379/0": redis.url, "/tmp/": f"{tmp_path}/"}  # noqa: S108
    made = _run("baseline", addresses)
    assert made.returncode == 0, made.stdout + made.stderr
    store = BaselineStore(redis.url, password=None, prefix=Settings().redis.prefix)
    try:
        ((key, pointer),) = store.promoted().items()
        baseline = store.get(pointer.id)
    finally:
        store.close()
    assert {"credit", "1"} == {baseline.model, baseline.version}, key
    assert baseline.rows == 20_000
    assert {"income", "age", "debt_ratio", "job", "prediction"} <= baseline.signals.keys()
    assert set(baseline.signals["job"].categories) == {
        "employed",
        "self-employed",
        "student",
        "retired",
    }
