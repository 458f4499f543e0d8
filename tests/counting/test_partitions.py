"""Partitions of messages by numpy are what asking each message gives."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from support.counting import NOW, FakeMessage, a_tenure
from tidegauge.counting.tenure import last_of, partitions_of


class _Error(FakeMessage):
    """An error of the consumer's that is of no partition."""

    def partition(self) -> None:  # type: ignore[override]
        return None


@given(st.lists(st.integers(0, 300), max_size=50))
def test_the_last_message_of_each_partition_is_found(numbers: list[int]) -> None:
    found = partitions_of([FakeMessage(b"", at_partition=number) for number in numbers])
    assert found.tolist() == numbers
    assert last_of(found) == {number: place for place, number in enumerate(numbers)}


@given(st.lists(st.integers(0, 300), max_size=50))
def test_the_times_of_messages_are_noted_by_their_partitions(numbers: list[int]) -> None:
    tenure = a_tenure(0, *numbers)
    found = partitions_of([FakeMessage(b"", at_partition=number) for number in numbers])
    tenure.note_times_from(found, NOW + np.arange(len(numbers)))
    tenure.end_batch(NOW)
    latest = {p: at.event_clock.latest for p, at in tenure.positions.items()}
    last = {number: NOW + place for place, number in enumerate(numbers)}
    assert latest == {0: None, **dict.fromkeys(numbers), **last}


@pytest.mark.parametrize("partition", [3, 300])
def test_a_message_of_no_partition_is_of_none_that_can_be_owned(partition: int) -> None:
    found = partitions_of([FakeMessage(b"", at_partition=partition), _Error(b"")])
    assert last_of(found) == {partition: 0, -1: 1}


def test_a_partition_of_any_number_is_found() -> None:
    found = partitions_of([FakeMessage(b"", at_partition=number) for number in (70_000, 5, 70_000)])
    assert last_of(found) == {5: 1, 70_000: 2}
    assert np.array_equal(found == 5, [False, True, False])
