"""Receipts: what is written is read, what was changed is refused, and nothing else ever raises."""

import base64
import math
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tidegauge.contract import DecodingError, Receipt, read_receipt, receipt_writer

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"

_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)
_predictions = st.tuples(
    _names,
    _names,
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.floats(0, 4_102_444_799),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | _names | st.integers(-(2**63), 2**64 - 1) | st.booleans(),
    st.none() | st.dictionaries(_names, _names, max_size=3),
    st.none() | _names,
)


@given(_predictions, st.sampled_from([None, KEY, b"k" * 100]))
def test_what_was_written_is_read(prediction: tuple[Any, ...], key: bytes | None) -> None:
    receipt = receipt_writer(key)(*prediction)
    if len(receipt) == 0:  # names of four bytes a character, all of them of 200 characters
        return
    assert receipt.isascii() and receipt.isprintable()
    found = read_receipt(receipt, () if key is None else (OTHER, key))
    fields = zip(Receipt.__struct_fields__, prediction, strict=True)
    assert msgspec.structs.asdict(found) == dict(fields)


def _example(key: bytes | None = KEY) -> str:
    return receipt_writer(key)(
        "credit", "3", "champion", 1772366413.75, 0.2471, "repaid", {"region": "EU"}, "9d0f6a1e"
    )


def test_a_usual_receipt_is_short_and_stays_as_it_is() -> None:
    receipt = _example()
    assert len(receipt) < 120
    # What is in databases of users must be readable by every release.
    assert receipt == (
        "tg1.gZimY3JlZGl0oTOoY2hhbXBpb27LQdppCpNwAADLP8-g-QlruYymcmVwYWlkgaZyZWdpb26iRVWoOWQwZjZhMW"
        "U9qb2WH4aWEs_QI6ogM8EL"
    )


@pytest.mark.parametrize("at", range(len(_example())))
def test_a_signed_receipt_with_any_character_changed_is_refused(at: int) -> None:
    receipt = _example()
    changed = receipt[:at] + ("A" if receipt[at] != "A" else "B") + receipt[at + 1 :]
    with pytest.raises(DecodingError):
        read_receipt(changed, (KEY,))


@pytest.mark.parametrize("length", range(len(_example())))
def test_a_receipt_that_was_cut_off_is_refused(length: int) -> None:
    for key, keys in ((KEY, (KEY,)), (None, ())):
        receipt = _example(key)
        if length < len(receipt):
            with pytest.raises(DecodingError):
                read_receipt(receipt[:length], keys)


def test_with_a_key_only_receipts_signed_by_it_count() -> None:
    with pytest.raises(DecodingError, match="another key"):
        read_receipt(_example(OTHER), (KEY,))
    with pytest.raises(DecodingError, match="not signed"):
        read_receipt(_example(None), (KEY,))
    # While the first serving nodes sign already, workers without the key take their receipts.
    assert read_receipt(_example(KEY)).id == "9d0f6a1e"


def _token(content: bytes) -> str:
    return "tg1." + base64.urlsafe_b64encode(content).rstrip(b"=").decode()


_WHOLE: list[Any] = ["credit", "3", "", 1772366413.75, 0.25, None, {}, "a"]


def _packed(**changes: Any) -> str:
    names = list(Receipt.__struct_fields__)
    array = list(_WHOLE)
    for name, value in changes.items():
        array[names.index(name)] = value
    return _token(b"\x01" + msgspec.msgpack.encode(array))


@pytest.mark.parametrize(
    "receipt",
    [
        "",
        "tg1.",
        "tg2." + _packed()[4:],
        "tg1.!!!!",
        "tg1.AQ==",
        "tg1.äöü",
        _packed() + "\n",
        "tg1." + _packed()[4:].replace("-", "+").replace("_", "/") + "=",
        "tg1." + "A" * 8_000,
        _token(b"\x02" + msgspec.msgpack.encode(_WHOLE)),
        _token(b"\x81short"),
        _token(b"\x01" + msgspec.msgpack.encode(_WHOLE[:-1])),
        _token(b"\x01" + msgspec.msgpack.encode(_WHOLE) + b"\x00"),
        _token(b"\x01" + b"\x91" * 5_000),
        _token(b"\x01\xdf\xff\xff\xff\xff"),
        _token(b"\x01\x98\xa1\xff"),
        _packed(model=""),
        _packed(model="m" * 201),
        _packed(model=None),
        _packed(time=math.nan),
        _packed(time=math.inf),
        _packed(time=-1.0),
        _packed(time=1772366413750.0),
        _packed(prediction="high"),
        _packed(label=[1]),
        _packed(segments={"region": 1}),
        _packed(id=""),
        _packed(id="a" * 1_001),
    ],
)
def test_a_text_that_is_no_receipt_is_refused(receipt: str) -> None:
    with pytest.raises(DecodingError):
        read_receipt(receipt)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    for text in (_token(content), _token(b"\x01" + content), content.decode("latin-1")):
        with suppress(DecodingError):
            read_receipt(text)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_none(score: float) -> None:
    assert read_receipt(_packed(prediction=score)).prediction is None


def test_a_prediction_with_too_much_text_gets_no_receipt() -> None:
    segments = {f"d{i}": "x" * 200 for i in range(50)}
    assert receipt_writer(KEY)("m", "1", "", 1.0, 0.5, None, segments, "a") == ""


def test_fields_of_a_later_release_are_passed_over() -> None:
    later = _token(b"\x01" + msgspec.msgpack.encode([*_WHOLE, "new"]))
    assert read_receipt(later) == read_receipt(_packed())
