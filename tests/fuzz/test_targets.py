"""What is fuzzed takes all that fuzzing begins with, and notices a decoder that errs."""

from typing import Any

import pytest

from fuzz import seeds
from fuzz.targets import TARGETS, UnaccountedError, ingest
from tidegauge.counting.cells import CountingCell
from tidegauge.counting.counter import Counter


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_taken(name: str) -> None:
    found = list(TARGETS[name].seeds())
    assert len(found) > 10
    for seed in found:
        TARGETS[name].call(seed)


def test_shares_are_of_the_whole_time() -> None:
    assert sum(target.share for target in TARGETS.values()) == pytest.approx(1)


def _first(found: Any) -> bytes:
    value: bytes = next(iter(found))
    return value


def test_a_record_that_is_neither_counted_nor_refused_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Counter, "_count_one", lambda *_: None)
    for value in (b"{", _first(seeds.streams())):
        with pytest.raises(UnaccountedError):
            ingest(value)


def test_a_record_that_is_counted_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    count = Counter._count_event

    def twice(*what: Any) -> None:
        count(*what)
        count(*what)

    monkeypatch.setattr(Counter, "_count_event", twice)
    odd = b'{"time":1750000010,"model":"m","version":"1","prediction":[1]}'
    with pytest.raises(UnaccountedError):
        ingest(odd)


def test_decoders_that_count_differently_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    add = CountingCell._add_native

    def shifted(cell: CountingCell, *columns: Any) -> None:
        add(cell, *columns)
        cell.counts[0] += 1

    monkeypatch.setattr(CountingCell, "_add_native", shifted)
    with pytest.raises(UnaccountedError, match="differently"):
        ingest(_first(seeds.events()))
