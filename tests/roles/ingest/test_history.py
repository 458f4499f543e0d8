"""Events are read back as they are counted: whatever a record holds, as many, and as they were."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME

from support.counting import (
    NOW,
    FakeMessage,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    cells_of,
    event,
)
from support.hostile import hostile_records, in_unknown_fields
from tidegauge.config.sections import IngestSettings
from tidegauge.contract import encode
from tidegauge.kafka.reader import refuse
from tidegauge.roles.ingest.history import EventReader, RecordedEvent


@dataclass
class Stored(FakeMessage):
    """A message as Kafka keeps it."""

    def topic(self) -> str:
        return "predictions"

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, int(NOW * 1000)


def read(value: bytes | None) -> tuple[list[RecordedEvent], list[str]]:
    skipped: list[str] = []
    reader = EventReader(IngestSettings(), lambda place, why: skipped.append(f"{place} is {why}"))
    return list(reader.events(Stored(value, 0, 7))), skipped


def counted(value: bytes | None) -> int:
    counter, tenure = a_counter(), a_tenure()
    counter.count([FakeMessage(value, 0, 7)], tenure)
    counter.settle(tenure)
    return sum(cell.events for cell in cells_of(tenure).values())


def _cloud_event(data: Any) -> bytes:
    return as_json(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "x", "data": data}
    )


_TIMES = pa.array([NOW, float("nan"), NOW])

SENT = {"time": NOW, "model": "m", "version": "1", "id": "i", "features": {"x": 1}}

RECORDS: dict[str, bytes | None] = {
    "event": as_json(event(features={"x": 1.0})),
    "cloud event": _cloud_event(event()),
    "batch": as_arrow({"time": _TIMES}),
    "models by row": as_arrow(
        {"time": _TIMES, "model": pa.array(["a", "b", ""]), "version": pa.array(["1"] * 3)}, {}
    ),
    "times without a zone": as_arrow({"time": pa.array([0], pa.timestamp("s"))}),
    "tombstone": None,
    "cut off": as_arrow({"time": _TIMES})[:-30],
    **{f"hostile {i}": it for i, it in enumerate(hostile_records(as_json(SENT)))},
    **{f"unknown {i}": it for i, it in enumerate(in_unknown_fields(as_json(SENT)))},
}


@pytest.mark.parametrize("name", RECORDS)
def test_as_many_events_are_read_as_are_counted(name: str) -> None:
    events, skipped = read(RECORDS[name])
    assert len(events) == counted(RECORDS[name])
    assert all("at offset 7" in one and " is no event: " in one for one in skipped)
    assert events or skipped


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_written_of_an_event_is_that_event_again(name: str) -> None:
    for one in read(RECORDS[name])[0]:
        [again], _ = read(encode(one))
        assert again == one


def test_absent_null_and_not_finite_stay_three_things() -> None:
    features = {"a": None, "b": "NaN", "c": 1, "d": "x", "e": True}
    sent = SENT | {"features": features}
    [one], _ = read(as_json(sent))
    assert json.loads(encode(one)) == sent
    # Tokens that are no JSON are taken, as INGEST takes them.
    [one], _ = read(as_json(sent).replace(b'"NaN"', b"-Infinity"))
    assert json.loads(encode(one))["features"]["b"] == "-Infinity"


def test_by_default_what_is_no_event_is_an_error_that_names_its_place() -> None:
    reader = EventReader(IngestSettings(), refuse)
    rows = Stored(as_arrow({"time": _TIMES}), 3, 7)
    with pytest.raises(ValueError, match=r"^predictions/3 at offset 7, row 1 is no event: time is"):
        list(reader.events(rows))
