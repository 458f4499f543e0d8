"""Carries out retrain actions, each once: a pattern for anything that acts on an alert.

    python examples/retrainer.py --bootstrap-servers kafka:9092 --work models -- python train.py

For each retraining, the events it is about are written to ``events.jsonl`` in a directory, and the
command is run in there; whatever it leaves there is the result, under the id of the action.
Rollbacks and pages are for others, and passed by. Needs ``pip install tidegauge`` (and
``tidegauge[arrow]``, if producers send column batches).

Kafka hands an action out at least once. That it has one effect all the same is due to three things:

1. The result has the action's id for its name, and gets that name by one rename when it is whole.
   If it is there, the work is done, whoever did it.
2. The acknowledgement's id follows from the action and the outcome, so another one says no more.
3. The offset is committed last. A crash before that repeats only what 1 and 2 make harmless.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tidegauge.contract import (
    ARROW_MAGIC,
    Acknowledgement,
    Action,
    CountedRange,
    DecodingError,
    Outcome,
    acknowledge,
    decode,
    source_of,
    unwrap,
    wrap,
)

ACTOR = f"retrainer@{socket.gethostname()}"

#: A day, the longest that librdkafka allows: training holds up the next poll.
TRAINING_MS = 86_400_000


def main() -> None:
    """Carry out actions as they come, until interrupted, or so many."""
    given = parse()
    servers = {"bootstrap.servers": given.bootstrap_servers}
    consumer = Consumer(
        {
            **servers,
            "group.id": given.group,
            "enable.auto.commit": False,
            # An action that was asked for while nobody listened is still to be done.
            "auto.offset.reset": "earliest",
            "max.poll.interval.ms": TRAINING_MS,
            # One that is started again takes up where it was, without waiting for a timeout.
            **({"group.instance.id": given.member} if given.member else {}),
        }
    )
    producer = Producer({**servers, "enable.idempotence": True})
    consumer.subscribe([given.actions])
    done = 0
    try:
        while done != given.number:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error() is not None:
                raise KafkaException(message.error())
            action = read(message)
            if action is not None and action.kind == "retrain":
                send(producer, given.acknowledgements, answer(action, given))
            commit(consumer, message)
            done += 1
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Carry out tidegauge's retrain actions, once each")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    parser.add_argument("--actions", default="tidegauge.actions", metavar="TOPIC")
    parser.add_argument("--acknowledgements", default="tidegauge.acknowledgements", metavar="TOPIC")
    parser.add_argument("--group", default="retrainer")
    parser.add_argument("--member", help="name of this process in its group, if it has a fixed one")
    parser.add_argument("--work", type=Path, required=True, help="where results are put")
    parser.add_argument("--number", type=int, default=-1, help="end after so many actions")
    parser.add_argument("command", nargs="+", help="what trains: finds events.jsonl where it runs")
    return parser.parse_args()


def read(message: Message) -> Action | None:
    """Return the action; one that can't be read is said and passed over, for it never will be."""
    try:
        return decode(unwrap(message.value()), Action)  # it comes as a CloudEvent
    except DecodingError as error:
        print(f"{message.topic()} at offset {message.offset()}: {error}", file=sys.stderr)
        return None


def answer(action: Action, given: argparse.Namespace) -> Acknowledgement:
    """Carry the action out if it is meant and still good; say what became of it."""
    if action.dry_run:
        return said(action, "taken", "a dry run: nothing was done")
    if action.expires_at is not None and time.time() >= action.expires_at:
        return said(action, "failed", f"it was good until {action.expires_at}")
    return carry_out(action, given.work, given.command, given.bootstrap_servers)


def carry_out(action: Action, work: Path, command: Sequence[str], servers: str) -> Acknowledgement:
    """Train, unless that is done already, and say how it went."""
    result = work / action.id
    note = f"{result.name} is there already"
    if not result.exists():
        work.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f".{action.id}-", dir=work))
        try:
            events = write_events(action, directory / "events.jsonl", servers)
            trained = subprocess.run(command, cwd=directory, capture_output=True, text=True)
            if trained.returncode != 0:
                why = (trained.stderr.strip().splitlines() or ["it said nothing"])[-1]
                note = f"{command[0]} ended with {trained.returncode}: {why}"
                return said(action, "failed", note)
            publish(directory, result)
            note = f"trained on {events:,} events"
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return said(action, "taken", note, {"artefact": str(result)})


def said(
    action: Action, outcome: Outcome, note: str, result: dict[str, str] | None = None
) -> Acknowledgement:
    """Make the acknowledgement."""
    return acknowledge(action, outcome, actor=ACTOR, time=time.time(), note=note, result=result)


def write_events(action: Action, path: Path, servers: str) -> int:
    """Write the events of the action's model from its range of data; return how many."""
    events = 0
    with path.open("wb") as file:
        for counted in action.data.offsets if action.data else []:
            for value in records(counted, servers):
                for event in rows(value):
                    if event.get("model") == action.model:
                        file.write(msgspec.json.encode(event) + b"\n")
                        events += 1
    return events


def records(counted: CountedRange, servers: str) -> Iterator[bytes]:
    """Yield the records of one partition from ``start`` up to ``to``, as far as they are kept."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "retrainer-data",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(counted.topic, counted.partition, counted.start)])
        while True:
            message = consumer.poll(30.0)
            if message is None:
                raise TimeoutError(f"no answer for {counted.topic}/{counted.partition} in 30 s")
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if error is not None or message.offset() >= counted.to:
                return
            yield message.value() or b""
            if message.offset() == counted.to - 1:
                return
    finally:
        consumer.close()


def rows(value: bytes) -> Iterator[dict[str, object]]:
    """Yield the events of a record: one, or those of a column batch; none if it is neither."""
    if value.startswith(ARROW_MAGIC):
        import pyarrow as pa

        with pa.ipc.open_stream(value) as stream:
            yield from stream.read_all().to_pylist()
        return
    try:
        yield decode(value, dict[str, object])
    except DecodingError:
        return  # tidegauge has made a dead letter of it


def publish(directory: Path, result: Path) -> None:
    """Give a finished result its name; if somebody else was faster, theirs stays."""
    try:
        os.rename(directory, result)
    except OSError:
        if not result.exists():
            raise


def send(producer: Producer, topic: str, acknowledgement: Acknowledgement) -> None:
    """Acknowledge; raises if the brokers don't take it, and then nothing is committed."""
    value, headers = wrap(acknowledgement, source_of(ACTOR), "binary")
    producer.produce(topic, value, key=acknowledgement.action, headers=headers)
    if producer.flush(30) != 0:
        raise TimeoutError(f"{topic} didn't take the acknowledgement in 30 s")


def commit(consumer: Consumer, message: Message) -> None:
    """Say that the action needn't be handed out again."""
    consumer.commit(message, asynchronous=False)


if __name__ == "__main__":
    main()
