"""The example consumer of actions: whatever is handed out twice or dies half-way, one effect."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from support import dying_retrainer
from support.kafka_broker import KafkaBroker, unique
from support.kafka_reader import TopicReader
from tidegauge.contract import Acknowledgement, Action, CountedRange, DataRange, encode

pytestmark = pytest.mark.timeout(120)

#: Trains by counting its events; notes outside of its directory that it ran.
TRAIN = """
import pathlib, sys
events = pathlib.Path("events.jsonl").read_text().splitlines()
pathlib.Path("model").write_text(str(len(events)))
with open(sys.argv[1], "a") as runs:
    runs.write("run\\n")
"""


@dataclass
class Site:
    """Topics of one test, and what the retrainer left."""

    directory: Path
    broker: KafkaBroker
    name: str

    @property
    def runs(self) -> Path:
        return self.directory / "runs"

    def topic(self, kind: str) -> str:
        return f"{self.name}.{kind}"

    def send(self, kind: str, *values: bytes) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 2})
        for value in values:
            producer.produce(self.topic(kind), value, partition=0)
        assert producer.flush(30) == 0

    def retrain(
        self, number: int, *, program: Sequence[str] = (), command: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        options = {
            "bootstrap-servers": self.broker.bootstrap_servers,
            "actions": self.topic("actions"),
            "acknowledgements": self.topic("acknowledgements"),
            "group": self.name,
            "member": "only",
            "work": str(self.directory / "work"),
            "number": str(number),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        train = command or (sys.executable, "-c", TRAIN, str(self.runs))
        return subprocess.run(
            [sys.executable, *(program or [str(dying_retrainer.EXAMPLE)]), *words, "--", *train],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def said(self) -> list[Acknowledgement]:
        with closing(TopicReader(self.broker, self.topic("acknowledgements"))) as reader:
            return [
                msgspec.json.decode(message.value(), type=Acknowledgement)
                for message in reader.more()
            ]

    def committed(self) -> int:
        consumer = Consumer(
            {"bootstrap.servers": self.broker.bootstrap_servers, "group.id": self.name}
        )
        try:
            [at] = consumer.committed([TopicPartition(self.topic("actions"), 0)], timeout=30)
            return int(at.offset)
        finally:
            consumer.close()


EVENTS = 20


@pytest.fixture
def site(tmp_path: Path, kafka_broker: KafkaBroker) -> Site:
    one = Site(tmp_path, kafka_broker, unique("retrain"))
    kafka_broker.create_topics(
        {one.topic(kind): 1 for kind in ("actions", "acknowledgements", "predictions")}
    )
    events = [
        {"time": 1.0 + i, "model": "credit" if i % 2 else "other", "version": "3", "features": {}}
        for i in range(EVENTS)
    ]
    one.send("predictions", *(json.dumps(event).encode() for event in events), b"no event")
    return one


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
        requested_at=60,
        reason="drift",
        data=DataRange(since=0.0, until=60.0, offsets=offsets),
    )
    return encode(msgspec.structs.replace(action, **changes))


def results(site: Site) -> dict[str, str]:
    return {
        path.parent.name: path.read_text() for path in (site.directory / "work").glob("[!.]*/model")
    }


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


def test_what_fails_is_no_action_or_not_to_be_done_holds_up_nobody(site: Site) -> None:
    site.send("actions", an_action(site), b"no action")
    site.send("actions", an_action(site, "a2", expires_at=61), an_action(site, "a3", dry_run=True))
    fail = [sys.executable, "-c", "import sys; sys.exit('no labels yet')"]
    done = site.retrain(4, command=fail)
    assert done.returncode == 0, done.stderr
    assert "at offset 1: JSON is malformed" in done.stderr
    failed, late, dry = site.said()
    assert failed.outcome == "failed" and "ended with 1: no labels yet" in failed.note
    assert (late.outcome, late.note) == ("failed", "it was good until 61")
    assert (dry.outcome, dry.note) == ("taken", "a dry run: nothing was done")
    assert results(site) == {} and list((site.directory / "work").iterdir()) == []
    assert site.committed() == 4
