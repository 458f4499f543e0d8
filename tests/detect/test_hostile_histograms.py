"""What anybody sends to the histogram topic is skipped whole, and the rest goes on as if without.

Records are made of a sound one, each with one thing changed that no INGEST worker writes.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.test_intake import Bench, Log
from support.counting import NOW
from support.hostile import hostile_records, nested, with_field
from support.world import World, a_state, advance
from tidegauge.contract import DecodingError
from tidegauge.detect.validation import check_signals, read_record
from tidegauge.detect.values import RawRecord

Change = Callable[[dict[str, Any]], None]


def _log() -> Log:
    world = World()
    for step in range(12):
        world.now = NOW + 20 * step
        for partition in range(3):
            world.event(partition, time=world.now)
        world.flush()
    return [(at, msgspec.json.encode(record)) for at, record in world.log]


LOG = _log()

#: With the clocks of its flush, and a cell.
SOUND = next(
    value for _, value in LOG if json.loads(value)["cells"] and json.loads(value)["clocks"]
)


def _set(*path: Any, to: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for name in path[:-1]:
            inner = next(iter(inner.values())) if name == "any" else inner[name]
        last = path[-1]
        inner[next(iter(inner)) if last == "any" else last] = to

    return change


def _drop(*path: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]

    return change


CELL, SIGNALS = ("cells", 0), ("cells", 0, "signals")

CHANGES: dict[str, Change] = {
    "no ranges": _set("ranges", to={}),
    "a partition of a name": _set("ranges", to={"a": {}}),
    "a negative partition": _set("ranges", to={"-1": json.loads(SOUND)["ranges"].popitem()[1]}),
    "a partition beyond": _set("ranges", to={"99": json.loads(SOUND)["ranges"].popitem()[1]}),
    "since after to": _set("ranges", "any", "since", to=2**40),
    "start after since": _set("ranges", "any", "start", to=2**40),
    "a negative offset": _set("ranges", "any", "since", to=-1),
    "an offset beyond 63 bits": _set("ranges", "any", "to", to=2**63),
    "an offset that is a float": _set("ranges", "any", "to", to=1.5),
    "no tenure": _set("tenure", to=""),
    "a long tenure": _set("tenure", to="t" * 100_000),
    "seq 0": _set("seq", to=0),
    "a negative seq": _set("seq", to=-3),
    "a time of 1e300": _set("time", to=1e300),
    "a negative time": _set("time", to=-1.0),
    "a time of years ahead": _set("time", to=4e9),
    "a time in milliseconds": _set("time", to=NOW * 1000),
    "a foreign source": _set("source", to="other"),
    "no partitions": _set("source_partitions", to=0),
    "a billion partitions": _set("source_partitions", to=10**9),
    "more partitions than there are": _set("source_partitions", to=4),
    "a clock of 1e300": _set("clocks", "any", "latest", to=1e300),
    "a clock in milliseconds": _set("clocks", "any", "latest", to=NOW * 1000),
    "a clock days ahead": _set("clocks", "any", "latest", to=NOW + 9 * 86_400),
    "a clock that is text": _set("clocks", "any", "latest", to="NaN"),
    "a clock of a partition beyond": _set(
        "clocks", to={"7": {"latest": NOW, "caught_up": True, "idle": False}}
    ),
    "no cells": _drop("cells"),
    "a window without end": _set(*CELL, "window_seconds", to=0),
    "a negative window": _set(*CELL, "window_seconds", to=-60),
    "a window of a year": _set(*CELL, "window_seconds", to=366 * 86_400),
    "a window that is not aligned": _set(*CELL, "window_start", to=int(NOW) // 60 * 60 + 7),
    "a window of 1e300": _set(*CELL, "window_start", to=1e300),
    "a window yet to come": _set(*CELL, "window_start", to=(int(NOW) // 60 + 10_000) * 60),
    "no events": _set(*CELL, "events", to=0),
    "negative events": _set(*CELL, "events", to=-1),
    "events beyond 63 bits": _set(*CELL, "events", to=2**63),
    "no slices": _set(*CELL, "slices", to=0),
    "a segment that is a number": _set(*CELL, "segment", to={"region": 1}),
    "no status": _drop(*SIGNALS, "status"),
    "no latency": _drop(*SIGNALS, "latency_ms"),
    "no prediction": _drop(*SIGNALS, "prediction"),
    "no signals": _set(*SIGNALS, to={}),
    "signals that are a list": _set(*SIGNALS, to=[1]),
    "signals that are null": _set(*SIGNALS, to=None),
    "a signal that is a number": _set(*SIGNALS, "status", to=3),
    "no bins": _set(*SIGNALS, "prediction", "counts", to=[]),
    "negative counts": _set(*SIGNALS, "status", "counts", to=[2, -1, 0, 0]),
    "counts beyond 63 bits": _set(*SIGNALS, "status", "counts", to=[2**63, 0, 0, 0]),
    "counts that are floats": _set(*SIGNALS, "status", "counts", to=[0.5, 0.5, 0, 0]),
    "counts that are text": _set(*SIGNALS, "status", "counts", to=["1", 0, 0, 0]),
    "other bins of the status": _set(*SIGNALS, "status", "counts", to=[1]),
    "other bins of the latency": _set(*SIGNALS, "latency_ms", "counts", to=[1]),
    "more than the cell": _set(*SIGNALS, "status", "counts", to=[7, 0, 0, 0]),
    "a sum that is text": _set(*SIGNALS, "prediction", "sum", to="NaN"),
}


def _changed(name: str, *, tenure: str | None = "somebody") -> bytes:
    record = json.loads(SOUND)
    if tenure is not None:
        record["tenure"] = tenure
    CHANGES[name](record)
    return json.dumps(record).encode()


def _million_cells() -> bytes:
    record = json.loads(SOUND)
    record["cells"] = record["cells"] * 20_000
    return json.dumps(record).encode()


def _hostile() -> Iterator[bytes]:
    yield from (value or b"" for value in hostile_records(SOUND))
    yield from (_changed(name) for name in CHANGES)
    yield _million_cells()
    yield with_field(SOUND, nested(6_000))


def _take(values: list[bytes]) -> tuple[Bench, list[bytes]]:
    """Deliver the log with hostile records between the sound ones, and what it led to."""

    async def whole() -> Bench:
        bench = Bench([])
        between = iter(values)
        for at, value in LOG:
            await bench.deliver([(at, value)])
            for hostile in between:
                # The log has holes at odd offsets.
                await bench.deliver([(at + 1, hostile)])
                break
        for hostile in between:
            await bench.deliver([(bench.state.progress.next_offset, hostile)])
        bench.close()
        return bench

    bench = asyncio.run(whole())
    return bench, bench.published()


def _skipped(bench: Bench) -> float:
    topic = {"topic": "tidegauge.histograms"}
    return bench.registry.get_sample_value("tidegauge_skipped_records_total", topic) or 0.0


@pytest.fixture(scope="module")
def undisturbed() -> list[bytes]:
    bench, published = _take([])
    assert _skipped(bench) == 0 and len(published) > 2
    return published


def test_the_sound_record_is_joined_under_another_name_too() -> None:
    record = json.loads(SOUND) | {"tenure": "somebody"}
    found = read_record(json.dumps(record).encode(), source="predictions", max_ahead_seconds=300)
    check_signals(found)


@pytest.mark.parametrize("name", CHANGES)
def test_what_no_worker_writes_is_refused_before_anything_is_joined(
    name: str, undisturbed: list[bytes]
) -> None:
    bench, published = _take([_changed(name)])
    assert published == undisturbed
    assert _skipped(bench) == 1 and not bench.count("tidegauge_recounts_total")
    assert not bench.count("tidegauge_lost_records_total")
    assert bench.registry.get_sample_value(
        "tidegauge_quarantined_records_total", {"topic": "tidegauge.histograms"}
    ) == 0  # fmt: skip


def test_all_of_them_together_change_nothing(undisturbed: list[bytes]) -> None:
    values = list(_hostile())
    bench, published = _take(values)
    assert published == undisturbed
    assert _skipped(bench) == len(values)
    assert bench.state.progress.next_offset > LOG[-1][0] + len(values) / 2


def test_a_record_that_is_sent_again_later_changes_nothing(undisturbed: list[bytes]) -> None:
    bench, published = _take([LOG[0][1], LOG[1][1], LOG[0][1], LOG[4][1]])
    assert published == undisturbed and _skipped(bench) == 0
    assert not bench.count("tidegauge_recounts_total")


def test_a_gap_to_offsets_that_the_source_never_had_is_not_worth_a_recount() -> None:
    bench, _ = _take([])

    async def deliver() -> None:
        record = json.loads(SOUND) | {"tenure": "somebody"}
        for at in record["ranges"].values():
            at["since"] = at["to"] = 10**9
        await bench.deliver([(bench.state.progress.next_offset, json.dumps(record).encode())])

    asyncio.run(deliver())
    assert _skipped(bench) == 1 and not bench.count("tidegauge_recounts_total")


def test_a_record_that_fails_half_way_leaves_the_state_as_it_was() -> None:
    record = msgspec.json.decode(SOUND, type=RawRecord)
    other = msgspec.structs.replace(record.cells[0], model="fails")
    record = msgspec.structs.replace(
        record, tenure="new", seq=1, cells=[*record.cells, other, *record.cells]
    )
    state = a_state()
    for at, value in LOG[:4]:
        state.join(msgspec.json.decode(value, type=RawRecord), at)
    before = _facts(state)
    settings = state.window_of

    def window_of(model: str) -> Any:
        if model == "fails":
            raise ZeroDivisionError(model)
        return settings(model)

    state.window_of = window_of
    with pytest.raises(ZeroDivisionError):
        state.join(record, 1_000)
    assert _facts(state) == before


def _facts(state: Any) -> Any:
    fields = (state.progress, state.cells, state.windows, state.slices, state.late)
    return (*(repr(field) for field in fields), state.late_events)


def test_a_record_that_fails_in_a_way_nobody_foresaw_is_set_aside(
    undisturbed: list[bytes],
) -> None:
    poison = SOUND.replace(b'"model":"', b'"model":"poison-')

    async def whole() -> Bench:
        bench = Bench([])
        join = bench.state.join

        def fails(record: RawRecord, offset: int) -> Any:
            if any(cell.model.startswith("poison") for cell in record.cells):
                raise KeyError("nobody foresaw this")
            return join(record, offset)

        bench.state.join = fails  # type: ignore[method-assign]
        for at, value in LOG:
            await bench.deliver([(at, value)])
            if at == LOG[5][0]:
                await bench.deliver([(at + 1, poison)])
        bench.close()
        return bench

    bench = asyncio.run(whole())
    assert bench.published() == undisturbed
    name, topic = "tidegauge_quarantined_records_total", {"topic": "tidegauge.histograms"}
    assert bench.registry.get_sample_value(name, topic) == 1.0
    body = bench.detector._health.ready()[1]
    assert body["status"] == "degraded" and "quarantine" in str(body)
    assert f"tidegauge.histograms/0 at offset {LOG[5][0] + 1}" in str(body)


@given(
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_whatever_is_flipped_a_record_is_refused_or_can_be_joined_and_closed(
    flips: list[tuple[int, int]],
) -> None:
    value = bytearray(SOUND)
    for at, byte in flips:
        value[at] = byte
    try:
        record = read_record(bytes(value), source="predictions", max_ahead_seconds=300)
        check_signals(record)
    except DecodingError:
        return
    state = a_state()
    for at, sound in LOG[:4]:
        state.join(msgspec.json.decode(sound, type=RawRecord), at)
    state.join(record, LOG[4][0])
    # Any failure is raised here.
    state.progress.watermark = NOW + 86_400
    advance(state)


def test_signals_under_a_known_tenure_are_left_for_the_end_of_the_window() -> None:
    record = msgspec.json.decode(SOUND, type=RawRecord)
    state = a_state()
    assert state.is_new(record)
    state.join(record, 0)
    assert not state.is_new(record)


def test_what_is_wrong_is_said_with_its_place() -> None:
    with pytest.raises(DecodingError, match=r"cells\[0\] has the window .* no multiple"):
        read_record(
            _changed("a window that is not aligned"), source="predictions", max_ahead_seconds=300
        )
