"""A baseline as large as they get, and some that can't be used, beside one that is neither."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from confluent_kafka import Producer

from support.counting import categorical, numeric
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation
from tidegauge.baseline.document import Baseline, Signal
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.baseline.validation import MAX_DOCUMENT_BYTES

pytestmark = pytest.mark.timeout(240)

SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "1",
    "TOPICS__DETECT_PARTITIONS": "1",
    "INGEST__FLUSH_SECONDS": "0.2",
    "INGEST__IDLE_SECONDS": "1",
    "WINDOWS__SECONDS": "1",
    "WINDOWS__GRACE_SECONDS": "1",
    "DETECT__CHECKPOINT_SECONDS": "0.5",
}

#: What the model is promoted with, by its name.
SOUND = ("wide", "small")
REFUSED = ("overflowing", "too-large", "mistaken")


def _baseline(model: str, signals: dict[str, Signal]) -> Baseline:
    return Baseline(model=model, version="1", rows=1_000, source="hand", signals=signals)


def _wide() -> Baseline:
    """Return a baseline that is just below the limit, and whose memory is no single record."""
    features: dict[str, Signal] = {
        f"f{i}": numeric([float(edge) for edge in range(26)], [30] * 27) for i in range(1_500)
    }
    known = [f"{i:06}" + "x" * 90 for i in range(79_000)]
    return _baseline("wide", features | {"text": categorical("string", ["a"], known)})


def _refused(model: str) -> bytes:
    if model == "too-large":
        known = [f"{i:06}" + "x" * 990 for i in range(12_000)]
        return _baseline(model, {"text": categorical("string", ["a"], known)}).to_json()
    if model == "mistaken":
        return _baseline(model, {"prediction": categorical("string", ["a"])}).to_json()
    whole = _baseline(model, {"amount": numeric([0.0], [1, 77777])}).to_json()
    return whole.replace(b"77777", b"%d" % (2**63 - 1))


@pytest.fixture
def installation(
    kafka_broker: KafkaBroker, empty_redis_url: str, tmp_path: Path
) -> Iterator[Installation]:
    its = Installation(
        tmp_path, unique("large"), kafka_broker.bootstrap_servers, empty_redis_url, SETTINGS
    )
    its.create_topics()
    store = BaselineStore(empty_redis_url, prefix=its.name)
    for baseline in (_wide(), _baseline("small", {"amount": numeric([0.0], [500, 500])})):
        store.promote(baseline.model, "1", store.put(baseline), now=time.time())
    with redis.Redis.from_url(empty_redis_url) as client:
        for model in REFUSED:
            document = _refused(model)
            id = hashlib.sha256(document).hexdigest()
            client.set(f"{its.name}:baseline:doc:{id}", document)
            pointer = msgspec.json.encode({"id": id, "promoted_at": 1.0, "previous": None})
            client.hset(f"{its.name}:baseline:promoted", msgspec.json.encode((model, "1")), pointer)
    store.close()
    yield its


class Traffic:
    """Events of every model, and the reports of them."""

    def __init__(self, broker: KafkaBroker, installation: Installation) -> None:
        self._installation = installation
        self.sent = 0
        self._producer = Producer(
            {"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "log_level": 2}
        )
        self._reports = TopicReader(broker, installation.topic("windows"))

    def send(self, events: int) -> None:
        for _ in range(events):
            for model in (*SOUND, *REFUSED):
                event = {
                    "time": time.time(),
                    "model": model,
                    "version": "1",
                    "features": {"amount": 1.0, "f0": 3.0},
                }
                self._producer.produce(self._installation.topic("predictions"), json.dumps(event))
        assert self._producer.flush(30) == 0
        self.sent += events

    def reported(self) -> dict[str, int]:
        """Return how many events of each model are in the last revisions of its reports."""
        events: dict[tuple[str, int], tuple[int, int]] = {}
        for report in self.reports():
            key = (report["model"], report["window_start"])
            events[key] = max(events.get(key, (0, 0)), (report["revision"], report["events"]))
        found: dict[str, int] = dict.fromkeys((*SOUND, *REFUSED), 0)
        for (model, _), (_, counted) in events.items():
            found[model] += counted
        return found

    def reports(self) -> list[dict]:  # type: ignore[type-arg]
        for _ in self._reports.more():
            pass
        return [json.loads(message.value()) for message in self._reports.messages]

    def wait_reported(self, child: Child) -> None:
        wait_until(
            lambda: set(self.reported().values()) == {self.sent},
            seconds=60,
            what=lambda: f"{self.sent} events of each, it is {self.reported()}\n{child.tail()}",
        )


def test_neither_the_largest_baseline_nor_those_that_cant_be_used_harm_a_model(
    kafka_broker: KafkaBroker, installation: Installation
) -> None:
    traffic = Traffic(kafka_broker, installation)
    worker = installation.start("run")
    installation.wait_ready(worker)
    traffic.send(20)
    traffic.wait_reported(worker)
    changelog = f"{installation.name}-detect-windows-changelog"
    saved = TopicReader(kafka_broker, changelog)

    def parts_of(kind: bytes) -> set[bytes]:
        for _ in saved.more():
            pass
        return {m.key() for m in saved.messages if m.key().startswith(b'["part",["%b"' % kind)}

    wait_until(
        lambda: len(parts_of(b"baseline")) > 7 and len(parts_of(b"memory")) > 2,
        seconds=20,
        what=lambda: f"the large values in parts, there are {parts_of(b'')}\n{worker.tail()}",
    )
    worker.kill()
    worker = installation.start("run")
    installation.wait_ready(worker)
    traffic.send(20)
    traffic.wait_reported(worker)
    worker.check_alive()

    for report in traffic.reports():
        [part] = report["parts"]
        assert bool(part["baseline"]) == (report["model"] in SOUND)
    answer = installation.http("/readyz")
    assert answer is not None and answer[0] == 200
    said = json.loads(answer[1])["conditions"]["baselines"]
    assert said["state"] == "degraded"
    wait_until(
        lambda: installation.gauge("tidegauge_baselines_unusable") == len(REFUSED),
        seconds=20,
        what=lambda: f"{REFUSED} counted as unusable\n{worker.tail()}",
    )
    checked = installation.cli("check", "--json")
    assert checked.returncode == 2
    [found] = [it for it in json.loads(checked.stdout) if it["check"] == "baselines"]
    assert len(found["problems"]) == len(REFUSED)
    for model in REFUSED:
        assert f"model '{model}' version '1'" in said["detail"]
        assert any(f"model '{model}' version '1'" in problem for problem in found["problems"])
    assert worker.stop() == 0


def test_the_largest_baseline_is_what_it_says() -> None:
    assert 0.95 * MAX_DOCUMENT_BYTES < len(_wide().to_json()) < MAX_DOCUMENT_BYTES
