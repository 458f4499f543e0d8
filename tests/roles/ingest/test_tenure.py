"""Tenures: what their records say, that ranges tile, and that only what changed is said."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from support.counting import NOW, a_baseline, a_counter, a_tenure, as_json, count, event, promote
from tidegauge.contract.histogram import HistogramRecord, cell_partition
from tidegauge.counting import flushes
from tidegauge.counting.tenure import Position, Tenure
from tidegauge.roles.ingest.conditions import HELD_SECONDS, HeldPartitions

DESTINATIONS = 4


def flush(tenure: Tenure, now: float = NOW) -> dict[int, list[HistogramRecord]]:
    """Make a tenure's records and commit them."""
    found: dict[int, list[HistogramRecord]] = {}
    for partition, record in tenure.records(
        now=now,
        monotonic=now,
        idle_seconds=10,
        source="predictions",
        sources=3,
        destinations=DESTINATIONS,
    ):
        decoded = msgspec.json.decode(record, type=HistogramRecord)
        found.setdefault(partition, []).append(decoded)
    tenure.flushed()
    return found


def _count_some(tenure: Tenure, *models: str) -> None:
    count(a_counter(), tenure, [as_json(event(model=model)) for model in models])


def test_every_destination_gets_a_record_even_if_nothing_was_counted() -> None:
    records = flush(a_tenure(0, 2))
    assert records.keys() == set(range(DESTINATIONS))
    for [record] in records.values():
        assert record.cells == []
        assert record.ranges.keys() == record.clocks.keys() == {0, 2}
        assert (record.source, record.source_partitions, record.seq) == ("predictions", 3, 1)


def test_a_cell_goes_to_the_partition_of_its_slice_and_nowhere_else() -> None:
    tenure = a_tenure()
    models = [f"model-{i}" for i in range(20)]
    _count_some(tenure, *models)
    seen: dict[str, int] = {}
    for partition, records in flush(tenure).items():
        for cell in (cell for record in records for cell in record.cells):
            assert cell_partition(cell.model, "1", "", DESTINATIONS) == partition
            assert cell.model not in seen
            seen[cell.model] = partition
    assert seen.keys() == set(models)


def test_only_cells_that_changed_are_said_again_and_always_as_a_whole() -> None:
    tenure = a_tenure()
    _count_some(tenure, "a", "b")
    flush(tenure)
    _count_some(tenure, "b")
    second = [cell for records in flush(tenure).values() for r in records for cell in r.cells]
    assert [(cell.model, cell.events) for cell in second] == [("b", 2)]
    third = [cell for records in flush(tenure).values() for r in records for cell in r.cells]
    assert third == []


def test_a_cell_says_how_many_slices_of_its_model_are_counted_by_a_baseline() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline(), a_baseline("2")), tenure)
    rows = [("1", None), ("1", "canary"), ("2", None), ("3", None)]  # the last has no baseline

    def slices(number: int, **fields: Any) -> dict[tuple[str, str, str], int]:
        values = [event(version=version, variant=variant, **fields) for version, variant in rows]
        count(counter, tenure, [as_json(value) for value in values[:number]])
        cells = [cell for records in flush(tenure).values() for r in records for cell in r.cells]
        return {(cell.model, cell.version, cell.variant): cell.slices for cell in cells}

    assert slices(1) == {("m", "1", ""): 1}
    assert slices(2) == {("m", "1", ""): 2, ("m", "1", "canary"): 2}
    assert set(slices(4).values()) == {3}
    assert slices(1, time=NOW - 70) == {("m", "1", ""): 3}, "also in another window"
    assert slices(1, model="other") == {("other", "1", ""): 1}


def test_what_was_not_flushed_is_said_again() -> None:
    tenure = a_tenure()
    _count_some(tenure, "a")
    for _ in tenure.records(
        now=NOW, monotonic=NOW, idle_seconds=10, source="s", sources=1, destinations=DESTINATIONS
    ):
        pass  # and then the transaction fails: nobody calls flushed()
    cells = [cell for records in flush(tenure).values() for r in records for cell in r.cells]
    assert [cell.model for cell in cells] == ["a"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("arfn"), st.integers(0, 2), st.integers(1, 50))))
def test_ranges_tile_over_flushes_and_successors(steps: Iterable[tuple[str, int, int]]) -> None:
    tenure = a_tenure(0, 1, 2)
    for position in tenure.positions.values():
        position.origin = position.start = position.since = position.to = 100
    covered = dict.fromkeys(tenure.positions, 100)
    started = dict(covered)
    for step, partition, events in steps:
        if step == "a":  # events are counted
            tenure.positions[partition].to += events
            continue
        if step in "fn":
            for [record] in flush(tenure).values():
                for p, at in record.ranges.items():
                    assert at.origin == 100
                    assert at.start == started[p] and at.since == covered[p] <= at.to
            covered = {p: at.to for p, at in tenure.positions.items()}
        if step == "n":
            before, tenure = tenure, tenure.successor(NOW)
            assert tenure.name != before.name and tenure.cells == {}
            started = dict(covered)


def test_only_the_last_part_of_a_large_flush_moves_the_ranges_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flushes, "RECORD_BYTES", 1_500)
    tenure = a_tenure()
    models = [f"model-{i}" for i in range(100)]
    _count_some(tenure, *models)
    tenure.positions[0].to = 100
    records = flush(tenure)
    parts = max(records.values(), key=len)
    assert len(parts) > 2
    assert [part.seq for part in parts] == list(range(1, len(parts) + 1))
    assert [part.ranges[0].to for part in parts] == [0] * (len(parts) - 1) + [100]
    assert [bool(part.clocks) for part in parts] == [False] * (len(parts) - 1) + [True]
    said = [cell.model for rs in records.values() for r in rs for cell in r.cells]
    assert sorted(said) == sorted(models)


def test_a_successor_starts_with_its_sequence_at_one() -> None:
    tenure = a_tenure()
    flush(tenure)
    [record] = flush(tenure)[0]
    assert record.seq == 2
    [record] = flush(tenure.successor(NOW))[0]
    assert record.seq == 1


def _position(**fields: Any) -> Position:
    return Position(**{"origin": 0, "start": 0, "since": 0, "to": 5, "arrived": NOW - 10} | fields)


def test_a_partition_is_idle_only_if_caught_up_and_quiet_for_long_enough() -> None:
    assert not _position(caught_up=False).clock(NOW, 10).idle
    assert not _position(caught_up=True).clock(NOW, 10.5).idle
    idle = _position(caught_up=True).clock(NOW, 10)
    assert (idle.idle, idle.caught_up) == (True, True)


def test_a_partition_without_events_has_no_latest_time() -> None:
    assert _position().clock(NOW, 10).latest is None


def test_the_clock_of_a_partition_has_come_to_the_latest_event_accepted() -> None:
    tenure = a_tenure()
    values = [as_json(event(time=NOW - ago)) for ago in (50, 20, 90)]
    refused = as_json(event(time=NOW + 10_000))
    count(a_counter(), tenure, [*values, refused])
    assert tenure.positions[0].event_clock.latest == NOW - 20


def test_events_ahead_of_the_wall_move_no_clock_beyond_it() -> None:
    tenure = a_tenure()
    values = [as_json(event(time=NOW + ahead)) for ahead in (-1, 240, -2)]
    count(a_counter(), tenure, values)
    [record] = flush(tenure)[0]
    assert record.clocks[0].latest == NOW
    assert tenure.positions[0].event_clock.skew(NOW) == 240


def test_sums_that_overflow_stay_readable_as_the_largest_number() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    huge = [as_json(event(features={"amount": sign * 1.7e308})) for sign in (1, 1, -1)]
    count(counter, tenure, huge[:2], [as_json({**event(features={"amount": 1.7e308}),
                                               "variant": None})] * 2)  # fmt: skip
    [cell] = [c for records in flush(tenure).values() for r in records for c in r.cells]
    amount = cell.signals["amount"]
    assert amount.counts[-1] == 4 and amount.maximum == 1.7e308
    assert amount.sum == amount.sumsq == 1.7976931348623157e308
    count(counter, tenure, [huge[2]] * 9)
    [cell] = [c for records in flush(tenure).values() for r in records for c in r.cells]
    assert cell.signals["amount"].counts[0] == 9


def test_a_partition_ends_where_anybody_has_seen_it_end() -> None:
    position = _position(caught_up=False)
    to = position.to
    for high, known_end, least in ((0, 0, to), (0, to + 5, to + 5), (to + 9, to + 5, to + 9)):
        position.high, position.known_end = high, known_end
        assert position.least_end == least
        for [record] in flush(Tenure(began=NOW, positions={0: position})).values():
            assert record.ranges[0].end == least


def test_a_partition_that_an_open_transaction_holds_back_is_neither_caught_up_nor_idle() -> None:
    position = _position(caught_up=True)
    position.high = position.to + 3
    assert position.held_back == 3
    clock = position.clock(NOW + 1_000, 10)
    assert (clock.idle, clock.caught_up) == (False, False)
    position.caught_up = False
    assert position.held_back == 0, "what is there may be read, and is on its way"
    position.caught_up, position.high = True, position.to
    assert position.clock(NOW + 1_000, 10).idle


def test_a_partition_is_said_to_be_held_once_it_has_stood_still_for_long_enough() -> None:
    held, position = HeldPartitions(), _position(caught_up=True)
    position.high = position.to + 3
    assert held.of({5: position}, 100.0) == {}
    assert held.of({5: position}, 100.0 + HELD_SECONDS) == {5: 3}
    position.to += 1  # a transaction has ended, and the next one is open
    assert held.of({5: position}, 101.0 + HELD_SECONDS) == {}
    assert held.of({}, 200.0) == held.of({5: position}, 300.0) == {}
