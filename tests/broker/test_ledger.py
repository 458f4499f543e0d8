"""The ledger on a real broker: whatever it dies of, each fact is in its model's chain once."""

import csv
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import ConsumerGroupState, Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from support import dying_ledger
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation, told
from tidegauge.audit.facts import fact_of
from tidegauge.contract import encode
from tidegauge.contract.alert import Action, acknowledge
from tidegauge.contract.audit import AuditFact, AuditRecord

pytestmark = pytest.mark.timeout(240)

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
FACT = EXAMPLES / "audit-fact.action-requested.json"
ACTION = EXAMPLES / "action.retrain.json"

Start = Callable[[], Child]


@pytest.fixture
def installation(tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str) -> Installation:
    one = Installation(
        tmp_path,
        unique("ledger"),
        kafka_broker.bootstrap_servers,
        redis_url,
        # Shorter than a transaction may be open, so that one is when the group gives up its owner.
        {"LEDGER__SESSION_TIMEOUT_SECONDS": "6"},
    )
    one.create_topics()
    return one


@contextmanager
def running(start: Start) -> Iterator[Child]:
    child = start()
    try:
        yield child
    finally:
        child.kill()


def starts(installation: Installation) -> Start:
    return lambda: installation.start("run", "--role", "ledger")


def facts(numbers: range, models: int = 3) -> list[AuditFact]:
    example = msgspec.json.decode(FACT.read_bytes(), type=AuditFact)
    return [
        msgspec.structs.replace(example, id=f"fact-{i}", model=f"m{i % models}", time=1_772_000_000)
        for i in numbers
    ]


def send(installation: Installation, sent: list[AuditFact]) -> None:
    producer = Producer(
        {"bootstrap.servers": installation.bootstrap_servers, "partitioner": "murmur2_random"}
    )
    for fact in sent:
        producer.produce(installation.topic("audit_facts"), encode(fact), key=fact.model)
    assert producer.flush(30) == 0


def wait_chained(reader: TopicReader, ids: set[str], child: Child) -> list[AuditRecord]:
    def read() -> list[AuditRecord]:
        for _ in reader.more():
            pass
        return [msgspec.json.decode(m.value(), type=AuditRecord) for m in reader.messages]

    wait_until(
        lambda: ids <= {record.id for record in read()},
        seconds=60,
        what=lambda: f"{len(ids)} facts chained, there are {len(read())}\n{child.tail()}",
    )
    return read()


def verdict(installation: Installation) -> str:
    found: str = json.loads(installation.succeed("audit", "verify", "--json"))["verdict"]
    return found


def dying(installation: Installation, number: str, step: str) -> Child:
    mark = str(installation.directory / "died")
    return Child(
        [sys.executable, dying_ledger.__file__, number, step, mark, "run", "--role", "ledger"],
        log=installation.directory / "dying.log",
        env=installation.environment(),
        cwd=installation.directory,
    )


def check_chains(installation: Installation, records: list[AuditRecord], n: int) -> None:
    assert len(records) == n
    assert {record.model for record in records} == {"m0", "m1", "m2"}
    for model in ("m0", "m1", "m2"):
        own = [record for record in records if record.model == model]
        assert [record.seq for record in own] == list(range(1, len(own) + 1))
        assert [record.previous for record in own] == ["", *(record.hash for record in own[:-1])]
    assert verdict(installation) == "CONFIRMED"


@pytest.mark.parametrize("step", dying_ledger.STEPS)
def test_a_ledger_killed_at_any_step_leaves_each_fact_in_the_chain_once(
    installation: Installation, kafka_broker: KafkaBroker, step: str
) -> None:
    # On another port, so by another transactional id: nobody ends the transaction of the dead one.
    successor = replace(installation)
    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with running(lambda: dying(installation, "SIGKILL", step)) as child:
            installation.wait_ready(child)
            send(installation, facts(range(10)))
            assert child.process.wait(60) == -9, child.tail()
        with running(starts(successor)) as child:
            # What was there already, and some of it again.
            send(installation, facts(range(5, 20)))
            records = wait_chained(reader, {f"fact-{i}" for i in range(20)}, child)
            assert child.stop() == 0, child.tail()
    finally:
        reader.close()
    check_chains(installation, records, 20)


@pytest.mark.parametrize("step", ["records sent", "offsets sent"])
def test_a_ledger_that_is_paused_inside_a_transaction_forks_no_chain(
    installation: Installation, kafka_broker: KafkaBroker, step: str
) -> None:
    successor = replace(installation)
    group = installation.environment()["TIDEGAUGE_LEDGER__GROUP_ID"]
    admin = kafka_broker.admin()

    def members() -> set[str]:
        (future,) = admin.describe_consumer_groups([group]).values()
        found = future.result(10)
        stable = found.state == ConsumerGroupState.STABLE
        return {member.member_id for member in found.members} if stable else set()

    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with (
            ExitStack() as started,
            running(lambda: dying(installation, "SIGSTOP", step)) as paused,
        ):
            # Who is first has the partition, and keeps it when another comes.
            installation.wait_ready(paused)
            other = started.enter_context(running(starts(successor)))
            wait_until(lambda: len(members()) == 2, seconds=30, what="both are members")
            send(installation, facts(range(10)))
            wait_until(
                (installation.directory / "died").exists,
                seconds=30,
                what=lambda: f"it is paused\n{paused.tail()}",
            )
            both = members()
            wait_until(
                lambda: len(members()) == 1 and members() < both,
                seconds=30,
                what="the paused one is no member any more",
            )
            paused.signal(signal.SIGCONT)
            send(installation, facts(range(10, 15)))
            records = wait_chained(reader, {f"fact-{i}" for i in range(15)}, other)
            assert other.stop() == 0, other.tail()
    finally:
        reader.close()
    check_chains(installation, records, 15)


def test_a_trail_that_was_tampered_with_is_told_by_the_command_and_by_the_ledger(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with running(starts(installation)) as child:
            send(installation, facts(range(4), models=1))
            wait_chained(reader, {f"fact-{i}" for i in range(4)}, child)
            assert child.stop() == 0, child.tail()
        assert verdict(installation) == "CONFIRMED"
        producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
        (*_, last) = reader.messages
        producer.produce(installation.topic("audit"), last.value(), key=last.key())
        assert producer.flush(10) == 0
        done = installation.cli("audit", "verify")
        assert done.returncode == 1, told(done)
        assert done.stdout.startswith("BROKEN: 1 chain")
        assert "duplicated at offset" in done.stdout
        with running(starts(installation)) as child:
            installation.wait_ready(child)
            answer = installation.http("/readyz")
            assert answer is not None
            said = json.loads(answer[1])["conditions"]["ledger"]
            assert said["state"] == "degraded"
            assert "breaks in 1 places" in said["detail"]
            assert installation.gauge("tidegauge_ledger_breaks") == 1
            # It goes on all the same, and what follows is chained.
            send(installation, facts(range(4, 5), models=1))
            records = wait_chained(reader, {"fact-4"}, child)
        assert records[-1].seq == 5
    finally:
        reader.close()


def test_one_command_says_why_it_retrained(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    example = msgspec.json.decode(FACT.read_bytes(), type=AuditFact)
    other = msgspec.structs.replace(example, id="other", event="alert.firing")
    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with running(starts(installation)) as child:
            send(installation, [example, other, *facts(range(3))])
            wait_chained(reader, {example.id, "other", "fact-2"}, child)
    finally:
        reader.close()
    asked = ["--model", "credit", "--event", "action.requested", "--since", "2026-03-01T00:00:00Z"]
    (line,) = installation.succeed("audit", "list", *asked).splitlines()
    for told_of in (
        "2026-03-01 12:01:00Z credit 3 action.requested retrain by rule:drift-retrain",
        "kl of income 0.0744 nats, above 0.07",
        "3,000 events, at least 1,000",
        "window 2026-03-01 12:00:00Z to 2026-03-01 12:01:00Z",
        "data 2026-02-28 12:01:00Z to 2026-03-01 12:01:00Z, up to predictions/0@415300",
        f"baseline {example.inputs['baseline']}",
        f"report {example.inputs['report']}",
    ):
        assert told_of in line, line
    (raw,) = installation.succeed("audit", "list", *asked, "--json").splitlines()
    assert json.loads(raw)["inputs"] == example.inputs
    until = installation.succeed("audit", "list", *asked, "--until", "2026-03-01T12:01:00Z")
    assert until == ""
    lines = installation.succeed("audit", "export", "--format", "jsonl").splitlines()
    assert len(lines) == 5
    table = list(csv.DictReader(io.StringIO(installation.succeed(
        "audit", "export", "--format", "csv", "--model", "credit"
    ))))  # fmt: skip
    assert [row["id"] for row in table] == [example.id, "other"]
    assert json.loads(table[0]["inputs"]) == example.inputs


def test_what_became_of_an_action_is_in_the_trail_once_and_counted(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    action = msgspec.json.decode(ACTION.read_bytes(), type=Action)
    said = [
        acknowledge(action, outcome, actor="trainer", time=1_772_367_000.0, note="by night")
        for outcome in ("failed", "failed", "taken")
    ]
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
    for value in (*map(encode, said), b"no acknowledgement"):
        producer.produce(installation.topic("acknowledgements"), value)
    assert producer.flush(30) == 0
    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with running(starts(installation)) as child:
            records = wait_chained(reader, {fact_of(one).id for one in said}, child)
            counted = "tidegauge_action_acknowledgements_total"
            assert installation.gauge(f'{counted}{{kind="retrain",outcome="failed"}}') == 2
            assert installation.gauge(f'{counted}{{kind="retrain",outcome="taken"}}') == 1
            topic = installation.topic("acknowledgements")
            skipped = f'tidegauge_skipped_records_total{{topic="{topic}"}}'
            assert installation.gauge(skipped) == 1
            assert installation.gauge("tidegauge_ledger_refused_total") == 0
            assert child.stop() == 0, child.tail()
        # Committed: another process hands nothing on again.
        with running(starts(installation)) as child:
            installation.wait_ready(child)
            assert child.stop() == 0, child.tail()
    finally:
        reader.close()
    assert [record.event for record in records] == ["action.failed", "action.taken"]
    (line,) = installation.succeed("audit", "list", "--event", "action.taken").splitlines()
    assert "action.taken retrain by trainer: by night" in line


def test_a_promotion_is_audited_with_who_did_it(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    reference = installation.directory / "reference.csv"
    reference.write_text("age,score\n" + "".join(f"{i},{i / 600}\n" for i in range(600)))
    create = ["baseline", "create", "--model", "m", "--version", "1", "--from", str(reference)]
    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with running(starts(installation)) as child:
            before = time.time()
            done = installation.cli(*create, "--prediction", "score", "--promote", "--actor", "ana")
            assert done.returncode == 0, told(done)
            assert "warning" not in done.stderr
            id = done.stdout.strip()
            # Promoted already: the same fact again, and one record of it.
            installation.succeed("baseline", "promote", id)
            send(installation, facts(range(1)))
            records = wait_chained(reader, {"fact-0"}, child)
    finally:
        reader.close()
    (record,) = [one for one in records if one.event == "baseline.promoted"]
    assert (record.actor, record.subject, record.model) == ("user:ana", id, "m")
    assert int(before) <= record.time <= time.time()
    assert record.inputs["previous"] == ""


def test_a_fact_that_the_trail_does_not_take_is_set_aside_and_refused_in_its_place(
    installation: Installation, kafka_broker: KafkaBroker
) -> None:
    # Smaller than the ledger knows of: it is the brokers who refuse the record.
    limit(kafka_broker, installation.topic("audit"), 20_000)
    sent = facts(range(8))
    sent[5] = msgspec.structs.replace(sent[5], reason=os.urandom(30_000).hex())
    reader = TopicReader(kafka_broker, installation.topic("audit"))
    try:
        with running(starts(installation)) as child:
            installation.wait_ready(child)
            send(installation, sent)
            good = {one.id for one in sent} - {sent[5].id}
            records = wait_chained(reader, good, child)
            topic = installation.topic("audit_facts")
            aside = f'tidegauge_quarantined_records_total{{topic="{topic}"}}'
            assert installation.gauge(aside) == 1
            answer = installation.http("/readyz")
            assert answer is not None and answer[0] == 200 and "quarantine" in answer[1]
            assert child.stop() == 0, child.tail()
    finally:
        reader.close()
    [refused] = [record for record in records if record.event == "fact.refused"]
    assert "can't be written" in refused.reason
    check_chains(installation, records, 8)


def limit(broker: KafkaBroker, topic: str, size: int) -> None:
    """Let a topic take no larger batches."""
    resource = ConfigResource(
        ResourceType.TOPIC,
        topic,
        incremental_configs=[
            ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        ],
    )
    admin = broker.admin()  # kept in a variable: what it does ends with it
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
