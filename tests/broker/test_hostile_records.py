"""Whatever anybody sends to any topic: every role goes on, starts again, and counts what is bad."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from confluent_kafka import Producer

from support.delivery import Delivery, ids, numbered, wait_committed, wait_ids, webhook
from support.hostile import hostile_records, nested, with_field
from support.hostile_histograms import CHANGES
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation
from support.quick_windows import QUICK, Traffic, readiness
from support.wild_headers import send_wild
from tidegauge.contract import encode
from tidegauge.contract.alert import Acknowledgement
from tidegauge.contract.audit import AuditFact, Configuration
from tidegauge.contract.silence import Matchers, Silence, Withheld
from tidegauge.kafka.unreadable import headers_of

pytestmark = pytest.mark.timeout(240)

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"

#: Of these, whether a worker can have written them depends on the time and the windows' length.
_OF_THEIR_TIME = {
    "a clock days ahead",
    "a window that is not aligned",
    "a window yet to come",
}

T = TypeVar("T")


def example(name: str, kind: type[T]) -> T:
    return msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes(), type=kind)


class Sender:
    """Sends values to a topic, and remembers how many."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self._producer = Producer(
            {"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0, "acks": "all"}
        )
        self.sent: dict[str, int] = {}

    def send(self, topic: str, values: list[bytes | None], *, compacted: bool = False) -> None:
        for number, value in enumerate(values):
            key = b"\xff\x00" if number % 2 else b"key"
            if not compacted and number % 3 == 2:  # or the brokers refuse it
                key = None
            headers: Any = [("content-type", None), ("at", b"\xff"), ("log", b"")]
            if value is None:  # or it would be compacted away by the next
                key = b"%d" % number
            self._producer.produce(topic, value, key, 0, headers=headers)
        assert self._producer.flush(20) == 0
        self.sent[topic] = self.sent.get(topic, 0) + len(values)

    def wild(self, topic: str, value: bytes | None) -> None:
        """Send a value with a header name that is no text."""
        asyncio.run(send_wild(self._broker.bootstrap_servers, topic, 0, value))


def _histograms(sound: bytes) -> list[bytes | None]:
    found = hostile_records(sound)
    for name, change in CHANGES.items():
        if name not in _OF_THEIR_TIME:
            record = json.loads(sound) | {"tenure": "somebody"}
            change(record)
            found.append(json.dumps(record).encode())
    return found


def _a_sound_one(broker: KafkaBroker, topic: str) -> bytes:
    reader = TopicReader(broker, topic)
    try:
        for message in reader.more():
            record = json.loads(message.value() or b"")
            if record["cells"] and record["clocks"] and message.partition() == 0:
                return message.value() or b""
        raise AssertionError("no histograms in partition 0")
    finally:
        reader.close()


def _skipped(installation: Installation, topic: str) -> float | None:
    return installation.gauge(f'tidegauge_skipped_records_total{{topic="{topic}"}}')


def _wait_skipped(installation: Installation, child: Child, sent: dict[str, int]) -> None:
    def as_sent() -> bool:
        child.check_alive()
        return {topic: _skipped(installation, topic) for topic in sent} == sent

    wait_until(
        as_sent,
        seconds=40,
        what=lambda: (
            f"{sent} skipped, it is { ({topic: _skipped(installation, topic) for topic in sent}) }"
            f"\n{child.tail()}"
        ),
    )


def test_ingest_detect_and_ledger_go_on_and_start_again_whatever_is_sent(
    tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str
) -> None:
    installation = Installation(
        tmp_path, unique("hostile"), kafka_broker.bootstrap_servers, redis_url, QUICK
    )
    installation.create_topics()
    topic, sender = installation.topic, Sender(kafka_broker)
    changelog = f"{installation.name}-detect-windows-changelog"
    fact = example("audit-fact.action-requested", AuditFact)
    silence = example("silence.two-hours", Silence)
    acknowledgement = example("acknowledgement.taken", Acknowledgement)
    configuration = example("configuration.rules", Configuration)
    people = {
        "silences": encode(silence),
        "acknowledgements": encode(acknowledgement),
        "configuration": encode(configuration),
    }
    child = installation.start("run")
    try:
        installation.wait_ready(child)
        with Traffic(kafka_broker, installation) as traffic:
            traffic.send()
            traffic.wait_until_reported(child, {"": traffic.sent})
            sound = _a_sound_one(kafka_broker, topic("histograms"))
            sender.send(topic("histograms"), _histograms(sound))
            garbage: list[bytes | None] = [b"{}", nested(6_000), None]
            sender.send(changelog, garbage, compacted=True)
            for kind, value in people.items():
                sender.send(
                    topic(kind), hostile_records(value), compacted=kind != "acknowledgements"
                )
                sender.wild(topic(kind), value)
            refused = hostile_records(encode(fact))
            sender.send(topic("audit_facts"), refused)
            sender.wild(topic("audit_facts"), encode(fact))
            sender.wild(topic("histograms"), with_field(sound, nested(6_000)))
            sender.wild(changelog, b"{}")
            sender.wild(topic("predictions"), b"no event")
            traffic.send()
            traffic.wait_until_reported(child, {"": traffic.sent})
            sent = {it: number for it, number in sender.sent.items() if it != changelog}
            del sent[topic("audit_facts")]
            sent[topic("histograms")] += 1
            _wait_skipped(installation, child, sent)
            wait_until(
                lambda: installation.gauge("tidegauge_ledger_refused_total") == len(refused),
                seconds=30,
                what=lambda: (
                    f"{len(refused)} refused, it is "
                    f"{installation.gauge('tidegauge_ledger_refused_total')}\n{child.tail()}"
                ),
            )
            status, body = readiness(installation)
            assert status == 200 and "quarantine" not in body["conditions"], body
            assert installation.gauge("tidegauge_recounts_total") == 0
            child.kill()

            # Another one reads the changelog, and all that is not committed, with all of it there.
            child = installation.start("run")
            installation.wait_ready(child)
            traffic.send()
            traffic.wait_until_reported(child, {"": traffic.sent})
            _wait_skipped(installation, child, {changelog: sender.sent[changelog] + 1})
            assert installation.gauge("tidegauge_recounts_total") == 0
            assert child.stop() == 0, child.tail()
    finally:
        child.kill()
    assert "CONFIRMED" in installation.succeed("audit", "verify")
    events = [
        json.loads(line)["event"]
        for line in installation.succeed("audit", "list", "--json").splitlines()
    ]
    assert events.count("fact.refused") == len(refused)
    for event in ("silence.created", "action.taken", "rules.changed", fact.event):
        assert event in events


def test_notify_delivers_what_it_can_and_makes_dead_letters_of_the_rest(
    delivery: Delivery, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    topics, sender = delivery.settings.topics, Sender(kafka_broker)
    alert = numbered(0)
    quiet = numbered(1, model="quiet")
    silence = Silence(
        id="s", who="ann", why="", since=0.0, until=time.time() + 3_600,
        matchers=Matchers(model="quiet"),
    )  # fmt: skip
    silences = [it for it in hostile_records(encode(silence)) if it]
    sender.send(topics.silences, [None, b"", *silences], compacted=True)
    sender.wild(topics.silences, encode(silence))
    kept = encode(Withheld(receiver="hook", partition=0, offset=0, alert=alert, silence="s"))
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
    withheld = [it for it in hostile_records(kept) if it]
    for number, value in enumerate([*withheld, kept]):
        producer.produce(topics.withheld, value, b"hook/another-%d" % number)
    assert producer.flush(20) == 0

    hook, chat = delivery.sink(), delivery.sink()
    delivery.delivery_worker(webhook(hook))
    address = tmp_path / "address"
    address.write_text(f"{chat.url}/services/x")
    delivery.delivery_worker({"name": "chat", "type": "slack", "url": {"file": str(address)}})
    hostile = [it for it in hostile_records(encode(alert)) if it]
    # Sound, but for times that nobody can write down.
    absurd = msgspec.structs.replace(
        numbered(2), starts_at=10**18, window_start=10**18, window_end=10**18
    )
    sender.send(topics.alerts_history, [None, *hostile])
    sender.wild(topics.alerts_history, encode(quiet))
    delivery.send(alert, absurd, numbered(3))
    total = 1 + len(hostile) + 1 + 3
    wait_committed(delivery, "hook", total)
    wait_committed(delivery, "chat", total)
    # One whose times nobody can write down is told all the same.
    wait_ids(hook, ["id-0", "id-2", "id-3"])
    assert len(chat.requests) == 3
    delivery.stop()
    assert ids(hook) == ["id-0", "id-2", "id-3"]
    letters = delivery.letters()
    for receiver in ("hook", "chat"):
        mine = [it for it in letters if it.receiver == receiver]
        assert len(mine) == len(hostile)
        assert {it.reason for it in mine} == {"invalid_record"}
    name = "tidegauge_skipped_records_total"
    assert delivery.metric(name, topic=topics.silences) == len(silences)
    # Counted each time that a courier reads them.
    readings, rest = divmod(delivery.metric(name, topic=topics.withheld), len(withheld) + 1)
    assert readings >= 1 and rest == 0


def test_headers_of_a_wild_name_are_read_without_harm(kafka_broker: KafkaBroker) -> None:
    topic, sender = unique("wild"), Sender(kafka_broker)
    kafka_broker.create_topics({topic: 1})
    for _ in range(3):
        sender.wild(topic, b"value")
    sender.send(topic, [b"sound"])
    reader = TopicReader(kafka_broker, topic)
    try:
        # Often, as the interpreter calls what is called often in another way.
        for message in list(reader.more()) * 200:
            expected = {"at": b"\xff"} | ({"log": b""} if message.value() == b"sound" else {})
            assert headers_of(message) in (expected, {})
            assert message.value() in (b"value", b"sound")
    finally:
        reader.close()
