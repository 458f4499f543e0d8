"""Silencing, acknowledging and following alerts, and the audit trail of it, on a real broker."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from support.alerts import example_alert
from support.audit_trail import ACTION, facts
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import wait_until
from support.product import Installation
from tidegauge.cli.app import app
from tidegauge.config.sections import KafkaSettings, TopicSettings
from tidegauge.config.settings import Settings
from tidegauge.contract import encode
from tidegauge.contract.alert import Alert
from tidegauge.contract.audit import AuditRecord
from tidegauge.contract.silence import Silence
from tidegauge.roles.active_config import ActiveConfig, ConfigPublisher
from tidegauge.telemetry.health import Health, RecordFaults
from tidegauge.telemetry.metrics import record_metrics

pytestmark = pytest.mark.timeout(240)


class Here(Installation):
    """Runs commands inside the process of the test, which spares the start of one for each."""

    def succeed(self, *arguments: str, seconds: float = 60) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, f"tidegauge {' '.join(arguments)}\n{done.output}"
        return done.stdout

    def refuse(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.output
        return done.stderr


@pytest.fixture
def installation(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Here:
    one = Here(tmp_path, unique("said"), kafka_broker.bootstrap_servers, redis_url)
    for name, value in one.environment().items():
        if name.startswith("TIDEGAUGE_") or name == "COLUMNS":
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    one.succeed("topics", "create")
    return one


def send(installation: Here, topic: str, *records: tuple[str, msgspec.Struct]) -> None:
    producer = Producer(
        {"bootstrap.servers": installation.bootstrap_servers, "partitioner": "murmur2_random"}
    )
    for key, record in records:
        producer.produce(installation.topic(topic), encode(record), key)
    assert producer.flush(30) == 0


def send_alerts(installation: Here, *alerts: Alert) -> None:
    for topic in ("alerts", "alerts_history"):
        send(installation, topic, *((one.fingerprint, one) for one in alerts))


def listed(installation: Here, *options: str) -> list[dict[str, Any]]:
    lines = installation.succeed("alerts", "list", "--json", *options).splitlines()
    return [json.loads(line) for line in lines]


def test_alerts_are_silenced_acknowledged_and_shown_so(installation: Here) -> None:
    alert = example_alert(model="credit", episode="e1", id="a1")
    other = example_alert(model="shop", fingerprint="g", episode="e2", id="b2")
    send_alerts(installation, alert, other)
    by = ("--actor", "ann@here")
    silence = ("alerts", "silence", "--model", "cre*", "--for", "90m", "--reason", "repairs", *by)
    said = msgspec.json.decode(installation.succeed(*silence, "--json"), type=Silence)
    assert said.until == pytest.approx(said.since + 5400)
    assert (said.who, said.why, said.matchers.model) == ("ann@here", "repairs", "cre*")
    seen = ("alerts", "ack", "b2", "--note", "looking", *by)
    assert "b2 is acknowledged by ann@here" in installation.succeed(*seen)
    assert "b2 is acknowledged already by ann@here" in installation.succeed(*seen[:3])

    found = {one["id"]: one for one in listed(installation)}
    assert found["a1"]["silence"]["id"] == said.id and found["a1"]["acknowledgement"] is None
    assert found["b2"]["silence"] is None and found["b2"]["acknowledgement"]["why"] == "looking"
    table = installation.succeed("alerts", "list")
    assert ", silenced by ann@here" in table and ", seen by ann@here" in table
    table = installation.succeed("alerts", "silences")
    assert "model=cre*" in table and "repairs" in table and "reminders of" in table

    assert installation.succeed("alerts", "unsilence", said.id[:6]) == f"{said.id[:12]} is over\n"
    assert listed(installation, "--model", "credit")[0]["silence"] is None
    (left,) = installation.succeed("alerts", "silences", "--json").splitlines()
    assert json.loads(left)["reminders_only"] is True
    assert len(installation.succeed("alerts", "silences", "--all", "--json").splitlines()) == 2

    one = json.loads(installation.succeed(*silence[:2], "--episode", "b", *silence[4:], "--json"))
    assert one["matchers"]["episode"] == "e2"
    assert [x["id"] for x in listed(installation) if x["silence"]] == ["b2"]

    assert "is over already" in installation.refuse("alerts", "unsilence", said.id)
    assert "there is no silence zzz" in installation.refuse("alerts", "unsilence", "zzz")
    assert "there is no alert zzz" in installation.refuse("alerts", "ack", "zzz")
    assert "--all for every alert" in installation.refuse("alerts", "silence", "--reason", "x")
    assert "found '2 hours'" in installation.refuse(*silence, "--for", "2 hours")


def test_alerts_are_followed_by_what_they_are_of_until_ctrl_c(installation: Here) -> None:
    kinds = [("credit", "low"), ("shop", "high"), ("credit", "high"), ("credit", "critical")]
    send_alerts(
        installation,
        *(
            example_alert(id=f"a{n}", fingerprint=f"f{n}", model=model, severity=severity)
            for n, (model, severity) in enumerate(kinds)
        ),
    )
    options = ("--model", "cred*", "--severity", "high", "--severity", "critical", "--since", "1h")
    lines = installation.succeed("alerts", "tail", *options, "--json", "-n", "2").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a2", "a3"]
    assert "found 'hgh'" in installation.refuse("alerts", "tail", "--severity", "hgh")
    child = installation.start("alerts", "tail", "--since", "1h")
    try:
        wait_until(lambda: child.log.read_text().count("credit") >= 3, seconds=30, what=child.tail)
        child.signal(signal.SIGINT)
        assert child.process.wait(20) == 130
        assert "Traceback" not in child.log.read_text()
    finally:
        child.kill()


def publisher(installation: Here) -> ConfigPublisher:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=installation.bootstrap_servers),
        topics=TopicSettings(configuration=installation.topic("configuration")),
    )
    return ConfigPublisher(
        settings,
        stop=threading.Event(),
        faults=RecordFaults(
            record_metrics(CollectorRegistry()), Health(clock=lambda: 0.0), ("configuration",)
        ),
    )


def test_one_command_says_why_it_retrained_from_what_everybody_has_said(
    installation: Here, kafka_broker: KafkaBroker
) -> None:
    (asked,) = [fact for fact in facts() if fact.event == ACTION]
    reader = TopicReader(kafka_broker, installation.topic("audit"))

    def events() -> list[str]:
        for _ in reader.more():
            pass
        records = [msgspec.json.decode(m.value(), type=AuditRecord) for m in reader.messages]
        return sorted(record.event for record in records)

    child = installation.start("run", "--role", "ledger")
    try:
        installation.wait_ready(child)
        # Two workers begin with the same file, and another later; then all of them with the first.
        new = ActiveConfig(
            "rules", "rules.yaml", asked.inputs["rules_sha256"], {"drift-retrain": "2"}
        )
        old = ActiveConfig("rules", "rules.yaml", "0" * 64, {"drift-retrain": "1"})
        workers = publisher(installation), publisher(installation)
        for rules in (old, old, new, new, old):
            for worker in workers:
                worker.publish(rules)
        alert = example_alert(
            id=asked.inputs["alert"], episode=asked.inputs["episode"], model="credit", version="3"
        )
        send_alerts(installation, alert)
        installation.succeed("alerts", "ack", alert.id, "--note", "on it", "--actor", "ann@here")
        wide = ("alerts", "silence", "--model", "cred*", "--reason", "tests", "--actor", "bob")
        said = msgspec.json.decode(installation.succeed(*wide, "--json"), type=Silence)
        installation.succeed("alerts", "unsilence", said.id, "--actor", "cas")
        own = ("baseline.promoted", "alert.firing", ACTION)
        send(
            installation,
            "audit_facts",
            *((one.model, one) for one in facts() if one.event in own),
        )
        expected = [
            "action.requested", "alert.acknowledged", "alert.firing", "baseline.promoted",
            "rules.changed", "rules.changed", "rules.changed", "silence.created", "silence.ended",
        ]  # fmt: skip
        wait_until(
            lambda: events() == expected,
            seconds=60,
            what=lambda: f"{expected}, it is {events()}\n{child.tail()}",
        )
        assert child.stop() == 0, child.tail()
    finally:
        child.kill()
        reader.close()

    answer = installation.succeed("audit", "why", "--model", "credit", "--on", "2026-03-01")
    lines = answer.splitlines()
    assert lines[0].startswith(
        "2026-03-01 12:01:00Z  retrain of credit 3 was requested by rule drift-retrain"
    )
    assert [line.split()[0] for line in lines[1:]] == [
        "action", "because", "alert", "firing", "figure", "window", "report", "baseline", "rules",
        "data", "offsets", "seen", "outcome",
    ]  # fmt: skip
    assert "(changed: drift-retrain)" in answer and "by ann@here at" in answer
    assert installation.succeed("audit", "why", asked.subject[:8]) == answer
    found = json.loads(installation.succeed("audit", "why", asked.subject, "--json"))
    assert found["acknowledged"]["reason"] == "on it"
    assert "no action of that name" in installation.refuse(
        "audit", "why", "--model", "credit", "--on", "2026-03-02"
    )

    credit = installation.succeed("audit", "list", "--model", "credit")
    assert "cred* silence.created by user:bob: tests" in credit
    assert "cred* silence.ended by user:cas: ended: tests" in credit
    assert credit.count("rules.changed") == 3
    shop = installation.succeed("audit", "list", "--model", "shop")
    assert shop.count("rules.changed") == 3 and "silence" not in shop
    assert installation.succeed("audit", "verify").startswith("CONFIRMED: 2 chains")
