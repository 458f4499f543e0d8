"""Events and labels go in, and the topic of outcomes has each of them once, though workers die."""

import base64
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xxhash
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from support.baselines import small_baseline
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from support.product import Installation
from tidegauge.baseline import BaselineOutcomes
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.contract.outcome_cell import BinaryCounts
from tidegauge.contract.receipt import receipt_writer
from tidegauge.contract.target import BinaryTarget
from tidegauge.outcomes.packed import LABEL, PREDICTION

pytestmark = pytest.mark.timeout(240)

TARGET = BinaryTarget(positive="1", negative="0", threshold=0.5)
EVENTS, LABELS, BAD = 900, 600, 5
DONE = tuple(f'tidegauge_ingest_events_total{{path="{path}"}}' for path in ("native", "tolerant"))
ROUTED = tuple(
    f'tidegauge_label_router_labels_total{{named="{named}"}}' for named in ("id", "prediction")
)


def _hash(id: str) -> int:
    return xxhash.xxh3_64_intdigest(id.encode())


def _events(now: float) -> list[str]:
    return [
        json.dumps(
            {
                "time": now, "model": "credit", "version": "1", "id": f"id {i}",
                "prediction": i / EVENTS, "segments": {"region": "EU" if i % 2 else "US"},
                "latency_ms": "odd" if i % 50 == 0 else 1.5,
            }
        )
        for i in range(EVENTS)
    ]  # fmt: skip


def _labels(now: float) -> list[str]:
    write = receipt_writer(None)
    found = []
    for i in range(LABELS):
        receipt = write("credit", "1", "", now, i / EVENTS, None, {"region": "EU"}, f"id {i}")
        named = {"receipt": receipt} if i % 3 == 0 else {"id": f"id {i}"}
        found.append(json.dumps({**named, "actual": i % 2}))
    return found


def _send(broker: KafkaBroker, topic: str, values: list[str]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 2})
    for i, value in enumerate(values):
        producer.produce(topic, value, partition=i % 2)
    assert producer.flush(30) == 0


def test_every_prediction_and_label_is_routed_once_by_workers_that_are_killed(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    one = Installation(
        tmp_path,
        unique("routing"),
        kafka_broker.bootstrap_servers,
        redis_url,
        {
            "TOPICS__PREDICTIONS_PARTITIONS": "2",
            "TOPICS__LABELS_PARTITIONS": "2",
            "TOPICS__OUTCOMES_PARTITIONS": "3",
            "TOPICS__DETECT_PARTITIONS": "1",
            "INGEST__FLUSH_SECONDS": "0.1",
            "INGEST__SESSION_TIMEOUT_SECONDS": "6",
            "INGEST__SEGMENTS": '["region"]',
        },
    )
    one.create_topics()
    outcomes = BaselineOutcomes(target=TARGET, predicted=0, labelled=0, performance=BinaryCounts())
    baseline = replace(small_baseline(), outcomes=outcomes)
    store = BaselineStore(redis_url, prefix=one.name)
    store.put(baseline)
    store.promote(baseline.model, baseline.version, baseline.id, now=time.time())
    store.close()
    now = int(time.time()) - 30.0
    events, labels = _events(now), _labels(now)
    child = one.start("run", "--role", "ingest")
    try:
        one.wait_ready(child)
        half = EVENTS // 2
        _send(kafka_broker, one.topic("predictions"), events[:half])
        _send(kafka_broker, one.topic("labels"), [*labels[: LABELS // 2], *["{"] * BAD])
        wait_until(
            lambda: (one.gauge(*DONE) or 0) > 0 and (one.gauge(*ROUTED) or 0) > 0,
            seconds=60,
            what=lambda: f"something is committed\n{child.tail()}",
        )
        child.kill()
        _send(kafka_broker, one.topic("predictions"), events[half:])
        _send(kafka_broker, one.topic("labels"), labels[LABELS // 2 :])
        child = one.start("run", "--role", "ingest")
        one.wait_ready(child)
        _wait_for_all(one, kafka_broker, events=EVENTS, labels=LABELS)
        _assert_labels_may_be_gone(one, kafka_broker, now)
        assert child.stop() == 0, child.tail()
    finally:
        child.stop()


def _read(broker: KafkaBroker, topic: str) -> list[tuple[int, dict]]:
    reader = TopicReader(broker, topic)
    try:
        return [(it.partition(), json.loads(it.value())) for it in reader.more()]
    finally:
        reader.close()


def _wait_for_all(one: Installation, broker: KafkaBroker, *, events: int, labels: int) -> None:
    predicted, found_events, found_labels = 0, Counter(), Counter()

    def all_there() -> bool:
        nonlocal predicted, found_events, found_labels
        predicted, found_events, found_labels = 0, Counter(), Counter()
        for partition, record in _read(broker, one.topic("outcomes")):
            rows = np.frombuffer(base64.b64decode(record.get("entries", "")), PREDICTION)
            assert set((rows["id"] % 3).tolist()) <= {partition}
            for id, value, at, code, stratum in rows.tolist():
                region = record["strata"][stratum]["groups"]["region"]
                found_events[id, value, at, code, region] += 1
            for its in record.get("predicted", ()):
                predicted += sum(its["counts"]["counts"])
            rows = np.frombuffer(base64.b64decode(record.get("labels", "")), LABEL)
            assert set((rows["id"] % 3).tolist()) <= {partition}
            for row in rows[["id", "actual", "flags"]].tolist():
                found_labels[row] += 1
        return found_events.total() >= events and found_labels.total() >= labels

    wait_until(
        all_there,
        seconds=60,
        what=lambda: f"{found_events.total()} events, {found_labels.total()} labels are there",
    )
    sent = [json.loads(it) for it in _events(0)]
    assert {(id, value, region): n for (id, value, _, _, region), n in found_events.items()} == {
        (_hash(it["id"]), it["prediction"], it["segments"]["region"]): 1 for it in sent
    }
    assert predicted == events
    assert found_labels == {
        (_hash(f"id {i}"), float(i % 2), 2 if i % 3 == 0 else 0): 1 for i in range(labels)
    }
    letters = [record for _, record in _read(broker, one.topic("dead_letters"))]
    assert Counter(it["reason"] for it in letters) == {"invalid_json": BAD}
    assert {it["topic"] for it in letters} == {one.topic("labels")}


def _assert_labels_may_be_gone(one: Installation, broker: KafkaBroker, now: float) -> None:
    """Without its topic the router reports so, and predictions are counted on."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    before = one.gauge(*DONE)
    assert before is not None
    admin.delete_topics([one.topic("labels")], operation_timeout=30)[one.topic("labels")].result(30)
    wait_until(
        lambda: _condition(one)[0] == "degraded",
        seconds=60,
        what=lambda: f"the router is degraded, it is {_condition(one)}",
    )
    _send(broker, one.topic("predictions"), _events(now)[:10])
    wait_until(
        lambda: one.gauge(*DONE) == before + 10,
        seconds=30,
        what=lambda: f"{before + 10} events counted, it is {one.gauge(*DONE)}",
    )
    answer = one.http("/readyz")
    assert answer is not None
    assert answer[0] == 200
    one.create_topics()
    _send(broker, one.topic("labels"), _labels(now)[:4])
    routed = one.gauge(*ROUTED)
    assert routed is not None
    wait_until(
        lambda: (one.gauge(*ROUTED) or 0) == routed + 4,
        seconds=60,
        what=lambda: f"four labels of the new topic, {one.gauge(*ROUTED)} after {routed}",
    )


def _condition(one: Installation) -> tuple[str, str]:
    answer = one.http("/readyz")
    its = json.loads(answer[1])["conditions"]["labels"] if answer else {}
    return its.get("state", ""), its.get("detail", "")
