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
from tidegauge.contract import DeadLetter, encode

GOOD = as_json(event(features={"amount": 1.0}))
_TIMES = pa.array([NOW, NOW])

_ENVELOPES: Mapping[str, tuple[bytes, str]] = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
    "schema registry": (b"\0\0\0\0\x07" + GOOD, "schema registry"),
    "schema registry, avro": (b"\0\0\0\0\xc8\x08wrap\x12\xff", "the id 200"),
    "gzip": (b"\x1f\x8b\x08\0", "gzip"),
    "cloud event without its header": (
        as_json({"specversion": "1.0", "id": "1", "data": event()}), "content-type",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", _ENVELOPES)
def test_the_letter_of_a_wrapped_event_says_what_to_change(kind: str) -> None:
    value, hint = _ENVELOPES[kind]
    events, [letter] = _count_one(value, None)
    assert events == 0
    assert hint in letter.detail


def _count_one(value: bytes, content_type: bytes | None) -> tuple[int, list[DeadLetter]]:
    counter, tenure = a_counter(), a_tenure()
    counter.use(promote(a_baseline()), tenure)
    headers = [("content-type", content_type), ("trace", None), ("odd", b"\xff")]
    counter.count([FakeMessage(value, 0, 0, has_headers=headers)], tenure)
    counter.settle(tenure)
    return sum(cell.events for cell in cells_of(tenure).values()), counter.dead_letters


def _cloud_event(**data: Any) -> bytes:
    return as_json(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "x", **data}
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("content_type", [b"application/cloudevents+json; charset=UTF-8"])
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
def test_a_cloud_event_in_structured_mode_is_counted_by_its_data(
    value: bytes, events: int, content_type: bytes
) -> None:
    counted, letters = _count_one(value, content_type)
    assert counted == events
    assert len(letters) == (events == 0)
    for letter in letters:
        assert letter.payload_bytes == len(value)
        encode(letter)


@pytest.mark.parametrize("content_type", [None, b"\xff", b"application/json"])
def test_a_cloud_event_under_another_header_is_refused_with_a_hint(
    content_type: bytes | None,
) -> None:
    events, [letter] = _count_one(_cloud_event(data=json.loads(GOOD)), content_type)
    assert events == 0
    assert "content-type" in letter.detail
