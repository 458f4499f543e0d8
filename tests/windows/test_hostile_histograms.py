"""What anybody sends to the histogram topic is skipped whole, and the rest goes on as if without.

Records are made of a sound one, each with one thing changed that no INGEST worker writes.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.counting import NOW
from support.detector_bench import Bench
from support.hostile import hostile_records, nested, with_field
from support.hostile_histograms import CHANGES, LOG, SOUND
from support.world import a_state, advance
from tidegauge.contract.record import DecodingError
from tidegauge.windows.records import RawRecord, check_signals, read_record


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
    found = read_record(
        json.dumps(record).encode(),
        source="predictions",
        outcomes="tidegauge.outcomes",
        max_ahead_seconds=300,
    )
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


async def _named(hostile: bytes | None, *, after: int = 5) -> Bench:
    """Deliver the log with the source's id in each record, and one more record in between."""
    bench = Bench([])
    for number, (at, value) in enumerate(LOG):
        await bench.deliver([(at, _of_topic(value, "present"))])
        if number == after and hostile is not None:
            await bench.deliver([(at + 1, hostile)])
    bench.close()
    return bench


def _of_topic(value: bytes, topic_id: str, **more: Any) -> bytes:
    return json.dumps(json.loads(value) | {"topic_id": topic_id} | more).encode()


def test_a_topic_that_the_brokers_do_not_have_silences_nobody() -> None:
    expected = asyncio.run(_named(None)).published()
    hostile = _of_topic(SOUND, "another", tenure="somebody", cells=[])
    bench = asyncio.run(_named(hostile))
    assert bench.published() == expected and len(expected) > 2
    assert _skipped(bench) == 1 and not bench.count("tidegauge_recounts_total")
    assert bench.state.progress.sources["predictions"].topics == ["present"]


def test_the_topics_of_a_log_are_taken_up_though_the_brokers_have_but_the_last() -> None:
    async def joined() -> Bench:
        bench = Bench([])
        for at, (topic_id, value) in enumerate(zip(("first", "second"), (SOUND,) * 2, strict=True)):
            bench.topic_id = "third"
            await bench.deliver([(at, _of_topic(value, topic_id, tenure=topic_id))])
        bench.close()
        return bench

    bench = asyncio.run(joined())
    assert bench.state.progress.sources["predictions"].topics == ["first", "second"]
    assert _skipped(bench) == 0


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


def test_a_detector_whose_clock_is_hours_behind_says_so_of_every_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def deliver() -> Bench:
        bench = Bench([])
        bench.detector.intake.clock = lambda: NOW - 7_200
        await bench.deliver(LOG[:3])
        bench.close()
        return bench

    assert _skipped(asyncio.run(deliver())) == 3
    said = [record.getMessage() for record in caplog.records if "is skipped" in record.message]
    assert len(said) == 3
    assert all(f"ahead of the clock here, {NOW - 7_200:.0f}" in one for one in said)


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
    body = bench.detector.health.ready()[1]
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
        record = read_record(
            bytes(value), source="predictions", outcomes="tidegauge.outcomes", max_ahead_seconds=300
        )
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
            _changed("a window that is not aligned"),
            source="predictions",
            outcomes="tidegauge.outcomes",
            max_ahead_seconds=300,
        )
