"""Carries out retrain actions, each once: a pattern for every program that acts on alerts.

    python examples/retrainer.py --work models --then ./promote.sh -- python train.py

For each action, the events of its data range are written to ``events.jsonl`` in a directory, in
which the command runs; the files that it leaves there are the result, named by the id of the
action. ``logs`` has the output of the command, a file for each action. ``--then`` runs in the
result after it has its name. Promote the result in ``--then``, not in the command, which a crash
may interrupt half-way; ``--then`` may run twice. Rollbacks and pages are ignored. Needs the extra
``tidegauge[processor]``; brokers, topics and Redis are those of ``tidegauge.yaml`` and
``TIDEGAUGE_…``, as for a worker.

Kafka delivers an action at least once. It has one effect for three reasons:

1. The result is named by the action's id, and gets that name by one rename when it is complete. If
   it exists, the work is done, by whichever process.
2. The acknowledgement's id is computed from the action and the outcome, so a second one has no
   further effect.
3. The offset is committed last. A crash before that repeats only what 1 and 2 make harmless.

If a retrainer is killed, its command runs on. The result of that command gets no name, and the next
retrainer waits for its end before it trains.
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

#: A day, the longest that librdkafka allows, because training delays the next poll.
TRAINING_MS = 86_400_000

#: The end of a training's output is kept, in two files of at most this size.
KEPT_BYTES = 1024 * 1024
LONGEST_LINE = 64 * 1024

#: An acknowledgement quotes the last lines of it, up to this number of characters.
QUOTED_LINES, QUOTED_CHARACTERS = 5, 500


def main() -> None:
    """Carry out actions until interrupted, or a given number of them."""
    given, settings = parse(), load_settings()
    consumer = Consumer(
        {
            **settings.kafka.librdkafka(),
            "group.id": given.group,
            "enable.auto.commit": False,
            # Actions that were requested while no retrainer ran are still to be done.
            "auto.offset.reset": "earliest",
            "max.poll.interval.ms": TRAINING_MS,
            # A restarted member gets its partitions back without waiting for a timeout.
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
    """Return the action. An invalid record is printed and skipped, as a retry can't help."""
    try:
        return decode(unwrap(message.value()), Action)  # the record is a CloudEvent
    except DecodingError as error:
        print(f"{message.topic()} at offset {message.offset()}: {error}", file=sys.stderr)
        return None


class Training:
    """The command, and what runs in its result afterwards. Both hold ``lock`` while they run."""

    def __init__(self, given: argparse.Namespace, lock: int) -> None:
        self.command: list[str] = given.command
        self.then: list[str] = given.then
        self.lock = lock


@contextmanager
def alone(work: Path) -> Iterator[int]:
    """Wait for the end of commands that another retrainer of this directory has started."""
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
            # This includes processes that the command left running, which still have it open.
            fcntl.flock(file, fcntl.LOCK_UN)


def answer(action: Action, settings: Settings, work: Path, training: Training) -> Acknowledgement:
    """Carry the action out if it is valid and not a dry run, and acknowledge the outcome."""
    result = work / action.id
    if action.dry_run:
        return said(action, "taken", "a dry run: nothing was done")
    if result.exists():  # first of all: the work is done, whatever has happened since
        return finish(action, result, training, f"{result.name} is there already", {})
    if action.expires_at is not None and time.time() >= action.expires_at:
        return said(action, "failed", f"it was good until {action.expires_at}")
    left = why_not_in_force(action, settings)
    if left is not None:
        return said(action, "failed", left)
    return carry_out(action, settings, result, training)


def why_not_in_force(action: Action, settings: Settings) -> str | None:
    """Return why the action's version is no longer active; None if it is.

    Raises ``StoreUnavailable`` or ``KafkaException`` if this can't be determined. Then nothing is
    committed, and a restarted process gets the action again.
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
    """Print that a record was skipped."""
    print(f"{place} is {why}", file=sys.stderr)


def carry_out(
    action: Action, settings: Settings, result: Path, training: Training
) -> Acknowledgement:
    """Train, and return the outcome."""
    work, command = result.parent, training.command
    for left in work.glob(f".{action.id}-*"):  # left by a killed retrainer
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
    """Run ``--then`` in a result; again if a crash prevented the acknowledgement."""
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
    """The number of events in a file, of those not read, and the reason of the first."""

    events: int = 0
    skipped: int = 0
    first: str = ""

    def skip(self, place: str, why: str) -> None:
        """Count what could not be read."""
        self.first = self.first or f"{place} is {why}"
        self.skipped += 1


def write_events(action: Action, path: Path, settings: Settings) -> Written:
    """Write the events of the action's model from its data range, in the form they were sent."""
    written = Written()
    offsets = action.data.offsets if action.data else []
    with path.open("wb") as file:
        for event in read_events(settings, offsets, skipped=written.skip):
            if event.model == action.model:
                file.write(encode(event) + b"\n")
                written.events += 1
    return written


def run(command: Sequence[str], directory: Path, output: Path, lock: int) -> tuple[int, str]:
    """Run the command with its output in a file; return its exit code and last output."""
    output.parent.mkdir(exist_ok=True)
    last: deque[str] = deque(maxlen=QUOTED_LINES)
    # Not closed here: processes that the command leaves running may still write to it.
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
    """Write lines to a file of bounded size, dropping the oldest; keep the last ones in memory."""
    file = RotatingFileHandler(path, maxBytes=KEPT_BYTES, backupCount=1, encoding="utf-8")
    with closing(file), pipe:
        while line := pipe.readline(LONGEST_LINE):
            text = line.decode(errors="backslashreplace").rstrip()
            file.emit(logging.makeLogRecord({"msg": text}))
            last.append(text)


def publish(directory: Path, result: Path) -> None:
    """Give a finished result its name; a result that already exists is kept."""
    try:
        os.rename(directory, result)
    except OSError:
        if not result.exists():
            raise


def send(producer: Producer, topic: str, acknowledgement: Acknowledgement) -> None:
    """Acknowledge; raises if the brokers don't accept it, and then nothing is committed."""
    value, headers = wrap(acknowledgement, source_of(ACTOR), "binary")
    producer.produce(topic, value, key=acknowledgement.action, headers=headers)
    if producer.flush(30) != 0:
        raise TimeoutError(f"{topic} didn't take the acknowledgement in 30 s")


def commit(consumer: Consumer, message: Message) -> None:
    """Commit the offset, so that the action is not delivered again."""
    consumer.commit(message, asynchronous=False)


if __name__ == "__main__":
    main()
