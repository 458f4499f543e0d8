"""What can't be counted becomes a dead letter, with the reason; what can is counted."""

import base64
import json
from typing import Any, get_args

import pyarrow as pa
import pytest

from support.counting import (
    NOW,
    FakeMessage,
    a_baseline,
    a_counter,
    a_tenure,
    as_arrow,
    as_json,
    cells_of,
    count,
    counted,
    event,
    messages,
    promote,
)
from tidegauge.contract import encode
from tidegauge.contract.dead_letter import PAYLOAD_LIMIT_BYTES, DeadLetter, Reason

GOOD = as_json(event(features={"amount": 1.0}, note="kept for nobody"))
DEEP = b'{"note":' + b"[" * 50_000 + b"]" * 50_000 + b"," + GOOD[1:]
ROW = {"time": pa.array([NOW])}


def _with(**fields: Any) -> bytes:
    return as_json(event(**fields))


def _with_time(token: str) -> bytes:
    return GOOD.replace(str(NOW - 10).encode(), token.encode())


REFUSED: list[tuple[Reason, bytes | None]] = [
    ("empty", None),
    ("empty", b""),
    ("invalid_utf8", b"\xff"),
    ("invalid_utf8", GOOD.replace(b"kept", b"k\xe9pt")),  # in a field that is not even decoded
    ("invalid_utf8", GOOD.decode().encode("utf-16")),
    ("invalid_json", GOOD.decode().encode("utf-16-le")),
    ("invalid_json", GOOD[:-1]),
    ("invalid_json", GOOD[: len(GOOD) // 2]),
    ("invalid_json", GOOD + b"}"),
    ("invalid_json", b" "),
    ("invalid_json", DEEP),
    ("invalid_record", b"[" + GOOD + b"]"),
    ("invalid_record", b"null"),
    ("invalid_record", as_json({"time": NOW, "version": "1"})),
    ("invalid_record", as_json({"time": NOW, "model": "m"})),
    ("invalid_record", as_json({"model": "m", "version": "1"})),
    ("invalid_record", _with(model="")),
    ("invalid_record", _with(model="x" * 201)),
    ("invalid_record", _with(version=1)),
    ("invalid_record", _with(variant=["canary"])),
    ("invalid_record", _with(variant="\ud800")),
    ("invalid_record", _with(features=[1, 2])),
    ("invalid_record", _with(time=None)),
    ("invalid_record", _with(time=True)),
    ("invalid_record", _with(time="yesterday")),
    ("invalid_record", _with(time="2025-06-15T15:06:43")),
    ("invalid_time", _with_time("NaN")),
    ("invalid_time", _with_time("1e999")),
    ("time_too_early", _with(time=0)),
    ("time_too_early", _with(time="1970-01-01T00:00:00Z")),
    ("time_too_early", _with(time="0001-01-01T00:00:00+14:00")),
    ("time_too_late", _with(time="2200-01-01T00:00:00Z")),
    ("time_too_late", _with(time="9999-12-31T23:59:59-12:00")),
    ("time_too_late", _with(time=NOW * 1000)),
    ("time_too_late", _with(time=NOW + 301)),
    ("invalid_arrow", b"\xff\xff\xff\xff\x00\x00"),
    ("invalid_arrow", as_arrow(ROW)[:-40]),
    ("invalid_arrow", as_arrow(ROW, {})),
    ("invalid_arrow", as_arrow(ROW, {"model": "m"})),
]


def _letters(*values: bytes | None, **settings: Any) -> list[DeadLetter]:
    counter, tenure = a_counter(**settings), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    count(counter, tenure, values)
    for letter in counter.dead_letters:
        encode(letter)
    return counter.dead_letters


@pytest.mark.parametrize(("reason", "value"), REFUSED)
def test_a_bad_record_becomes_one_dead_letter_and_its_neighbours_are_counted(
    reason: Reason, value: bytes | None
) -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    count(counter, tenure, [GOOD, value, GOOD])
    [letter] = counter.dead_letters
    assert (letter.reason, letter.offset, letter.row) == (reason, 1, None)
    assert letter.payload_bytes == len(value or b"")
    assert letter.detail
    [cell] = cells_of(tenure).values()
    assert cell.events == 2


@pytest.mark.parametrize(("reason", "value"), REFUSED)
def test_a_bad_record_is_refused_the_same_before_any_model_is_known(
    reason: Reason, value: bytes | None
) -> None:
    counter = a_counter()
    count(counter, a_tenure(), [value])
    assert [letter.reason for letter in counter.dead_letters] == [reason]


def test_every_reason_there_is_can_be_met() -> None:
    assert {reason for reason, _ in REFUSED} | {"too_large"} == set(get_args(Reason))


def test_the_tokens_nan_and_infinity_are_taken_as_not_finite() -> None:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    count(counter, tenure, [_with(features={"amount": x}) for x in (float("nan"), float("inf"))])
    [cell] = cells_of(tenure).values()
    assert cell.signals["amount"].nan == 2
    assert counter.dead_letters == []


def test_a_time_just_within_what_may_be_ahead_is_taken() -> None:
    assert _letters(_with(time=NOW + 300)) == []


def test_an_event_above_the_limit_is_too_large_and_one_at_the_limit_is_not() -> None:
    [letter] = _letters(GOOD, GOOD + b" ", max_event_bytes=len(GOOD))
    assert (letter.reason, letter.offset) == ("too_large", 1)
    assert _letters(GOOD, max_batch_bytes=1) == []


def test_a_column_batch_has_a_limit_of_its_own() -> None:
    batch = as_arrow(ROW)
    [letter] = _letters(batch, max_batch_bytes=len(batch) - 1)
    assert letter.reason == "too_large"
    assert _letters(batch, max_event_bytes=1) == []


def test_rows_with_impossible_times_are_refused_by_their_number() -> None:
    counter, tenure = a_counter(), a_tenure()
    times = pa.array([0.0, NOW, float("nan"), NOW * 1000])
    count(counter, tenure, [as_arrow({"time": times})])
    assert [(letter.row, letter.reason) for letter in counter.dead_letters] == [
        (0, "time_too_early"), (2, "invalid_time"), (3, "time_too_late"),
    ]  # fmt: skip
    [cell] = cells_of(tenure).values()
    assert cell.events == 1


def test_rows_counted_one_by_one_are_refused_by_their_number() -> None:
    columns = {
        "time": pa.array([NOW, NOW, None, NOW]),
        "model": pa.array(["m", None, "m", "m"]),
        "version": pa.array(["1", "1", "1", "1"]),
    }
    letters = _letters(as_arrow(columns, {}))
    assert [(letter.row, letter.reason) for letter in letters] == [
        (1, "invalid_record"), (2, "invalid_record"),
    ]  # fmt: skip
    assert all(letter.payload is None for letter in letters)


def test_whole_numbers_of_nanoseconds_are_times_too_late_and_stop_nobody() -> None:
    batch = as_arrow({"time": pa.array([int(NOW * 1e9) + 1])})
    assert [letter.reason for letter in _letters(batch)] == ["time_too_late"]


def test_a_value_that_python_has_no_object_for_counts_as_invalid() -> None:
    dates = pa.array([2**31 - 1, None], pa.date32())
    features = pa.StructArray.from_arrays([dates], names=["amount"])
    cells = counted(
        [as_arrow({"time": pa.array([NOW, NOW]), "features": features})], promote(a_baseline())
    )
    [cell] = cells.values()
    assert (cell.signals["amount"].invalid, cell.signals["amount"].null) == (1, 1)


def test_redacted_letters_say_how_large_the_record_was_and_nothing_of_it() -> None:
    secret = b'{"card": "4929-1234"'
    [letter] = _letters(secret, redact_dead_letters=True)
    assert letter.payload is None and letter.payload_encoding is None
    assert letter.payload_bytes == len(secret)
    assert "4929" not in encode(letter).decode()


def test_a_payload_that_is_no_text_is_kept_in_base64() -> None:
    [letter] = _letters(b"\xff\xfe\x00")
    assert letter.payload_encoding == "base64"
    assert base64.b64decode(letter.payload or "") == b"\xff\xfe\x00"


def test_a_large_payload_is_cut_so_that_the_letter_always_fits_its_topic() -> None:
    [letter] = _letters(b"\x01" * (PAYLOAD_LIMIT_BYTES + 1))
    assert letter.payload_truncated and letter.payload_bytes == PAYLOAD_LIMIT_BYTES + 1
    assert len(letter.payload or "") == PAYLOAD_LIMIT_BYTES
    assert len(encode(letter)) < 1_000_000


def test_news_of_the_consumers_own_are_neither_counted_nor_refused() -> None:
    counter, tenure = a_counter(), a_tenure()
    end = FakeMessage(b"Broker: No more messages", 0, 7, problem="end of partition")
    counter.count([*messages([GOOD]), end, FakeMessage(None, 0, 8, problem="failed")], tenure)
    counter.settle(tenure)
    assert len(counter.take_errors()) == 2
    assert counter.take_errors() == []
    assert counter.dead_letters == []
    [cell] = cells_of(tenure).values()
    assert cell.events == 1


def test_a_dead_letter_names_where_the_record_is() -> None:
    counter, tenure = a_counter(), a_tenure(3)
    counter.count([FakeMessage(b"{", 3, 41)], tenure)
    [letter] = counter.dead_letters
    assert (letter.topic, letter.partition, letter.offset) == ("predictions", 3, 41)
    assert letter.payload == "{" and letter.time == NOW
    assert json.loads(encode(letter))["reason"] == "invalid_json"


def test_of_batches_counted_together_each_bad_row_is_known_by_its_own_batch() -> None:
    counter, tenure = a_counter(), a_tenure(0, 1)
    times = [[NOW, NOW], [NOW, NOW + 1e6, NOW], [None, NOW], [NOW + 2, NOW]]
    for offset, some in enumerate(times):
        value = as_arrow({"time": pa.array(some, pa.float64())})
        counter.count([FakeMessage(value, at_partition=offset % 2, at_offset=offset)], tenure)
    counter.settle(tenure)
    found = {(letter.offset, letter.row, letter.reason) for letter in counter.dead_letters}
    assert found == {(1, 1, "time_too_late"), (2, 0, "invalid_record")}
    assert sum(cell.events for cell in cells_of(tenure).values()) == 7
    assert counter.counted["arrow"] == 6 and counter.counted["tolerant"] == 1
    assert [tenure.positions[p].event_clock.latest for p in (0, 1)] == [NOW, NOW + 2]
