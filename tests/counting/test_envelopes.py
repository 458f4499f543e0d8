"""Events in an envelope: CloudEvents are opened, of others the letter says what to change."""

import base64
import json
from collections.abc import Mapping
from typing import Any

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
    event,
    promote,
)
from tidegauge.contract import encode
from tidegauge.contract.dead_letter import DeadLetter

GOOD = as_json(event(features={"amount": 1.0}))
_TIMES = pa.array([NOW, NOW])

_ENVELOPES: Mapping[str, tuple[bytes, str]] = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
    "schema registry": (b"\0\0\0\0\x07" + GOOD, "schema registry"),
    "schema registry, avro": (b"\0\0\0\0\xc8\x08wrap\x12\xff", "the id 200"),
    "gzip": (b"\x1f\x8b\x08\0", "gzip"),
}  # fmt: skip


@pytest.mark.parametrize("kind", _ENVELOPES)
def test_the_letter_of_a_wrapped_event_says_what_to_change(kind: str) -> None:
    value, hint = _ENVELOPES[kind]
    events, [letter] = _count_one(value)
    assert events == 0
    assert hint in letter.detail


def _count_one(value: bytes) -> tuple[int, list[DeadLetter]]:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    counter.count([FakeMessage(value, 0, 0)], tenure)
    counter.settle(tenure)
    return sum(cell.events for cell in cells_of(tenure).values()), counter.dead_letters


def _cloud_event(**data: Any) -> bytes:
    return as_json(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "x", **data}
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("value", "events"),
    [
        (_cloud_event(data=json.loads(GOOD)), 1),
        (_cloud_event(data_base64=_base64(GOOD)), 1),
        (_cloud_event(data_base64=_base64(as_arrow({"time": _TIMES}))), 2),
        (_cloud_event(data=[]), 0),
        (_cloud_event(data="\ud800"), 0),
        (_cloud_event(data_base64="%"), 0),
        (_cloud_event(data_base64=_base64(b"{")), 0),
        (_cloud_event(data_base64=""), 0),
        (_cloud_event(), 0),
    ],
)
def test_a_cloud_event_in_structured_mode_is_counted_by_its_data(value: bytes, events: int) -> None:
    counted, letters = _count_one(value)
    assert counted == events
    assert len(letters) == (events == 0)
    for letter in letters:
        assert letter.payload_bytes == len(value)
        encode(letter)
