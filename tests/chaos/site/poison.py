"""Records that nobody can use, on every topic that workers read, and whether each is accounted for.

A record of the source, of alerts or of facts must become one dead letter or one entry of the audit
trail; of the others a worker must say that it skipped it, with topic, partition and offset.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from chaos.judge.findings import OutputRecord
from chaos.judge.recreation import Deleted
from chaos.site.topics import number_by_id, numbered
from chaos.site.unforeseen import UNFORESEEN
from chaos.source import SourceRecord
from support.kafka_broker import KafkaBroker
from support.kafka_cluster import KafkaCluster
from support.product import Installation

#: What is read by which role: INGEST, OUTCOMES, DETECT, NOTIFY, LEDGER, and what people say.
KINDS = (
    "predictions",
    "labels",
    "outcomes",
    "histograms",
    "alerts_history",
    "audit_facts",
    "acknowledgements",
    "silences",
    "configuration",
)

#: Of these each is answered by a record; of the others a worker says in its log what it skipped.
_LETTERS = {"predictions": None, "labels": None, "alerts_history": "hook"}
_TRAIL = "audit_facts"

_DELIVERY_SECONDS = 60.0
_DEPTH = 6_000


class Place(NamedTuple):
    """Where a record is."""

    partition: int
    offset: int


def values(dice: random.Random) -> list[bytes]:
    """Return records that are of no topic, some of them drawn."""
    deep = b'{"x":' * _DEPTH + b"1" + b"}" * _DEPTH
    return [
        # The marker of ``chaos.site.mutations``: work on it fails in a way that nobody foresaw.
        UNFORESEEN,
        deep,
        b"[" * _DEPTH,
        b'{"specversion":"1.0","data":' + deep + b"}",
        b'{"time":"\\ud800","model":"m0","version":"1"}',
        b'{"time":1,"model":"\\udfff","version":"1"}',
        b'{"model":"m0","version":"1","time":1,"features":{"\xff":1}}',
        b"\x00\x00\x00\x00\x07not of a registry",
        b"\xff" + dice.randbytes(dice.randrange(1, 3_000)),
        b"null",
        b"17.5",
        b'"text"',
        b"{}",
        # Valid JSON, and nearly a record of histograms.
        json.dumps({"tenure": "t", "seq": 1, "ranges": {}, "cells": [{"model": "m0"}]}).encode(),
        json.dumps({"tenure": 17, "seq": -(2**63), "ranges": [], "cells": {}}).encode(),
        # And of alerts, facts and what people say.
        json.dumps({"id": 17, "state": "firing", "model": {"m0": 1}}).encode(),
        json.dumps({"id": "x", "event": [], "model": "m0"}).encode(),
        json.dumps({"fingerprint": None, "until": "never", "kind": "silence"}).encode(),
    ]


class Poison:
    """Sends records that nobody can use, and knows where they are."""

    def __init__(self, broker: KafkaBroker | KafkaCluster, installation: Installation) -> None:
        self._broker = broker
        self._installation = installation
        self.places: dict[str, dict[Place, bytes]] = defaultdict(dict)
        #: Which topic of its name the source is just now; see topics.py.
        self.topic = 0
        #: Of those that it was before, what nobody had counted when they were deleted.
        self._gone: set[Place] = set()

    def send(self, seed: int) -> int:
        """Send each value to a drawn partition of each topic; return how many there are.

        Raises ``RuntimeError`` if not all were delivered.
        """
        dice = random.Random(f"poison of {seed}")
        producer = Producer(
            {
                "bootstrap.servers": self._broker.bootstrap_servers,
                "enable.idempotence": True,
                "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )
        failed: list[str] = []
        sent = 0
        for kind in KINDS:
            topic = self._installation.topic(kind)
            partitions = len(
                producer.list_topics(topic, timeout=_DELIVERY_SECONDS).topics[topic].partitions
            )
            for value in values(dice):

                def delivered(error: KafkaError | None, message: Message, kind: str = kind) -> None:
                    if error is not None:
                        failed.append(f"{kind}: {error}")
                        return
                    place = Place(message.partition() or 0, message.offset() or 0)
                    if kind == "predictions":
                        place = Place(numbered(place.partition, self.topic), place.offset)
                    self.places[kind][place] = message.value() or b""

                producer.produce(
                    topic,
                    value,
                    key=b"nobody",
                    partition=dice.randrange(partitions),
                    on_delivery=delivered,
                )
                sent += 1
        left = producer.flush(_DELIVERY_SECONDS)
        if failed or left:
            raise RuntimeError(f"poison was not delivered: {left} left, {failed[:3]}")
        return sent

    def has(self, kind: str, partition: int | None, offset: int | None) -> bool:
        """Whether a record is one of these."""
        place = (partition, offset)
        return place in self.places.get(kind, {}) or (kind == "predictions" and place in self._gone)

    def forget_uncounted(self, gone: Deleted) -> None:
        """Expect nothing any more of records of a deleted topic that nobody had counted."""
        for place in [*self.places["predictions"]]:
            if gone.has_lost(*place):
                del self.places["predictions"][place]
                self._gone.add(place)

    def without_own(self, records: Iterable[SourceRecord]) -> Iterator[SourceRecord]:
        """Yield the records of the source that are not, by the numbers of partitions."""
        return (one for one in records if not self.has("predictions", one[0], one[1]))

    def without(self, kind: str, records: Iterable[OutputRecord]) -> list[OutputRecord]:
        """Return the records of a topic that are not."""
        return [one for one in records if not self.has(kind, one.partition, one.offset)]


def without_answers(
    poison: Poison,
    installation: Installation,
    letters: Iterable[OutputRecord],
    topic_ids: Sequence[str] = (),
) -> tuple[list[OutputRecord], list[OutputRecord]]:
    """Return the dead letters of other records, and those of poison.

    ``topic_ids`` are those of the topics that the source has been.
    """
    topics = {installation.topic(kind): kind for kind in _LETTERS}
    others, answers = [], []
    for record in letters:
        letter = json.loads(record.value)
        kind = topics.get(letter["topic"], "")
        is_answer = poison.has(kind, *_place(letter, kind, topic_ids))
        (answers if is_answer else others).append(record)
    return others, answers


def _place(letter: Mapping[str, Any], kind: str, topic_ids: Sequence[str]) -> Place:
    number: int | None = letter["partition"]
    if kind == "predictions":
        number = number_by_id(letter["partition"], letter.get("topic_id", ""), topic_ids)
    return Place(-1 if number is None else number, letter["offset"])


def judge_poison(
    poison: Poison,
    installation: Installation,
    answers: Iterable[OutputRecord],
    trail: Iterable[OutputRecord],
    logs: Sequence[Path],
    topic_ids: Sequence[str] = (),
) -> list[str]:
    """Say which records of poison are not accounted for, or more than once."""
    found = [
        *_judge_letters(poison, installation, answers, topic_ids),
        *_judge_trail(poison, trail),
    ]
    said = "\n".join(log.read_text(errors="replace") for log in logs if log.exists())
    for kind in KINDS:
        if kind in _LETTERS or kind == _TRAIL:
            continue
        topic = installation.topic(kind)
        for place, value in poison.places.get(kind, {}).items():
            name = f"{topic}/{place.partition} at offset {place.offset} is s"
            if f"{name}kipped" not in said and f"{name}et aside" not in said:
                found.append(f"LOST: nobody says that {_named(kind, place, value)} was skipped")
    return found


def _judge_letters(
    poison: Poison,
    installation: Installation,
    answers: Iterable[OutputRecord],
    topic_ids: Sequence[str],
) -> Iterator[str]:
    kinds = {installation.topic(kind): kind for kind in _LETTERS}
    counts: dict[tuple[str, Place], int] = defaultdict(int)
    for record in answers:
        letter = json.loads(record.value)
        kind = kinds[letter["topic"]]
        counts[kind, _place(letter, kind, topic_ids)] += 1
    for kind, receiver in _LETTERS.items():
        for place, value in poison.places.get(kind, {}).items():
            number = counts[kind, place]
            if number == 0:
                yield f"LOST: there is no dead letter of {_named(kind, place, value)}"
            elif number > 1 and receiver is None:
                # What NOTIFY says it may say again.
                yield f"DUPLICATED: {number} dead letters of {_named(kind, place, value)}"


def _judge_trail(poison: Poison, trail: Iterable[OutputRecord]) -> Iterator[str]:
    refused = sum(is_refusal(json.loads(record.value)) for record in trail)
    expected = len(poison.places.get(_TRAIL, {}))
    if refused != expected:
        yield f"WRONG: {refused} facts were refused in the audit trail, expected {expected}"


def is_refusal(record: Mapping[str, object]) -> bool:
    """Whether a record of the trail stands for a fact that was none."""
    return record.get("event") == "fact.refused"


def _named(kind: str, place: Place, value: bytes) -> str:
    return f"{kind} {place.partition}@{place.offset} ({value[:30]!r}, {len(value)} bytes)"
