"""The index of a partition: a chain for each model, each id once, and back from what is written."""

import json
from typing import Any

import msgspec
import pytest

from tidegauge.audit.chain import Chain, ChainIndex, Entry, Origin
from tidegauge.contract import encode
from tidegauge.contract.audit import AuditFact, AuditRecord

ORIGIN = Origin("facts", 0, 7, 1_772_366_460)


def fact(id: str, model: str = "credit", **changes: Any) -> bytes:
    made = AuditFact(
        id=id,
        time=1_772_366_460,
        actor="rule:drift",
        event="alert.firing",
        subject=f"alert {id}",
        model=model,
        version="3",
        reason="größer als vorher",
        inputs={"value": "0.07"},
    )
    return encode(msgspec.structs.replace(made, **changes))


def take(book: ChainIndex, *facts: bytes) -> list[Entry]:
    entries = (book.take(b"key", one, ORIGIN) for one in facts)
    return [one for one in entries if one is not None]


def records(entries: list[Entry]) -> list[AuditRecord]:
    return [msgspec.json.decode(entry.value, type=AuditRecord) for entry in entries]


def test_each_model_has_a_chain_of_its_own() -> None:
    entries = take(ChainIndex(), fact("a"), fact("b", "fraud"), fact("c"), fact("d", "fraud"))
    assert [(e.model, r.seq) for e, r in zip(entries, records(entries), strict=True)] == [
        ("credit", 1), ("fraud", 1), ("credit", 2), ("fraud", 2)
    ]  # fmt: skip
    for model in ("credit", "fraud"):
        chain = Chain()
        for offset, entry in enumerate(entries):
            if entry.model == model:
                chain.take(offset, entry.value)
        assert chain.breaks == []
        assert chain.head.seq == 2


def test_a_fact_that_is_sent_again_is_chained_once() -> None:
    entries = take(ChainIndex(), fact("a"), fact("a"), fact("b"), fact("a"))
    assert [record.id for record in records(entries)] == ["a", "b"]


def test_the_record_holds_the_whole_fact() -> None:
    (entry,) = take(ChainIndex(), fact("a"))
    assert json.loads(fact("a")).items() <= json.loads(entry.value).items()


def test_what_later_releases_add_is_kept_and_hashed() -> None:
    added = json.loads(fact("a")) | {"ticket": {"id": 7}}
    (entry,) = take(ChainIndex(), json.dumps(added).encode())
    assert json.loads(entry.value)["ticket"] == {"id": 7}


def test_a_fact_cant_choose_its_place_in_the_chain() -> None:
    forged = json.loads(fact("a")) | {"seq": 9, "previous": "f" * 64, "hash": "f" * 64}
    (entry,) = take(ChainIndex(), json.dumps(forged).encode())
    (record,) = records([entry])
    assert (record.seq, record.previous) == (1, "")
    chain = Chain()
    chain.take(0, entry.value)
    assert chain.breaks == []


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"id":"a"}', fact("a", time="now")])
def test_what_is_no_fact_is_chained_as_refused(value: bytes | None) -> None:
    book = ChainIndex()
    entry = book.take(b"credit", value, ORIGIN)
    assert entry is not None and entry.refused and entry.model == "credit"
    (record,) = records([entry])
    assert (record.event, record.subject) == ("fact.refused", "facts/0 at offset 7")
    assert record.inputs["bytes"] == str(len(value or b""))
    assert book.take(b"credit", value, ORIGIN) is None
    assert book.take(b"credit", value, ORIGIN._replace(offset=8)) is not None


def test_a_key_that_is_no_text_is_chained_too() -> None:
    entry = ChainIndex().take(b"\xff", b"", ORIGIN)
    assert entry is not None and entry.model == "\ufffd"


def test_another_book_goes_on_from_what_is_written() -> None:
    facts = [fact(str(i), f"m{i % 3}") for i in range(30)]
    whole = take(ChainIndex(), *facts)
    for cut in range(31):
        first, second = ChainIndex(), ChainIndex()
        begun = take(first, *facts[:cut])
        for offset, entry in enumerate(begun):
            second.restore(offset, entry.value)
        assert second.restored() == []
        # The facts before are sent again: what was not acknowledged is read again.
        assert begun + take(second, *facts) == whole


def test_restoring_finds_breaks_and_goes_on_after_them() -> None:
    written = [entry.value for entry in take(ChainIndex(), *(fact(str(i)) for i in range(4)))]
    book = ChainIndex()
    for offset, value in [(0, written[0]), (1, b"?"), (3, written[3])]:
        book.restore(offset, value)
    found = book.restored()
    assert [(model, one.offset, one.kind) for model, one in found] == [
        ("", 1, "unreadable"), ("credit", 3, "removed")
    ]  # fmt: skip
    (record,) = records(take(book, fact("next")))
    assert record.seq == 5
    assert record.previous == json.loads(written[3])["hash"]


def test_the_oldest_ids_are_forgotten_first() -> None:
    book = ChainIndex(ids=2)
    take(book, fact("a"), fact("b"), fact("c"))
    assert take(book, fact("c"), fact("b")) == []
    assert len(take(book, fact("a"))) == 1
