"""Records as CloudEvents: read by the official SDK, and by our own readers in every mode."""

import base64
import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_kafka,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.formats.json import JSONFormat

from tidegauge.contract import encode
from tidegauge.contract.alert import Acknowledgement, Action, Alert
from tidegauge.contract.cloudevents import (
    KINDS,
    STRUCTURED_CONTENT_TYPE,
    Event,
    Mode,
    Sent,
    source_of,
    type_of,
    unwrap,
    wrap,
)
from tidegauge.contract.record import DecodingError
from tools.schema import RECORDS

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
MODES: tuple[Mode, ...] = ("binary", "structured")


def examples(name: str) -> list[Event]:
    found = sorted((SCHEMAS / "examples").glob(f"{name}.*json"))
    return [msgspec.json.decode(path.read_bytes(), type=RECORDS[name]) for path in found]


EVENTS = [(name, event) for name in KINDS for event in examples(name)]


def official(sent: Sent) -> BaseCloudEvent:
    return from_kafka(KafkaMessage(dict(sent.headers), None, sent.value), JSONFormat())


def alert(**changes: Any) -> Alert:
    [found] = [it for it in examples("alert") if isinstance(it, Alert) and it.state == "pending"]
    return msgspec.structs.replace(found, **changes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "record"), EVENTS)
def test_the_official_sdk_reads_every_record(name: str, record: Event, mode: Mode) -> None:
    event = official(wrap(record, "/tidegauge-detect", mode))
    assert event.get_id() == record.id
    assert event.get_source() == "/tidegauge-detect"
    assert event.get_type() in {type_of(kind) for kind in KINDS[name]}
    assert event.get_datacontenttype() == "application/json"
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())
    assert event.get_dataschema() == schema["$id"]
    assert event.get_data() == json.loads(encode(record))


@pytest.mark.parametrize("mode", MODES)
def test_an_event_says_what_it_is_about_and_when_that_was(mode: Mode) -> None:
    about = alert(model="credit/eu ü", version="3", window_end=1_772_366_460)
    event = official(wrap(about, source_of("gauge"), mode))
    assert event.get_type() == "io.tidegauge.alert.pending.v1"
    assert event.get_subject() == "credit%2Feu%20%C3%BC/3"
    time = event.get_time()
    assert time is not None and time.timestamp() == 1_772_366_460


def test_binary_mode_leaves_the_value_as_it_is_and_writes_headers_in_one_order() -> None:
    record = alert(id="a1", model="credit", version="3", window_end=1_772_366_460)
    assert wrap(record, "/tidegauge-detect", "binary") == Sent(
        encode(record),
        [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", b"a1"),
            ("ce_source", b"/tidegauge-detect"),
            ("ce_type", b"io.tidegauge.alert.pending.v1"),
            ("ce_time", b"2026-03-01T12:01:00Z"),
            ("ce_subject", b"credit/3"),
            ("ce_dataschema", b"urn:tidegauge:schema:alert:1"),
        ],
    )


def test_structured_mode_has_all_of_it_in_the_value() -> None:
    sent = wrap(alert(), "/x", "structured")
    assert sent.headers == [("content-type", STRUCTURED_CONTENT_TYPE.encode())]
    assert list(json.loads(sent.value)) == [
        "specversion", "id", "source", "type", "time", "subject", "dataschema",
        "datacontenttype", "data",
    ]  # fmt: skip


def test_every_kind_that_a_record_can_be_has_a_type() -> None:
    states = get_args(get_type_hints(Alert)["state"])
    assert {f"alert.{state}" for state in (*states, "reminder", "raised", "resumed")} == set(
        KINDS["alert"]
    )
    kinds = get_args(get_type_hints(Action)["kind"])
    assert {f"action.{kind}" for kind in kinds} == set(KINDS["action"])
    outcomes = get_args(get_type_hints(Acknowledgement)["outcome"])
    assert {f"acknowledgement.{it}" for it in outcomes} == set(KINDS["acknowledgement"])
    reminded = official(wrap(alert(state="firing", reminder=1), "/x", "binary"))
    assert reminded.get_type() == "io.tidegauge.alert.reminder.v1"


@pytest.mark.parametrize("mode", MODES)
def test_what_was_wrapped_is_unwrapped_to_the_same_bytes(mode: Mode) -> None:
    for _, record in EVENTS:
        sent = wrap(record, "/x", mode)
        assert unwrap(sent.value, sent.headers) == unwrap(sent.value) == encode(record)


def test_an_acknowledgement_that_the_official_sdk_wrote_is_unwrapped() -> None:
    [record] = examples("acknowledgement")
    event = official(wrap(record, source_of("trainer@gpu"), "binary"))
    for made in (to_binary_event(event), to_structured_event(event)):
        value = made.value if isinstance(made.value, bytes) else made.value.encode()
        found = unwrap(value, list(made.headers.items()))
        assert unwrap(value) == found
        assert msgspec.json.decode(found, type=Acknowledgement) == record


@pytest.mark.parametrize(
    "content_type",
    [b"application/cloudevents+json", b"Application/CloudEvents+JSON; charset=utf-8"],
)
def test_a_structured_event_is_known_by_its_media_type(content_type: bytes) -> None:
    headers = [("other", None), ("Content-Type", content_type)]
    assert unwrap(b'{"data": {"id": 1}}', headers) == b'{"id": 1}'
    encoded = base64.b64encode(b'{"id":1}').decode()
    assert unwrap(json.dumps({"data_base64": encoded}).encode(), headers) == b'{"id":1}'


@pytest.mark.parametrize("value", [b"{}", b"no json", b"[]"])
def test_an_event_that_holds_nothing_is_refused(value: bytes) -> None:
    with pytest.raises(DecodingError):
        unwrap(value, [("content-type", STRUCTURED_CONTENT_TYPE.encode())])


NESTED = b'{"x":' * 6_000 + b"1" + b"}" * 6_000


@pytest.mark.parametrize(
    "value",
    [
        b'{"specversion": "1.0"}',
        b'{"specversion": 1, "data": {}}',
        b'{"specversion": "1.0", "data_base64": "%%%"}',
        b'{"specversion": "1.0", "data": ' + NESTED + b"}",
        b'{"specversion": "1.0", "data": {"a": 1}',
        b'{"specversion": "1.0", "\xff": 1}',
    ],
)
def test_an_envelope_that_cant_be_read_is_one_kind_of_error(value: bytes) -> None:
    with pytest.raises(DecodingError):
        unwrap(value)


def test_the_word_inside_of_a_record_makes_no_envelope() -> None:
    value = b'{"labels": {"specversion": "1.0"}, "data": 1}'
    assert unwrap(value) == value


@pytest.mark.parametrize("headers", [None, [], [("content-type", b"application/json")]])
def test_a_record_without_an_envelope_is_what_its_value_is(headers: Any) -> None:
    assert unwrap(b'{"data": 1}', headers) == b'{"data": 1}'
    assert unwrap(None, headers) == b""
