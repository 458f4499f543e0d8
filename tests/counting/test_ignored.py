"""Features that are counted nowhere are named by reason, once, whatever form the events have."""

import logging
from typing import Any

import pyarrow as pa
import pytest

from support.counting import (
    NOW,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    count,
    event,
    promote,
)
from tidegauge.counting.counter import Counter
from tidegauge.counting.refusals import MOST_NAMES

UNKNOWN, RESERVED = ("m", "1", "unknown_feature"), ("m", "1", "reserved_name")


def counted(*batches: list[bytes | None], baseline: Any = None) -> Counter:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(baseline or a_baseline()), tenure)
    count(counter, tenure, *batches)
    return counter


def test_unknown_and_reserved_names_are_counted_apart_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    features = {"amount": 1.0, "amuont": 2.0, "latency_ms": 3.0}
    with caplog.at_level(logging.WARNING):
        counter = counted(*[[as_json(event(features=features))]] * 20)
    assert counter.ignored.series() == {UNKNOWN: 1, RESERVED: 1}
    said = [record.getMessage() for record in caplog.records if "counted nowhere" in record.message]
    assert len(said) == 2
    assert any("that its baseline doesn't know" in one and one.endswith(": amuont") for one in said)
    assert any(one.endswith(": latency_ms") for one in said)


def test_columns_of_a_batch_are_named_too() -> None:
    features = pa.StructArray.from_arrays([pa.array([1.0]), pa.array([2.0])], ["amount", "extra"])
    batch = as_arrow({"time": pa.array([NOW]), "features": features})
    assert counted([batch]).ignored.series()[UNKNOWN] == 1


def test_columns_are_named_however_many_batches_that_fit_lie_between() -> None:
    def batch(name: str) -> bytes:
        features = pa.StructArray.from_arrays([pa.array([1.0])], [name])
        return as_arrow({"time": pa.array([NOW]), "features": features})

    fits: list[bytes | None] = [batch("amount")] * 5
    assert counted(fits, [batch("amuont")], fits).ignored.series()[UNKNOWN] == 1


def test_columns_are_looked_at_again_when_there_is_a_baseline() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use({}, tenure)
    features = pa.StructArray.from_arrays([pa.array([1.0]), pa.array([2.0])], ["amount", "extra"])
    batch = as_arrow({"time": pa.array([NOW]), "features": features})
    count(counter, tenure, [batch])
    assert counter.ignored.series() == {}
    other = a_baseline()
    other.rows += 1
    for baseline in a_baseline(), other:
        counter.use(promote(baseline), tenure)
        assert counter.ignored.series() == {}
        count(counter, tenure, [batch, batch])
        assert counter.ignored.series()[UNKNOWN] == 1


def test_events_that_fit_and_versions_without_a_baseline_name_nothing() -> None:
    fits = [as_json(event(features={"amount": 1.0}, latency_ms=3)), as_json(event())]
    assert counted(fits).ignored.series() == {}
    other = [as_json(event(version="2", features={"any": 1}))] * 3
    assert counted(other).ignored.series() == {}


def test_what_is_no_event_is_passed_over() -> None:
    odd: list[list[bytes | None]] = [[value] * 8 for value in (b"{", None, b"", b"[1]", b'"x"')]
    assert counted(*odd, [as_json(event(features=None))] * 8).ignored.series() == {}


def test_made_up_names_are_bounded_and_a_new_baseline_begins_anew() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    for n in range(100):
        names = {f"f{n}-{i}": 1 for i in range(20)}
        count(counter, tenure, [as_json(event(features=names))])
    assert counter.ignored.series()[UNKNOWN] == MOST_NAMES
    counter.use(promote(a_baseline(), a_baseline("2")), tenure)
    assert counter.ignored.series()[UNKNOWN] == MOST_NAMES, "that of version 1 is the same"
    other = a_baseline()
    other.rows += 1
    counter.use(promote(other), tenure)
    assert counter.ignored.series() == {}


def test_names_of_any_length_are_remembered_and_logged_by_their_beginning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = [f"{number}{'n' * 100_000}" for number in range(20)]
    events = [as_json(event(features={name: 1})) for name in names]
    with caplog.at_level(logging.WARNING):
        counter = counted(*[[value] for value in events for _ in range(8)])
    assert counter.ignored.series()[UNKNOWN] == 20
    said = [record.getMessage() for record in caplog.records if "counted nowhere" in record.message]
    assert len(said) == 20 and max(map(len, said)) < 1_000
    features = {"n" * 10_000 + str(number): number for number in range(100)}
    assert counted([as_json(event(features=features))]).ignored.series()[UNKNOWN] == 1
