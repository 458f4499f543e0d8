"""The events of a run: the same for the same seed, sound but for a few, and shaped by time."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from chaos.plan.faults import MORE_PARTITIONS, SOURCE_PARTITIONS, Fault
from chaos.site.hold import End
from chaos.traffic import (
    BAD_SHARE,
    Events,
    Jump,
    drifts,
    grown_at,
    jumps_of,
    reference_csv,
    send,
)

NOW = 1_750_000_000.0  # no drift in these ten seconds


def sound(events: list[bytes | None]) -> list[dict[str, Any]]:
    """Return those that are JSON of a model, whatever their time."""
    found = []
    for event in events:
        try:
            fields = json.loads(event or b"")
        except ValueError:
            continue
        if "model" in fields:
            found.append(fields)
    return found


def make(seed: int, number: int, now: float = NOW) -> tuple[Events, list[bytes | None]]:
    source = Events(seed)
    return source, [source.next(now) for _ in range(number)]


def test_the_same_seed_makes_the_same_events() -> None:
    _, one = make(3, 12_000)
    _, other = make(3, 12_000)
    _, another = make(4, 12_000)
    assert one == other
    assert one != another


def test_events_are_numbered_and_about_200_bytes() -> None:
    source, events = make(1, 20_000)
    assert source.made == 20_000
    whole = sound(events)
    numbers = [int(event["id"]) for event in whole]
    assert numbers == sorted(set(numbers))
    mean = np.mean([len(event or b"") for event in events])
    assert 150 < mean < 220
    assert {event["model"] for event in whole} == {f"m{n}" for n in range(8)}
    canaries = [event for event in whole if event["variant"] == "canary"]
    assert {event["model"] for event in canaries} == {"m0"}
    assert 0.07 < len(canaries) / sum(event["model"] == "m0" for event in whole) < 0.13


def test_one_in_a_thousand_is_bad_in_each_of_the_ways() -> None:
    source, events = make(2, 200_000)
    assert 0.7 * BAD_SHARE < source.bad / len(events) < 1.3 * BAD_SHARE
    whole = sound(events)
    good = [event for event in whole if NOW - 1.001 < event["time"] <= NOW]
    assert len(good) == len(events) - source.bad
    assert any(event["time"] > NOW + 80_000 for event in whole)
    assert any(event["time"] < 946_684_800 for event in whole)
    assert any(event is None for event in events)
    assert any(event == b"" for event in events)
    assert any(event is not None and len(event) == 3_000 for event in events)
    assert any(event is not None and b"modell" in event for event in events)


def test_m1_drifts_and_m2_is_slow_in_turns() -> None:
    assert not drifts(NOW) and drifts(NOW + 10) and not drifts(NOW + 20)
    _, quiet = make(5, 40_000, NOW + 5)
    _, moved = make(5, 40_000, NOW + 15)
    mean: dict[tuple[str, str], float] = {}
    for name, events in (("quiet", quiet), ("moved", moved)):
        rows = sound(events)
        mean[name, "x"] = np.mean([e["features"]["x"] for e in rows if e["model"] == "m1"]).item()
        mean[name, "ms"] = np.mean([e["latency_ms"] for e in rows if e["model"] == "m2"]).item()
    assert abs(mean["quiet", "x"]) < 0.1 and abs(mean["moved", "x"] - 1) < 0.1
    assert mean["moved", "ms"] < 30 and 250 < mean["quiet", "ms"] < 400


def test_a_jump_shifts_its_partition_while_it_lasts() -> None:
    faults = [
        Fault(10.0, "clock_jump", 4.0, shift=-20.0, partition=2),
        Fault(12.0, "kill", role="detect", worker=0),
    ]
    assert jumps_of(faults) == [Jump(10.0, 14.0, -20.0, 2)]
    skew = Fault(1.0, "clock_skew", 2.0, shift=120.0, share=0.1)
    assert jumps_of([skew]) == [Jump(1.0, 3.0, 120.0, None, 0.1)]
    (jump,) = jumps_of(faults)
    assert jump.shift_at(10, 2) == -20
    assert jump.shift_at(14, 2) == 0 == jump.shift_at(10, 3)
    assert Jump(0, 1, 20, None).shift_at(0.5, 5) == 20


def test_reference_data_are_those_of_a_model_that_is_well() -> None:
    rows = list(csv.DictReader(io.StringIO(reference_csv(1))))
    assert len(rows) == 5_000
    assert abs(np.mean([float(row["x"]) for row in rows])) < 0.1
    assert {row["colour"] for row in rows} == {"red", "green", "blue"}
    assert reference_csv(1) != reference_csv(2)


class FakeProducer:
    """Takes everything; has more partitions once it was asked for the second time."""

    def __init__(self) -> None:
        self.partitions: list[int] = []
        self.asked: list[int] = []

    def produce(self, topic: str, value: bytes | None, partition: int) -> None:
        self.partitions.append(partition)

    def list_topics(self, topic: str, timeout: float) -> Any:
        self.asked.append(len(self.partitions))
        number = SOURCE_PARTITIONS if len(self.asked) == 1 else MORE_PARTITIONS
        found = SimpleNamespace(partitions=dict.fromkeys(range(number)))
        return SimpleNamespace(topics={topic: found})

    def poll(self, seconds: float) -> None:
        pass

    def flush(self, seconds: float) -> int:
        return 0


def test_partitions_that_are_added_get_events_once_they_are_seen() -> None:
    producer, now = FakeProducer(), [NOW]

    def clock() -> float:
        now[0] += 0.1
        return now[0]

    send(
        producer, "predictions", Events(1), seed=1, rate=1_000, seconds=30, began=NOW,
        jumps=[Jump(0, 30, 5, None)], grown=10.0, clock=clock,
    )  # fmt: skip
    first, second = producer.asked
    assert 9_000 < first < second < 14_000
    assert set(producer.partitions[:second]) == set(range(SOURCE_PARTITIONS))
    assert set(producer.partitions[second:]) == set(range(MORE_PARTITIONS))


def test_after_the_source_was_made_again_another_producer_sends_to_the_partitions_it_has() -> None:
    first, second, now = FakeProducer(), FakeProducer(), [NOW]

    def clock() -> float:
        now[0] += 0.1
        return now[0]

    def held(producer: Any) -> Any:
        return second if producer is first and now[0] > NOW + 20 else None

    sent = send(
        first, "predictions", Events(1), seed=1, rate=1_000, seconds=30, began=NOW, jumps=[],
        grown=10.0, held=held, clock=clock,
    )  # fmt: skip
    assert len(first.partitions) + len(second.partitions) == sent.sent
    assert set(first.partitions) == set(range(MORE_PARTITIONS))
    asked, again = second.asked
    assert set(second.partitions[:again]) == set(range(SOURCE_PARTITIONS))
    assert asked < 200 < 1_000 <= again - asked, "a second later, and not before"


def test_traffic_goes_on_until_it_is_told_to_end_and_no_shorter_than_planned(
    tmp_path: Path,
) -> None:
    for told, ended in ((NOW + 45, NOW + 45), (NOW + 12, NOW + 30)):
        now, end = [NOW], End(tmp_path / str(told))
        end.directory.mkdir()

        def clock(now: list[float] = now, end: End = end, told: float = told) -> float:
            now[0] += 0.1
            if now[0] > NOW + 10:
                end.tell(told)
                end.tell(told + 100)  # too late
            return now[0]

        sent = send(
            FakeProducer(), "predictions", Events(1), seed=1, rate=1_000, seconds=30, began=NOW,
            jumps=[], until=end.read, clock=clock,
        )  # fmt: skip
        assert sent.ended == ended
        assert abs(sent.sent - 1_000 * (ended - NOW)) < 1_000


def test_a_plan_says_from_when_on_partitions_are_added() -> None:
    assert grown_at([Fault(10.0, "kill", role="detect", worker=0)]) is None
    assert grown_at([Fault(12.0, "partitions_added")]) == 12.0
