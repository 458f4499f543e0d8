"""A chain that was touched anywhere says so, and where."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tidegauge.audit.chain import START, Chain, canonical, link


def made(n: int, model: str = "credit") -> list[bytes]:
    records, head = [], START
    for i in range(n):
        record, head = link({"id": f"{model}-{i}", "model": model, "reason": "größer"}, head)
        records.append(record)
    return records


def found(records: list[bytes]) -> list[tuple[int, str]]:
    """Return where and how a chain breaks; a record's offset is its place in the list."""
    chain = Chain()
    for offset, record in enumerate(records):
        chain.take(offset, record)
    return [(one.offset, one.kind) for one in chain.breaks]


def edited(record: bytes, *, rehash: bool = False, **changes: Any) -> bytes:
    fields = json.loads(record) | changes
    if rehash:
        del fields["hash"]
        fields["hash"] = hashlib.sha256(canonical(fields)).hexdigest()
    return canonical(fields)


def test_an_untouched_chain_is_whole() -> None:
    records = made(50)
    assert found(records) == []
    chain = Chain()
    for offset, record in enumerate(records):
        chain.take(offset, record)
    assert chain.head == (50, json.loads(records[-1])["hash"])


def test_no_record_at_all_is_no_break() -> None:
    assert found([]) == []


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none()))
def test_the_hash_is_that_of_the_record_as_jcs_would_write_it(inputs: dict[str, Any]) -> None:
    record, head = link({"id": "a", "inputs": inputs}, START)
    fields = json.loads(record)
    assert fields.pop("hash") == head.hash
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == head.hash
    assert found([record]) == []


@given(st.integers(1, 8), st.data())
def test_any_changed_byte_is_found(n: int, data: st.DataObject) -> None:
    records = made(n)
    at = data.draw(st.integers(0, n - 1))
    byte = data.draw(st.integers(0, len(records[at]) - 1))
    bit = data.draw(st.integers(0, 7))
    spoilt = bytearray(records[at])
    spoilt[byte] ^= 1 << bit
    records[at] = bytes(spoilt)
    breaks = found(records)
    assert breaks and breaks[0][0] in (at, at + 1)


@given(st.integers(2, 10), st.data())
def test_any_removed_record_but_the_last_is_found(n: int, data: st.DataObject) -> None:
    records = made(n)
    at = data.draw(st.integers(0, n - 2))
    del records[at]
    assert found(records) == [(at, "removed")]


@given(st.permutations(range(6)))
def test_any_other_order_is_found(order: list[int]) -> None:
    records = made(6)
    breaks = found([records[i] for i in order])
    assert bool(breaks) == (order != sorted(order))
    assert {kind for _, kind in breaks} <= {"reordered"}


@given(st.integers(1, 6), st.data())
def test_a_duplicated_record_is_found(n: int, data: st.DataObject) -> None:
    records = made(n)
    which, at = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n))
    records.insert(max(at, which + 1), records[which])
    assert found(records) == [(max(at, which + 1), "duplicated")]


def test_a_record_that_was_edited_and_hashed_again_is_found_by_the_next_one() -> None:
    records = made(4)
    records[1] = edited(records[1], rehash=True, reason="nothing happened")
    assert found(records) == [(2, "edited")]


def test_an_edited_record_is_found_once() -> None:
    records = made(4)
    records[1] = edited(records[1], reason="nothing happened")
    assert found(records) == [(1, "edited")]


def test_a_record_of_another_making_is_found() -> None:
    records = made(3)
    forged = edited(records[1], rehash=True, reason="another")
    assert found([*records, forged]) == [(3, "inserted")]


def test_a_name_that_is_there_twice_is_found() -> None:
    (record,) = made(1)
    twice = record.replace(b'{"hash"', b'{"reason":"another","hash"')
    assert json.loads(twice) == json.loads(record)
    assert found([twice]) == [(0, "edited")]


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b"\xff", b'{"seq":"a","previous":"","hash":1}']
)
def test_what_is_no_record_is_found_and_the_rest_still_verified(value: bytes) -> None:
    records = made(3)
    assert found([records[0], value, *records[1:]]) == [(1, "unreadable")]


def test_an_edited_number_is_one_break() -> None:
    records = made(4)
    records[1] = edited(records[1], seq=10**15)
    assert found(records) == [(1, "edited")]


def test_a_break_says_what_was_found() -> None:
    records = made(5)
    chain = Chain()
    for offset, record in enumerate([records[0], records[4]]):
        chain.take(offset, record)
    (one,) = chain.breaks
    assert one.detail == "records 2 to 4 missing before record 5"
