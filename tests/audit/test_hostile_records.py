"""Whatever anybody sends to the topics that LEDGER reads becomes a fact, a refusal or a skip."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from support.hostile import hostile_values, in_unknown_fields, nested
from tidegauge.audit.chain import Chain, ChainIndex, Origin
from tidegauge.cli.audit import _is_about, describe
from tidegauge.contract import encode
from tidegauge.contract.alert import Acknowledgement, Action, acknowledge
from tidegauge.contract.audit import AuditRecord, Configuration
from tidegauge.contract.record import DecodingError, decode
from tidegauge.contract.silence import Matchers, Silence
from tidegauge.roles.ledger.acknowledged import facts_in

ORIGIN = Origin("facts", 0, 7, 60)

FACT = {
    "id": "a", "time": 60, "actor": "rule:drift", "event": "alert.firing", "subject": "s",
    "model": "credit", "version": "3", "reason": "r", "inputs": {}, "schema_version": 1,
}  # fmt: skip

SILENCE = Silence(
    id="s1", who="ann", why="deploy", since=60.0, until=120.0, matchers=Matchers(model="credit")
)


def fact(**changes: Any) -> bytes:
    return json.dumps(FACT | changes).encode()


@pytest.mark.parametrize("value", [*hostile_values(fact()), *in_unknown_fields(fact())])
@pytest.mark.parametrize("key", [None, b"", b"credit", b"\xff" * 1_000_000])
def test_a_hostile_fact_is_chained_as_refused_and_the_chain_goes_on(
    key: bytes | None, value: bytes | None
) -> None:
    book = ChainIndex()
    entries = [
        book.take(b"credit", fact(), ORIGIN),
        book.take(key, value, ORIGIN._replace(offset=8)),
        book.take(b"credit", fact(id="b"), ORIGIN._replace(offset=9)),
    ]
    chains: dict[str, Chain] = {}
    for offset, entry in enumerate(entries):
        assert entry is not None and len(entry.value) < 2 * 2**20
        decode(entry.value, AuditRecord)
        chains.setdefault(entry.model, Chain()).take(offset, entry.value)
    assert not any(chain.breaks for chain in chains.values())
    assert entries[1] is not None and entries[1].refused


def test_a_fact_that_grows_beyond_its_topic_as_it_is_chained_is_refused() -> None:
    numbers = b"[" + b",".join([b"1e9"] * 250_000) + b"]"
    value = fact()[:-1] + b', "extra": ' + numbers + b"}"
    assert len(value) < 2**20 + 1_000
    entry = ChainIndex().take(b"credit", value, ORIGIN)
    assert (
        entry is not None and entry.refused and "bytes" in decode(entry.value, AuditRecord).reason
    )


def test_a_fact_that_failed_leaves_no_trace_in_the_chain_or_among_the_ids() -> None:
    book = ChainIndex()
    deep = fact(extra="@").replace(b'"@"', nested(400))
    book.take(b"credit", deep[:-1], ORIGIN)
    entry = book.take(b"credit", fact(), ORIGIN._replace(offset=8))
    assert entry is not None and not entry.refused


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_chained(value: bytes) -> None:
    entry = ChainIndex().take(value, value, ORIGIN)
    assert entry is not None and entry.refused


@pytest.mark.parametrize("value", [*hostile_values(fact()), *in_unknown_fields(fact())])
def test_a_hostile_record_of_the_trail_is_a_break_and_no_more(value: bytes | None) -> None:
    book = ChainIndex()
    first = book.take(b"credit", fact(), ORIGIN)
    assert first is not None
    again = ChainIndex()
    again.restore(0, first.value)
    again.restore(1, value or b"")
    [(_, found)] = again.restored()
    assert (found.offset, found.kind) == (1, "unreadable")
    after = again.take(b"credit", fact(id="b"), ORIGIN)
    assert after is not None and decode(after.value, AuditRecord).seq == 2


@pytest.mark.parametrize("seq", [-1, 0, 2**53, 10**40, 1.5, "x", None])
def test_a_number_that_no_record_can_have_is_unreadable(seq: object) -> None:
    chain = Chain()
    chain.take(0, json.dumps(FACT | {"seq": seq, "previous": "", "hash": "0" * 64}).encode())
    assert [one.kind for one in chain.breaks][:1] in (["unreadable"], ["edited"])
    assert chain.head.seq <= 1


ACTION = Action(
    id="a1", kind="retrain", alert="b", rule="drift", model="credit", version="3", variant="",
    requested_at=60, reason="drift", data=None,
)  # fmt: skip

ACKNOWLEDGEMENT = acknowledge(ACTION, "taken", actor="trainer", time=70.0, note="")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (kind, value)
        for kind, sound in (
            (Acknowledgement, encode(ACKNOWLEDGEMENT)),
            (Silence, encode(SILENCE)),
            (Configuration, b"{}"),
        )
        for value in hostile_values(sound)
    ],
)
def test_what_people_did_not_say_is_one_kind_of_error(kind: Any, value: bytes | None) -> None:
    with pytest.raises(DecodingError):
        facts_in(value, kind)


@pytest.mark.parametrize("time", [1e300, -1e300, 1e19])
def test_an_absurd_time_makes_a_fact_that_can_be_chained_and_read(time: float) -> None:
    record = encode(msgspec.structs.replace(ACKNOWLEDGEMENT, time=time))
    _, [(key, value)] = facts_in(record, Acknowledgement)
    entry = ChainIndex().take(key, value, ORIGIN)
    assert entry is not None and not entry.refused
    assert describe(decode(entry.value, AuditRecord))


@pytest.mark.timeout(20)
def test_a_fact_with_a_glob_that_would_take_hours_is_about_no_model() -> None:
    entry = ChainIndex().take(b"", fact(model="", inputs={"models": "[" * 900_000}), ORIGIN)
    assert entry is not None and not entry.refused
    assert not _is_about(decode(entry.value, AuditRecord), "credit")
