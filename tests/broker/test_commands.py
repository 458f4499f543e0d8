"""The commands beside ``run``, on a real broker and a real Redis."""

import asyncio
import json
import time
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import ConfigResource, ResourceType

from support.hostile import hostile_records, in_unknown_fields
from support.kafka_broker import KafkaBroker, unique
from support.product import Installation, told
from support.wild_headers import send_wild
from tidegauge.contract import encode
from tidegauge.contract.alert import Action, Alert, acknowledge
from tidegauge.contract.cloudevents import wrap
from tidegauge.contract.silence import Silence

T = TypeVar("T")

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"


@pytest.fixture
def installation(tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str) -> Installation:
    return Installation(tmp_path, unique("cmd"), kafka_broker.bootstrap_servers, redis_url)


def example(name: str, kind: type[T]) -> T:
    return msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes(), type=kind)


def example_alert() -> Alert:
    return msgspec.json.decode(
        next(iter(sorted(EXAMPLES.glob("alert.*.json")))).read_bytes(), type=Alert
    )


def test_topics_are_made_once_with_the_compaction_that_recovery_needs(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    assert "made" in installation.succeed("topics", "create")
    again = installation.succeed("topics", "create")
    assert "was there" in again and "made" not in again.replace("tidegauge made", "")
    changelog = ConfigResource(ResourceType.TOPIC, f"{installation.name}-detect-windows-changelog")
    admin = kafka_broker.admin()
    (future,) = admin.describe_configs([changelog]).values()
    config = future.result(10)
    assert config["cleanup.policy"].value == "compact"
    assert int(config["min.compaction.lag.ms"].value) == 120_000
    assert config["message.timestamp.type"].value == "LogAppendTime"


def test_check_names_what_is_missing_and_how_to_mend_it(installation: Installation) -> None:
    before = installation.cli("check", "--json")
    assert before.returncode == 2 and before.stdout, told(before)
    findings = {one["check"]: one for one in json.loads(before.stdout)}
    assert findings["broker"]["problems"] == []
    assert all("tidegauge topics create" in one for one in findings["topics"]["problems"])
    assert len(findings["topics"]["problems"]) == 17
    assert "baseline create" in findings["baselines"]["problems"][0]
    installation.succeed("topics", "create")
    reference = installation.directory / "reference.csv"
    reference.write_text("age,score\n" + "".join(f"{i},{i / 100}\n" for i in range(100)))
    create = ("baseline", "create", "--model", "m", "--version", "1", "--from", str(reference))
    installation.succeed(*create, "--prediction", "score", "--promote")
    assert "✗" not in installation.succeed("check")


def test_check_says_that_nobody_answers(tmp_path: Path) -> None:
    # Ports of the reserved range, where nobody listens.
    nowhere = Installation(tmp_path, "nowhere", "127.0.0.1:1", "redis://127.0.0.1:1/0")
    began = time.monotonic()
    done = nowhere.cli("check", seconds=90)
    assert time.monotonic() - began < 25, "each check waited for an answer of its own"
    assert done.returncode == 3, told(done)
    assert "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS" in done.stdout


def test_alerts_are_shown_once_however_often_they_were_sent(installation: Installation) -> None:
    installation.succeed("topics", "create")
    alert = example_alert()
    other = msgspec.structs.replace(alert, id="other")
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
    for one in (alert, alert, other):
        producer.produce(installation.topic("alerts_history"), encode(one), one.fingerprint)
    assert producer.flush(10) == 0
    tail = ("alerts", "tail", "--from-beginning", "-n", "2")
    shown = [json.loads(line) for line in installation.succeed(*tail, "--json").splitlines()]
    assert [one["id"] for one in shown] == [alert.id, "other"]
    assert alert.summary.split(",")[0] in installation.succeed(*tail)


def test_what_fires_is_listed_and_each_alert_can_be_looked_at(installation: Installation) -> None:
    installation.succeed("topics", "create")
    first = example_alert()
    resolved = msgspec.structs.replace(first, id="1resolved", state="resolved", ends_at=1)
    other = msgspec.structs.replace(first, id="2other", fingerprint="g", model="shop")
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
    for one in (first, other, resolved):
        for mode, kind in (("binary", "alerts"), ("structured", "alerts_history")):
            value, headers = wrap(one, "/test", mode)
            producer.produce(installation.topic(kind), value, one.fingerprint, headers=headers)
    # As somebody does who takes an alert of a model that is gone out of the list.
    producer.produce(installation.topic("alerts"), None, "gone")
    assert producer.flush(10) == 0

    def listed(*options: str) -> list[str]:
        lines = installation.succeed("alerts", "list", "--json", *options).splitlines()
        return [json.loads(line)["id"] for line in lines]

    assert listed() == ["2other"]
    assert listed("--all") == ["2other", "1resolved"]
    assert listed("--all", "--model", first.model) == ["1resolved"]
    assert "2other" in installation.succeed("alerts", "list")
    shown = installation.succeed("alerts", "show", first.id[:6])
    assert first.rule in shown and first.baseline in shown and first.distribution is not None
    for label in first.distribution.bins:
        assert label in shown
    assert json.loads(installation.succeed("alerts", "show", "1res", "--json"))["ends_at"] == 1
    missing = installation.cli("alerts", "show", "zzz")
    assert missing.returncode == 2 and "no alert zzz" in missing.stderr


def test_records_that_are_none_are_skipped_and_named_once_by_every_command(
    installation: Installation,
) -> None:
    installation.succeed("topics", "create")
    alert, action = example_alert(), example("action.retrain", Action)
    silence = example("silence.two-hours", Silence)
    said = acknowledge(action, "taken", actor="ana", time=1_772_367_000.0, note="")
    sound = {"alerts": alert, "alerts_history": alert, "silences": silence, "actions": action,
             "acknowledgements": said}  # fmt: skip
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
    number = {}
    for kind, record in sound.items():
        hostile = [it for it in hostile_records(encode(record)) if it is not None]
        number[kind] = len(hostile)
        garbage = in_unknown_fields(encode(record))
        for n, value in enumerate([*hostile, *garbage, encode(record)]):
            producer.produce(installation.topic(kind), value, b"%d" % n, partition=0)
    assert producer.flush(10) == 0
    asyncio.run(
        send_wild(installation.bootstrap_servers, installation.topic("alerts"), 0, encode(alert))
    )

    def skipped(*arguments: str) -> str:
        done = installation.cli(*arguments)
        assert done.returncode == 0, told(done)
        assert "Traceback" not in done.stderr
        skipping = [line for line in done.stderr.splitlines() if "skipped" in line]
        assert len(skipping) == len(done.stderr.splitlines()), told(done)
        return done.stderr

    listed = ("alerts", "list", "--all", "--json")
    assert json.loads(installation.succeed(*listed))["id"] == alert.id
    [line] = skipped(*listed).splitlines()
    assert f"{number['alerts'] + number['silences']} records were skipped" in line
    assert f"{installation.topic('alerts')}/0 at offset 0" in line
    assert "more" in line
    for arguments, kinds in (
        (("alerts", "list"), ("alerts", "alerts_history", "silences")),
        (("alerts", "silences", "--all"), ("silences",)),
        (("alerts", "show", alert.id), ("alerts_history", "silences")),
        (("alerts", "silence", "--model", "m", "--reason", "r"), ("alerts_history",)),
        (("actions", "list", "--json"), ("actions", "acknowledgements")),
    ):
        [line] = skipped(*arguments).splitlines()
        assert f"{sum(number[kind] for kind in kinds)} records were skipped" in line, line
    lines = skipped("alerts", "tail", "--from-beginning", "-n", "1").splitlines()
    assert len(lines) == number["alerts_history"]
    assert f"{installation.topic('alerts_history')}/0 at offset 0 is skipped" in lines[0]
