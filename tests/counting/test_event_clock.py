"""The clock of a source partition: where event time has come to, whatever single clocks say."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from support.counting import NOW, FakeMessage, a_counter, a_tenure, as_json, event
from tidegauge.counting.event_clock import (
    BATCH_EVENTS,
    EVENTS,
    LIVE_SECONDS,
    SECONDS,
    SKEW_SECONDS,
    EventClock,
)


def read(clock: EventClock, at: float, *times: float) -> float | None:
    if times:
        clock.note(np.array(times))
    clock.read(at)
    return clock.time()


def test_before_the_first_event_there_is_no_time() -> None:
    assert read(EventClock(), NOW) is None


def test_in_live_traffic_it_has_come_to_the_latest_event() -> None:
    assert read(EventClock(), NOW, NOW - 3, NOW - 0.5, NOW - 2) == NOW - 0.5


def test_a_node_that_is_ahead_moves_it_to_the_wall_and_not_beyond() -> None:
    clock = EventClock()
    assert read(clock, NOW, NOW + 120, NOW - 1, NOW + 300) == NOW
    assert clock.latest == NOW + 300


def test_where_all_nodes_are_ahead_it_has_come_to_the_wall() -> None:
    assert read(EventClock(), NOW, *[NOW + 120 + i for i in range(10)]) == NOW


def test_nodes_that_are_behind_do_not_hold_live_traffic_back() -> None:
    times = [NOW - 900] * 7 + [NOW - 1] * 3
    assert read(EventClock(), NOW, *times) == NOW - 1


@pytest.mark.parametrize("age", [400.0, 20_000.0])
def test_in_old_traffic_a_few_nodes_that_are_ahead_do_not_push_it(age: float) -> None:
    clock = EventClock()
    for second in range(60):
        times = [NOW + second - age + (120 if i % 4 == 0 else 0) for i in range(20)]
        assert read(clock, NOW + second, *times) == NOW + second - age


def test_a_backlog_is_read_in_event_time() -> None:
    clock, begin = EventClock(), NOW - 6 * 3600
    for minute in range(300):
        end = begin + (minute + 1) * 60.0
        come = read(clock, NOW + minute / 50, *np.arange(end - 60, end))
        # As far as all but a few of the last batches: they are read in less than a second.
        assert come is not None
        assert end - 60 * EVENTS / BATCH_EVENTS <= come <= end


def test_after_a_backlog_of_a_slow_partition_it_is_live_within_seconds() -> None:
    clock = EventClock()
    read(clock, NOW, *np.arange(NOW - 3600, NOW, 2.0))
    for second in range(1, 20):
        come = read(clock, NOW + second, NOW + second - 0.5)
    assert come == NOW + 18.5


def test_a_burst_of_old_events_holds_it_back_for_no_longer_than_they_are_looked_at() -> None:
    clock = EventClock()
    read(clock, NOW, *[NOW - 1] * 100)
    assert read(clock, NOW + 1, *[NOW - 3600] * 20_000) == NOW - 1
    assert read(clock, NOW + 2, *[NOW + 1.5] * 50) == NOW - 1
    assert read(clock, NOW + 2 + SECONDS, *[NOW + 11.5] * 50) == NOW + 11.5


def test_events_that_come_one_by_one_weigh_no_more_than_those_of_large_batches() -> None:
    # A hundredth of the traffic is of a producer that is 15 minutes behind, spread over many reads;
    # the rest comes in columns, which are taken in once a second.
    clock = EventClock()
    for second in range(60):
        for hundredth in range(100):
            at = NOW + second + hundredth / 100
            read(clock, at, *[at - 900] * 5)
        at = NOW + second + 1
        assert read(clock, at, *np.repeat(at - np.arange(10) / 10, 5_000)) == at


def test_nor_do_they_push_it_in_old_traffic() -> None:
    # A backlog of two minutes, of which a hundredth is by a clock that is two minutes ahead.
    clock = EventClock()
    for second in range(60):
        for fiftieth in range(50):
            clock.note(np.full(4, NOW + second + fiftieth / 50))
            clock.read(NOW + second + fiftieth / 50)
        at = NOW + second + 1
        assert read(clock, at, *[at - 120] * 20_000) == at - 120


def test_an_event_late_by_more_than_live_traffic_is_moves_nothing_back() -> None:
    clock = EventClock()
    assert read(clock, NOW, NOW) == NOW
    assert read(clock, NOW + SECONDS + 1, *[NOW - LIVE_SECONDS - 60] * 10) == NOW


def test_nodes_that_take_turns_are_sampled_as_often_as_they_come() -> None:
    # Every 50th event is of the one that is ahead, so regular places would be all its own or none.
    for period in (10, 25, 32, 50, 64, 100):
        clock = EventClock()
        for second in range(10):
            old = NOW + second - 5000
            times = [old + (120 if i % period == 0 else 0) for i in range(32 * period)]
            assert read(clock, NOW + second, *times) == old


def test_it_moves_with_events_only() -> None:
    clock = EventClock()
    come = read(clock, NOW, *[NOW - 500] * 9, NOW - 400)
    assert read(clock, NOW + 300) == come


def test_what_is_remembered_is_bounded() -> None:
    clock = EventClock()
    for at in range(5_000):
        read(clock, NOW + at / 1000, *[NOW] * 100)
    assert clock._events <= EVENTS + BATCH_EVENTS


@given(
    st.lists(
        st.tuples(st.floats(-100, 100), st.lists(st.floats(-1e6, 300), min_size=1, max_size=50)),
        min_size=1,
        max_size=20,
    )
)
def test_it_never_goes_back_nor_beyond_the_wall_or_the_latest_event(
    batches: list[tuple[float, list[float]]],
) -> None:
    clock, before, wall = EventClock(), float("-inf"), float("-inf")
    for at, aheads in batches:
        wall = max(wall, NOW + at)
        come = read(clock, NOW + at, *(NOW + at + ahead for ahead in aheads))
        assert come is not None
        assert clock.latest is not None
        assert before <= come <= min(wall, clock.latest)
        before = come


def test_the_skew_is_the_largest_of_the_last_minute_or_two() -> None:
    clock = EventClock()
    assert clock.skew(NOW) == 0
    read(clock, NOW, NOW + 240, NOW)
    read(clock, NOW + 10, NOW + 20)
    assert clock.skew(NOW + 20) == 240
    read(clock, NOW + SKEW_SECONDS, NOW + SKEW_SECONDS + 5)
    assert clock.skew(NOW + SKEW_SECONDS + 30) == 240
    assert clock.skew(NOW + 2 * SKEW_SECONDS) == 5
    assert clock.skew(NOW + 4 * SKEW_SECONDS) == 0


def test_events_of_every_path_weigh_alike() -> None:
    # Of a node that is ahead, every event has a nested value and is decoded one by one.
    counter, tenure = a_counter(max_ahead_seconds=300), a_tenure()
    sound = [as_json(event(time=NOW - 5000)) for _ in range(900)]
    ahead = [as_json(event(time=NOW - 4880, features={"x": [1]})) for _ in range(100)]
    values = [FakeMessage(it, 0, at) for at, it in enumerate([*sound, *ahead])]
    for _ in range(5):
        counter.count(values, tenure)
    counter.settle(tenure)
    assert tenure.positions[0].event_clock.time() == NOW - 5000


_TIMES = st.floats(-600, 300).map(lambda age: NOW + age)


@given(
    st.lists(
        st.tuples(
            st.lists(_TIMES, max_size=40),
            st.lists(st.tuples(_TIMES, st.integers(1, 90)), max_size=5),
        ),
        max_size=6,
    )
)
def test_many_events_of_one_time_count_as_if_each_were_noted(
    polls: list[tuple[list[float], list[tuple[float, int]]]],
) -> None:
    by_number, one_by_one = EventClock(), EventClock()
    for poll, (times, equal) in enumerate(polls):
        for clock in by_number, one_by_one:
            if times:
                clock.note(np.array(times))
        for time, events in equal:
            by_number.note_equal(time, events)
            one_by_one.note(np.full(events, time))
        for clock in by_number, one_by_one:
            clock.read(NOW + poll)
        assert by_number.time() == one_by_one.time()
        assert by_number.latest == one_by_one.latest
        assert by_number.skew(NOW + poll) == one_by_one.skew(NOW + poll)


def test_events_of_one_time_take_no_memory_each() -> None:
    clock = EventClock()
    for _ in range(1_000):
        clock.note_equal(NOW - 1.0, 10**12)
    clock.note(np.array([NOW - 2.0]))
    clock.read(NOW)
    assert clock.time() == NOW - 1.0
