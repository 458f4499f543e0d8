"""What a session of the combiner runs with where no broker is asked."""

import json
from typing import Any

import pytest
from confluent_kafka import KafkaError

from support.counting import NOW, FakeMessage, as_json, event
from tidegauge.roles.ingest import reader_writer

#: What says that a partition has been read to its end.
END = KafkaError(KafkaError._PARTITION_EOF)


class Clocks:
    """The wall's and the monotonic one, set by hand."""

    def __init__(self) -> None:
        self.wall = NOW
        self.monotonic = 1_000.0


def event_at(partition: int, offset: int) -> FakeMessage:
    return FakeMessage(as_json(event()), partition, offset)


class Committed:
    """Stands for the brokers: keeps what a flush commits, or fails as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: list[Exception] = []
        self.records: list[dict[str, Any]] = []
        #: Of other topics: each with its topic and its partition.
        self.others: list[tuple[str, int, dict[str, Any]]] = []
        self.letters: list[list[dict[str, Any]]] = []
        monkeypatch.setattr(reader_writer, "commit", self)

    def __call__(self, producer: object, **what: Any) -> None:
        records = [json.loads(record) for _, _, record in what["records"]]
        others = [(topic, p, json.loads(record)) for topic, p, record in what["others"]]
        if self.fails:
            raise self.fails.pop(0)
        self.records.extend(records)
        self.others.extend(others)
        self.letters.append([json.loads(letter) for letter in what["letters"]])


class QuietConsumer:
    """Answers for a group that is not there."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def consumer_group_metadata(self) -> None:
        return None

    def close(self) -> None:
        self._real.close()
