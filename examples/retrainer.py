"""Carries out retrain actions, each once: a pattern for anything that acts on an alert.

    python examples/retrainer.py --work models --then ./promote.sh -- python train.py

For each retraining, the events it is about are written to ``events.jsonl`` in a directory, and the
command is run in there; whatever it leaves there is the result, under the id of the action. What
the command prints is in ``logs``, a file for each action. ``--then`` is run in the result once it
has its name: the place to promote it, and not the command, of which a crash may leave half. It may
be run twice. Rollbacks and pages are for others, and
passed by. Needs the extra ``tidegauge[processor]``; brokers, topics and Redis are those of
``tidegauge.yaml`` and ``TIDEGAUGE_…``, as for a worker.

Kafka hands an action out at least once. That it has one effect all the same is due to three things:

1. The result has the action's id for its name, and gets that name by one rename when it is whole.
   If it is there, the work is done, whoever did it.
2. The acknowledgement's id follows from the action and the outcome, so another one says no more.
3. The offset is committed last. A crash before that repeats only what 1 and 2 make harmless.

A command whose retrainer was killed runs on. Its result gets no name, and nothing is trained beside
it: the next retrainer waits for its end.
"""

import argparse
import fcntl
import logging
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, cast

from confluent_kafka import Consumer, KafkaException, Message, Producer

from tidegauge.baseline.io import BaselineStore, StoreUnavailable, newer_version
from tidegauge.config import Settings, load_settings
from tidegauge.contract import (
    Acknowledgement,
    Action,
    DecodingError,
    Outcome,
    acknowledge,
    decode,
    encode,
    source_of,
    unwrap,
    wrap,
)
from tidegauge.kafka import read_topic
from tidegauge.roles.ingest import read_events

ACTOR = f"retrainer@{socket.gethostname()}"

#: A day, the longest that librdkafka allows: training holds up the next poll.
TRAINING_MS = 86_400_000

#: What is kept of the output of a training: its end, in a file and the one before it of this size.
KEPT_BYTES = 1024 * 1024
LONGEST_LINE = 64 * 1024

#: What of it an acknowledgement quotes: the last lines, and no more than so many characters.
QUOTED_LINES, QUOTED_CHARACTERS = 5, 500


def main() -> None:
    """Carry out actions as they come, until interrupted, or so many."""
    given, settings = parse(), load_settings()
    consumer = Consumer(
        {
            **settings.kafka.librdkafka(),
            "group.id": given.group,
            "enable.auto.commit": False,
            # An action that was asked for while nobody listened is still to be done.
            "auto.offset.reset": "earliest",
            "max.poll.interval.ms": TRAINING_MS,
            # One that is started again takes up where it was, without waiting for a timeout.
            **({"group.instance.id": given.member} if given.member else {}),
        }
    )
    producer = Producer({**settings.kafka.librdkafka(), "enable.idempotence": True})
    consumer.subscribe([settings.topics.actions])
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
                with alone(given.work) as lock:
                    said = answer(action, settings, given.work, Training(given, lock))
                send(producer, settings.topics.acknowledgements, said)
            commit(consumer, message)
            done += 1
    except StoreUnavailable as error:
        sys.exit(f"{error}: nobody can tell what is in force; start me again")
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Carry out tidegauge's retrain actions, once each")
    parser.add_argument("--group", default="retrainer")
    parser.add_argument("--member", help="name of this process in its group, if it has a fixed one")
    parser.add_argument("--work", type=Path, required=True, help="where results are put")
    parser.add_argument("--number", type=int, default=-1, help="end after so many actions")
    parser.add_argument("--then", type=shlex.split, default=[], help="run in each result")
    parser.add_argument("command", nargs="+", help="what trains: finds events.jsonl where it runs")
    return parser.parse_args()


def read(message: Message) -> Action | None:
    """Return the action; one that can't be read is said and passed over, for it never will be."""
    try:
        return decode(unwrap(message.value()), Action)  # it comes as a CloudEvent
    except DecodingError as error:
        print(f"{message.topic()} at offset {message.offset()}: {error}", file=sys.stderr)
        return None


class Training:
    """What is run: the command, and what follows in its result. Both hold ``lock`` meanwhile."""

    def __init__(self, given: argparse.Namespace, lock: int) -> None:
        self.command: list[str] = given.command
        self.then: list[str] = given.then
        self.lock = lock


@contextmanager
def alone(work: Path) -> Iterator[int]:
    """Wait until no command runs that another retrainer of this directory has started."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("a command of another retrainer still runs; waiting for its end", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file.fileno()
        finally:
            # Also for what the command has left running on purpose, which has it open still.
            fcntl.flock(file, fcntl.LOCK_UN)


def answer(action: Action, settings: Settings, work: Path, training: Training) -> Acknowledgement:
    """Carry the action out if it is meant and still good; say what became of it."""
    result = work / action.id
    if action.dry_run:
        return said(action, "taken", "a dry run: nothing was done")
    if result.exists():  # before all else: what is done is done, whatever has happened since
        return finish(action, result, training, f"{result.name} is there already", {})
    if action.expires_at is not None and time.time() >= action.expires_at:
        return said(action, "failed", f"it was good until {action.expires_at}")
    left = why_not_in_force(action, settings)
    if left is not None:
        return said(action, "failed", left)
    return carry_out(action, settings, result, training)


def why_not_in_force(action: Action, settings: Settings) -> str | None:
    """Return why the action's version is not in force any more; None if it is.

    Raises ``StoreUnavailable`` or ``KafkaException`` if nobody can tell: then nothing is committed,
    and the action is handed out again to a process that is started again.
    """
    redis = settings.redis
    store = BaselineStore(redis.url, password=redis.plain_password, prefix=redis.prefix)
    try:
        pointers = store.snapshot().promoted
    finally:
        store.close()
    newer = newer_version(pointers, action.model, action.version, action.requested_at)
    if newer is not None:
        return f"version {newer} was promoted since it was asked for"
    rollbacks = {
        one.id
        for one in read_topic(settings.kafka, settings.topics.actions, Action, unreadable)
        if one.kind == "rollback" and (one.model, one.version) == (action.model, action.version)
    }
    for one in read_topic(
        settings.kafka, settings.topics.acknowledgements, Acknowledgement, unreadable
    ):
        taken = one.outcome == "taken" and one.time >= action.requested_at
        if taken and one.action in rollbacks:
            return f"version {action.version} was rolled back by {one.actor} since it was asked for"
    return None


def unreadable(place: str, why: str) -> None:
    """Say that a record was passed over."""
    print(f"{place} is {why}", file=sys.stderr)


def carry_out(
    action: Action, settings: Settings, result: Path, training: Training
) -> Acknowledgement:
    """Train, and say how it went."""
    work, command = result.parent, training.command
    for left in work.glob(f".{action.id}-*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{action.id}-", dir=work))
    try:
        written = write_events(action, directory / "events.jsonl", settings)
        but = f"; {written.skipped:,} not read, the first: {written.first}" * bool(written.skipped)
        if not written.events:
            return said(action, "failed", f"no event of {action.model} in its data{but}")
        output = work / "logs" / f"{action.id}.log"
        code, last = run(command, directory, output, training.lock)
        kept = {"output": str(output), "output_ends_with": last}
        if code != 0:
            note = f"{command[0]} ended with {code}: {last or 'it said nothing'}"
            return said(action, "failed", note, kept)
        publish(directory, result)
        note = f"trained on {written.events:,} events{but}"
        return finish(action, result, training, note, kept)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def finish(
    action: Action, result: Path, training: Training, note: str, kept: dict[str, str]
) -> Acknowledgement:
    """Run what follows in a result, again if a crash has kept it from being acknowledged."""
    kept = {"artefact": str(result), **kept}
    if training.then:
        output = result.parent / "logs" / f"{action.id}.then.log"
        code, last = run(training.then, result, output, training.lock)
        if code != 0:
            failed = f"{training.then[0]} ended with {code}: {last or 'it said nothing'}"
            return said(action, "failed", f"{note}, but {failed}", kept)
    return said(action, "taken", note, kept)


def said(
    action: Action, outcome: Outcome, note: str, result: dict[str, str] | None = None
) -> Acknowledgement:
    """Make the acknowledgement."""
    return acknowledge(action, outcome, actor=ACTOR, time=time.time(), note=note, result=result)


@dataclass
class Written:
    """How many events a file has; how many were not read, and of the first why."""

    events: int = 0
    skipped: int = 0
    first: str = ""

    def skip(self, place: str, why: str) -> None:
        """Count what could not be read."""
        self.first = self.first or f"{place} is {why}"
        self.skipped += 1


def write_events(action: Action, path: Path, settings: Settings) -> Written:
    """Write the events of the action's model from its data, in the form that they were sent in."""
    written = Written()
    offsets = action.data.offsets if action.data else []
    with path.open("wb") as file:
        for event in read_events(settings, offsets, skipped=written.skip):
            if event.model == action.model:
                file.write(encode(event) + b"\n")
                written.events += 1
    return written


def run(command: Sequence[str], directory: Path, output: Path, lock: int) -> tuple[int, str]:
    """Run the command with its output in a file; return its exit code, and the last it said."""
    output.parent.mkdir(exist_ok=True)
    last: deque[str] = deque(maxlen=QUOTED_LINES)
    # Not closed here: what the command leaves running may hold its end open, and be read on.
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
    )
    pipe = cast("IO[bytes]", process.stdout)
    keeper = threading.Thread(target=keep, args=(pipe, output, last), daemon=True)
    keeper.start()
    code = process.wait()
    keeper.join(5)
    return code, "\n".join([*last])[-QUOTED_CHARACTERS:]


def keep(pipe: IO[bytes], path: Path, last: deque[str]) -> None:
    """Write lines to a file of bounded size, the oldest go first; the last of them also to hand."""
    file = RotatingFileHandler(path, maxBytes=KEPT_BYTES, backupCount=1, encoding="utf-8")
    with closing(file), pipe:
        while line := pipe.readline(LONGEST_LINE):
            text = line.decode(errors="backslashreplace").rstrip()
            file.emit(logging.makeLogRecord({"msg": text}))
            last.append(text)


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
