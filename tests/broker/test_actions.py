"""``tidegauge actions``: what was asked for, and what became of it, on a real broker."""

import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support.kafka_broker import KafkaBroker, unique
from support.product import Installation
from tidegauge.contract import encode
from tidegauge.contract.alert import Action, acknowledge

pytestmark = pytest.mark.timeout(120)


def action(
    id: str, kind: str = "retrain", model: str = "credit", reason: str = "credit has drifted"
) -> Action:
    return Action(
        id=id, kind=kind, alert="b", rule="drift", model=model, version="3", variant="",
        requested_at=1_772_366_460, reason=reason, data=None,
    )  # fmt: skip


@pytest.fixture
def installation(tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str) -> Installation:
    one = Installation(tmp_path, unique("actions"), kafka_broker.bootstrap_servers, redis_url)
    one.create_topics()
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
    asked = [
        action("abc1"),
        action("abc2", "rollback", reason="credit 3: drift of age"),
        action("dea1", model="shop", reason="shop 3 is slow, 500 ms"),
    ]
    for sent in (*asked, asked[0]):  # an action may be sent twice
        producer.produce(one.topic("actions"), encode(sent))
    failed = acknowledge(asked[0], "failed", actor="trainer", time=1.0, note="no labels yet")
    for _ in range(2):
        producer.produce(one.topic("acknowledgements"), encode(failed))
    assert producer.flush(30) == 0
    return one


def listed(installation: Installation, *options: str) -> list[tuple[str, list[str]]]:
    lines = installation.succeed("actions", "list", "--json", *options).splitlines()
    return [
        (one["action"]["id"], [said["outcome"] for said in one["acknowledgements"]])
        for one in map(json.loads, lines)
    ]


def test_an_action_is_listed_once_with_what_became_of_it_as_somebody_said(
    installation: Installation,
) -> None:
    assert listed(installation) == [("abc1", ["failed"]), ("abc2", []), ("dea1", [])]
    assert listed(installation, "--open", "--model", "credit") == [("abc2", [])]
    done = installation.succeed("actions", "ack", "abc1", "--note", "by hand", "--actor", "ann")
    assert done == "retrain of credit 3: taken\n"
    assert listed(installation, "--model", "credit")[0] == ("abc1", ["failed", "taken"])
    table = installation.succeed("actions", "list")
    assert "taken by ann: by hand" in table and "credit has drifted" in table
    assert {"2026-03-01", "12:01:00Z"} <= set(table.split())
    for reason in ("credit 3: credit has drifted", "credit 3: drift of age", "shop 3 is slow, 500"):
        assert f"  {reason}" in table
    assert table.count("shop 3") == 1
    for id, said in (("abc", "2 actions begin with abc"), ("zzz", "there is no action zzz")):
        refused = installation.cli("actions", "ack", id)
        assert refused.returncode == 2
        assert said in refused.stderr
