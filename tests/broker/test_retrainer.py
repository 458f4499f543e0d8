"""The example consumer of actions: whatever is handed out twice or dies half-way, one effect."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from support import dying_retrainer
from support.baselines import small_baseline
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from support.processes import Child, wait_until
from support.product import Installation
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.contract import encode
from tidegauge.contract.alert import Acknowledgement, Action, DataRange, acknowledge
from tidegauge.contract.report import CountedRange

pytestmark = pytest.mark.timeout(120)

#: Trains by counting its events; notes outside of its directory that it ran.
TRAIN = """
import pathlib, sys
events = pathlib.Path("events.jsonl").read_text().splitlines()
pathlib.Path("model").write_text(str(len(events)))
with open(sys.argv[1], "a") as runs:
    runs.write("run\\n")
print("accuracy 0.9")
"""

#: When the actions were asked for, epoch seconds.
ASKED = 1_772_366_400


@dataclass
class Site:
    """Topics of one test, and what the retrainer left."""

    installation: Installation
    broker: KafkaBroker

    @property
    def work(self) -> Path:
        return self.installation.directory / "work"

    @property
    def runs(self) -> Path:
        return self.installation.directory / "runs"

    def topic(self, kind: str) -> str:
        return self.installation.topic(kind)

    def send(self, kind: str, *values: bytes) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 2})
        for value in values:
            producer.produce(self.topic(kind), value, partition=0)
        assert producer.flush(30) == 0

    def promote(self, version: str, at: float) -> None:
        store = BaselineStore(self.installation.redis_url, prefix=self.installation.name)
        made = small_baseline(version=version)
        store.promote("credit", version, store.put(made), now=at)
        store.close()

    def words(
        self,
        number: int,
        *,
        program: Sequence[str] = (),
        command: Sequence[str] = (),
        then: str = "",
    ) -> list[str]:
        options = {
            "group": self.installation.name,
            "member": "only",
            "work": str(self.work),
            "number": str(number),
            **({"then": then} if then else {}),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        train = command or (sys.executable, "-c", TRAIN, str(self.runs))
        script = program or [str(dying_retrainer.EXAMPLE)]
        return [sys.executable, *script, *words, "--", *train]

    def retrain(
        self,
        number: int,
        *,
        program: Sequence[str] = (),
        command: Sequence[str] = (),
        then: str = "",
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(number, program=program, command=command, then=then),
            env=self.installation.environment(),
            cwd=self.installation.directory,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, name: str, number: int, *, command: Sequence[str], then: str) -> Child:
        return Child(
            self.words(number, command=command, then=then),
            log=self.installation.directory / f"{name}.log",
            env=self.installation.environment(),
            cwd=self.installation.directory,
        )

    def said(self) -> list[Acknowledgement]:
        with closing(TopicReader(self.broker, self.topic("acknowledgements"))) as reader:
            return [
                msgspec.json.decode(message.value(), type=Acknowledgement)
                for message in reader.more()
            ]

    def committed(self) -> int:
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap_servers,
                "group.id": self.installation.name,
            }
        )
        try:
            [at] = consumer.committed([TopicPartition(self.topic("actions"), 0)], timeout=30)
            return int(at.offset)
        finally:
            consumer.close()


EVENTS = 20


@pytest.fixture
def site(tmp_path: Path, kafka_broker: KafkaBroker, redis_url: str) -> Site:
    installation = Installation(
        tmp_path, unique("retrain"), kafka_broker.bootstrap_servers, redis_url
    )
    one = Site(installation, kafka_broker)
    kafka_broker.create_topics(
        {one.topic(kind): 1 for kind in ("actions", "acknowledgements", "predictions")}
    )
    events = [an_event(i) for i in range(EVENTS)]
    one.send("predictions", *(json.dumps(event).encode() for event in events), b"no event")
    return one


def an_event(i: int) -> dict[str, Any]:
    model = "credit" if i % 2 else "other"
    return {"time": ASKED - 60 + i, "model": model, "version": "3", "features": {"x": i}}


def an_action(site: Site, id: str = "a1", **changes: Any) -> bytes:
    # The first four events and what came after the last are none of its data.
    offsets = [CountedRange(topic=site.topic("predictions"), partition=0, start=4, to=EVENTS)]
    action = Action(
        id=id,
        kind="retrain",
        alert="b",
        rule="drift",
        model="credit",
        version="3",
        variant="",
        requested_at=ASKED,
        reason="drift",
        data=DataRange(since=ASKED - 86_400.0, until=ASKED, offsets=offsets),
    )
    return encode(msgspec.structs.replace(action, **changes))


def results(site: Site) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in site.work.glob("[!.]*/model")}


def test_an_action_that_is_handed_out_three_times_is_carried_out_once(site: Site) -> None:
    site.send("actions", an_action(site), an_action(site), an_action(site, "a2"), an_action(site))
    done = site.retrain(4)
    assert done.returncode == 0, done.stderr
    assert results(site) == {"a1": "8", "a2": "8"}
    assert site.runs.read_text() == "run\n" * 2
    said = site.said()
    assert [one.outcome for one in said] == ["taken"] * 4
    assert len({one.id for one in said}) == 2
    assert said[0].note == "trained on 8 events" and said[1].note == "a1 is there already"
    assert said[0].result["output_ends_with"] == "accuracy 0.9"
    assert Path(said[0].result["output"]).read_text() == "accuracy 0.9\n"
    assert site.committed() == 4


@pytest.mark.parametrize(
    ("step", "runs_before", "acknowledged_before"),
    [("write_events", 0, 0), ("publish", 1, 0), ("send", 1, 0), ("commit", 1, 1)],
)
def test_a_crash_at_any_step_leaves_one_result_and_one_acknowledgement(
    site: Site, step: str, runs_before: int, acknowledged_before: int
) -> None:
    site.send("actions", an_action(site))
    died = site.retrain(1, program=[dying_retrainer.__file__, step])
    assert died.returncode == dying_retrainer.GONE, died.stderr
    assert (site.runs.read_text() if site.runs.exists() else "").count("run") == runs_before
    assert len(site.said()) == acknowledged_before
    done = site.retrain(1)
    assert done.returncode == 0, done.stderr
    assert results(site) == {"a1": "8"}
    # What was trained but not yet published under the action's name is nobody's result.
    assert site.runs.read_text().count("run") == (2 if step == "publish" else 1)
    assert len({one.id for one in site.said()}) == 1
    assert site.committed() == 1


#: Trains until it is allowed to end.
WAIT = """
import pathlib, sys, time
runs, go = map(pathlib.Path, sys.argv[1:])
with runs.open("a") as file:
    file.write("run\\n")
while not go.exists():
    time.sleep(0.05)
pathlib.Path("model").write_text("8")
"""


def test_a_command_whose_retrainer_was_killed_is_waited_for_and_promotes_nothing(
    site: Site,
) -> None:
    site.send("actions", an_action(site))
    go, promoted = site.installation.directory / "go", site.installation.directory / "promoted"
    command = (sys.executable, "-c", WAIT, str(site.runs), str(go))
    then = f"sh -c 'cat model >> {promoted}'"
    first = site.start("first", 1, command=command, then=then)
    wait_until(site.runs.exists, seconds=60, what=lambda: f"it trains\n{first.tail()}")
    first.process.kill()  # and not what it has started
    second = site.start("second", 1, command=command, then=then)
    try:
        wait_until(
            lambda: "waiting for its end" in second.tail(),
            seconds=60,
            what=lambda: f"it waits\n{second.tail()}",
        )
        assert site.runs.read_text() == "run\n" and not promoted.exists()
        go.touch()
        wait_until(site.said, seconds=60, what=lambda: f"an acknowledgement\n{second.tail()}")
    finally:
        first.kill()
        second.stop()
    assert site.runs.read_text() == "run\n" * 2 and promoted.read_text() == "8"
    assert results(site) == {"a1": "8"}
    assert {path.name for path in site.work.iterdir()} == {".lock", "logs", "a1"}
    assert [one.outcome for one in site.said()] == ["taken"]


def test_what_follows_is_run_again_after_a_crash_and_its_failure_is_said(site: Site) -> None:
    site.send("actions", an_action(site))
    then = "sh -c 'echo again >> then; cat nothing'"
    died = site.retrain(1, program=[dying_retrainer.__file__, "send"], then=then)
    assert died.returncode == dying_retrainer.GONE, died.stderr
    assert site.retrain(1, then=then).returncode == 0
    assert (site.work / "a1" / "then").read_text() == "again\n" * 2
    assert site.runs.read_text() == "run\n"
    [said] = site.said()
    assert (
        said.outcome == "failed" and "a1 is there already, but sh ended with 1: cat: " in said.note
    )


def test_what_fails_is_no_action_or_not_to_be_done_holds_up_nobody(site: Site) -> None:
    site.send("actions", an_action(site), b"no action")
    site.send(
        "actions", an_action(site, "a2", expires_at=ASKED + 1), an_action(site, "a3", dry_run=True)
    )
    fail = [sys.executable, "-c", "import sys; sys.exit('no labels yet')"]
    done = site.retrain(4, command=fail)
    assert done.returncode == 0, done.stderr
    assert "at offset 1: JSON is malformed" in done.stderr
    failed, expired, dry_run = site.said()
    assert failed.outcome == "failed" and "ended with 1: no labels yet" in failed.note
    assert (expired.outcome, expired.note) == ("failed", f"it was good until {ASKED + 1}")
    assert (dry_run.outcome, dry_run.note) == ("taken", "a dry run: nothing was done")
    assert results(site) == {} and {path.name for path in site.work.iterdir()} == {".lock", "logs"}
    assert site.committed() == 4


#: Trains by handing on what it was given.
SHOW = "import shutil; shutil.copy('events.jsonl', 'model')"


def test_events_are_read_in_whatever_form_they_were_sent(site: Site) -> None:
    times, amounts = pa.array([ASKED - 50.0, ASKED - 49.0]), pa.array([1.5, float("nan")])
    features = pa.StructArray.from_arrays([amounts, pa.array(["EU", None])], ["amount", "region"])
    schema = pa.schema(
        [("time", times.type), ("id", pa.string()), ("features", features.type)],
        metadata={"model": "credit", "version": "3", "variant": "canary"},
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write(pa.record_batch([times, pa.array(["r1", "r2"]), features], schema=schema))
    data = {"time": ASKED - 48, "model": "credit", "version": "3", "id": "e1", "label": 1}
    enveloped = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": data}
    too_early = {"time": 1, "model": "credit", "version": "3"}
    site.send(
        "predictions",
        sink.getvalue().to_pybytes(),
        json.dumps(enveloped).encode(),
        json.dumps(too_early).encode(),
    )
    # After the events of the fixture comes what is no event.
    offsets = [CountedRange(topic=site.topic("predictions"), partition=0, start=20, to=24)]
    data_range = DataRange(since=0.0, until=ASKED, offsets=offsets)
    site.send("actions", an_action(site, data=data_range))
    done = site.retrain(1, command=[sys.executable, "-c", SHOW])
    assert done.returncode == 0, done.stderr
    named = {"model": "credit", "version": "3"}
    assert [json.loads(line) for line in results(site)["a1"].splitlines()] == [
        {"time": ASKED - 50, **named, "variant": "canary", "id": "r1",
         "features": {"amount": 1.5, "region": "EU"}},
        {"time": ASKED - 49, **named, "variant": "canary", "id": "r2",
         "features": {"amount": "NaN", "region": None}},
        {"time": ASKED - 48, **named, "id": "e1", "label": 1},
    ]  # fmt: skip
    [said] = site.said()
    place = f"{site.topic('predictions')}/0 at offset 20"
    assert said.note.startswith(f"trained on 3 events; 2 not read, the first: {place} is no event")


def test_nothing_to_train_on_is_a_failure(site: Site) -> None:
    nothing = [CountedRange(topic=site.topic("predictions"), partition=0, start=0, to=1)]
    beyond = [CountedRange(topic=site.topic("predictions"), partition=0, start=90, to=99)]
    for id, offsets in (("a1", nothing), ("a2", beyond)):
        data = DataRange(since=0.0, until=1.0, offsets=offsets)
        site.send("actions", an_action(site, id, data=data))
    site.send("actions", an_action(site, "a3", data=None))
    done = site.retrain(3)
    assert done.returncode == 0, done.stderr
    assert results(site) == {} and not site.runs.exists()
    said = site.said()
    assert [one.outcome for one in said] == ["failed"] * 3
    assert all(one.note.startswith("no event of credit in its data") for one in said)
    assert "Kafka has those from 0 to 20" in said[1].note


def test_a_version_that_is_not_in_force_any_more_is_not_retrained(site: Site) -> None:
    site.promote("3", ASKED - 100)
    site.promote("2", ASKED - 200)
    rollback = msgspec.json.decode(an_action(site, "r1", kind="rollback"), type=Action)
    refused = acknowledge(rollback, "failed", actor="ann", time=ASKED + 5, note="")
    site.send("acknowledgements", encode(refused))
    site.send("actions", an_action(site), encode(rollback))
    assert site.retrain(2).returncode == 0
    assert results(site) == {"a1": "8"}

    taken = acknowledge(rollback, "taken", actor="ann", time=ASKED + 9, note="")
    site.send("acknowledgements", encode(taken))
    site.send("actions", an_action(site, "a2"), an_action(site, "a3", requested_at=ASKED + 10))
    assert site.retrain(2).returncode == 0

    site.promote("4", ASKED + 20)
    # What is done is done, whatever has come since.
    site.send("actions", an_action(site, "a4"), an_action(site))
    assert site.retrain(2).returncode == 0
    assert results(site).keys() == {"a1", "a3"}
    notes = {one.action: one.note for one in site.said() if one.actor != "ann"}
    assert notes["a2"] == "version 3 was rolled back by ann since it was asked for"
    assert notes["a4"] == "version 4 was promoted since it was asked for"
    assert notes["a1"] == "a1 is there already"


def test_without_redis_nothing_is_done_and_the_action_comes_again(site: Site) -> None:
    site.send("actions", an_action(site))
    there = site.installation.redis_url
    site.installation.redis_url = "redis://127.0.0.1:1/0"
    done = site.retrain(1)
    assert done.returncode == 1 and "nobody can tell what is in force" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.said() == [] and results(site) == {}
    site.installation.redis_url = there
    assert site.retrain(1).returncode == 0
    assert results(site) == {"a1": "8"}


#: Says a lot, leaves a process running that keeps its output open, and fails.
TALK = """
import subprocess, sys
child = subprocess.Popen(["sleep", "600"])
open(sys.argv[1], "w").write(str(child.pid))
for i in range(60_000):
    print(f"epoch {i:06} " + "x" * 100)
sys.stdout.buffer.write(b"\\xff no text\\n")
sys.stdout.flush()
sys.exit("no labels yet")
"""


def test_of_an_endless_output_the_end_is_kept(site: Site) -> None:
    pid = site.installation.directory / "pid"
    site.send("actions", an_action(site))
    done = site.retrain(1, command=[sys.executable, "-c", TALK, str(pid)])
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert done.returncode == 0, done.stderr
    [said] = site.said()
    assert said.outcome == "failed" and "ended with 1: " in said.note
    assert said.note.endswith("\\xff no text\nno labels yet") and len(said.note) < 700
    logs = [Path(said.result["output"]), Path(said.result["output"] + ".1")]
    assert logs[0].read_text().endswith("no labels yet\n")
    assert sum(path.stat().st_size for path in logs) < 2.2 * 1024 * 1024
