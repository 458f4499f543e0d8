"""Batches that are counted together: each keeps its own rows, times and windows."""

import math

import pyarrow as pa
import pytest

from support.counting import (
    NOW,
    FakeMessage,
    a_counter,
    a_tenure,
    as_arrow,
    cells_of,
)

FAR = NOW + 10**6
EARLY = 12.0


def _batch(*times: float) -> bytes:
    return as_arrow({"time": pa.array(times, pa.float64()), "prediction": pa.array(times)})


def test_rows_of_impossible_times_are_refused_by_their_own_message_and_row() -> None:
    counter, tenure = a_counter(), a_tenure(0, 1, 2)
    payloads = [_batch(NOW - 1, FAR), _batch(), _batch(EARLY, FAR), _batch(NOW - 3, NOW - 2)]
    sent = [FakeMessage(payload, i % 3, 10 + i) for i, payload in enumerate(payloads)]
    counter.count(sent, tenure)
    counter.settle(tenure)
    refused = [(letter.offset, letter.row) for letter in counter.dead_letters]
    assert refused == [(10, 1), (12, 0), (12, 1)]
    # Two of partition 0, whose latest is of the message that came first; none of the others.
    assert [tenure.positions[p].event_clock.latest for p in (0, 1, 2)] == [NOW - 1, None, None]
    [cell] = cells_of(tenure).values()
    assert (cell.events, counter.counted["arrow"]) == (3, 3)


def test_the_latest_time_of_a_partition_is_that_of_its_own_batches() -> None:
    counter, tenure = a_counter(), a_tenure(0, 1)
    sent = [
        FakeMessage(_batch(NOW - 5, NOW - 4), 0, 1),
        FakeMessage(_batch(NOW - 2, NOW - 3), 1, 1),
        FakeMessage(_batch(NOW - 9), 0, 2),
    ]
    counter.count(sent, tenure)
    counter.settle(tenure)
    assert [tenure.positions[p].event_clock.latest for p in (0, 1)] == [NOW - 4, NOW - 2]


@pytest.mark.parametrize("together", [True, False])
def test_a_row_at_the_edge_of_a_window_is_in_the_later_one(together: bool) -> None:
    edges = [NOW - 60 * i for i in range(1, 40)]
    times = [math.nextafter(edge, 0) for edge in edges] + edges
    counter, tenure = a_counter(), a_tenure()
    payloads = [_batch(*times)] if together else [_batch(time) for time in times]
    for payload in payloads:
        counter.count([FakeMessage(payload)], tenure)
        counter.settle(tenure)
    found = {name[-1]: cell.events for name, cell in cells_of(tenure).items()}
    expected = dict.fromkeys([edge - 60 for edge in edges] + edges, 2)
    expected[edges[0]] = expected[edges[-1] - 60] = 1
    assert found == expected
