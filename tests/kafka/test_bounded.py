"""Calls that must come to an end."""

import threading

import pytest

from tidegauge.kafka.transaction import bounded


def test_a_call_that_ends_has_ended_and_one_that_raises_raises() -> None:
    done = []
    bounded(lambda: done.append(1), 10)
    assert done == [1]

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        bounded(fail, 10)


def test_a_call_that_does_not_end_is_left() -> None:
    end = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            bounded(lambda: end.wait() and None, 0.05)
    finally:
        end.set()
