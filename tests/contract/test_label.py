"""Label events: which are read, as what, and what is said of those that are not."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tidegauge.contract import (
    LabelError,
    LabelEvent,
    LabelledPrediction,
    dead_letter_of,
    encode,
    read_label,
    receipt_writer,
)

RECEIPT = receipt_writer(None)(
    "credit", "3", "canary", 1772366413.75, 0.2471, 1, {"region": "EU"}, "9d0f"
)
OWN = {"model": "credit", "version": "3", "time": "2026-03-01T12:00:13.75Z", "prediction": 0.25}


def label(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("actual", "read"),
    [
        (1, 1.0),
        (1.0, 1.0),
        ("1", "1"),
        (True, "true"),
        (" yes ", "yes"),
        (0.5, 0.5),
        (-3, -3.0),
        (2**53, float(2**53)),
        # As a float it would be another class.
        (2**53 + 1, "9007199254740993"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_an_actual_is_a_number_or_a_text(actual: object, read: object) -> None:
    found = read_label(label(id="a", actual=actual))
    assert (found.actual, type(found.actual)) == (read, type(read))


def test_a_label_by_id_may_be_of_one_model_only() -> None:
    assert read_label(label(id="a", actual=1)).model is None
    assert read_label(label(id="a", model="credit", actual=1)).model == "credit"


def test_a_receipt_brings_the_prediction() -> None:
    found = read_label(label(receipt=RECEIPT, actual=1, revision=2))
    assert (found.id, found.revision, found.model) == ("9d0f", 2, None)
    assert found.prediction == LabelledPrediction(
        model="credit", version="3", variant="canary", time=1772366413.75, prediction=0.2471,
        label="1", segments={"region": "EU"},
    )  # fmt: skip


def test_a_label_may_bring_the_prediction_itself() -> None:
    found = read_label(label(**OWN, label=True, variant="", id="a", actual=1))
    assert found.id == "a"
    assert found.prediction == LabelledPrediction(
        model="credit", version="3", variant="", time=1772366413.75, prediction=0.25,
        label="true", segments={},
    )  # fmt: skip


def test_a_retraction_needs_no_actual() -> None:
    found = read_label(label(id="a", retracted=True, revision=1))
    assert (found.actual, found.retracted, found.revision) == (None, True, 1)


REFUSED: list[tuple[bytes | None, str, str]] = [
    (None, "empty", "no value"),
    (b"", "empty", "no value"),
    (b"{", "invalid_json", "truncated"),
    (b'{"id": "a", "actual": NaN}', "invalid_json", "invalid character"),
    (b'{"a":' * 9_000, "invalid_json", "recursion"),
    (b'{"id": "\xff", "actual": 1}', "invalid_utf8", "0xff"),
    (b'{"id": "\\ud800", "actual": 1}', "invalid_json", "surrogate"),
    (b"[1]", "invalid_record", "Expected `object`"),
    (label(id="a"), "invalid_record", "actual is missing"),
    (label(id="a", actual=None), "invalid_record", "actual"),
    (label(id="a", actual=[1]), "invalid_record", "actual"),
    (label(id="a", actual=" "), "invalid_record", "0 characters"),
    (label(id="a", actual="x" * 201), "invalid_record", "201 characters"),
    (label(id="a", actual="NaN"), "invalid_record", "NaN"),
    (b'{"id": "a", "actual": 1e400}', "invalid_record", "out of range"),
    (label(id="", actual=1), "invalid_record", "length >= 1"),
    (label(id="a" * 1_001, actual=1), "invalid_record", "length <= 1000"),
    (label(id=17, actual=1), "invalid_record", "got `int`"),
    (label(actual=1), "invalid_record", "names no prediction"),
    (label(model="credit", actual=1), "invalid_record", "names no prediction"),
    (
        label(id="a", version="3", actual=1),
        "invalid_record",
        "version is given, and not model, time",
    ),
    (label(id="a", segments={}, actual=1), "invalid_record", "segments is given"),
    (label(receipt=RECEIPT, id="a", actual=1), "invalid_record", "id stands beside a receipt"),
    (label(receipt=RECEIPT, model="m", actual=1), "invalid_record", "model stands beside"),
    (label(receipt="tg1.AQ", actual=1), "invalid_receipt", "no prediction in it"),
    (label(receipt="9d0f", actual=1), "invalid_receipt", "expected tg1."),
    (label(**{**OWN, "prediction": None}, actual=1), "invalid_record", "prediction and label"),
    (label(**OWN, actual=1, revision=1), "invalid_record", "without an id"),
    (label(**OWN, retracted=True), "invalid_record", "without an id"),
    (label(**{**OWN, "time": 1e12}, actual=1), "invalid_time", "epoch seconds"),
    (label(**{**OWN, "time": -1}, actual=1), "invalid_time", "epoch seconds"),
    (label(**{**OWN, "time": "2026-03-01T12:00:13"}, actual=1), "invalid_record", "timezone"),
    (label(id="a", actual=1, revision=-1), "invalid_record", ">= 0"),
    (label(id="a", actual=1, revision=2**32), "invalid_record", "<"),
    (label(id="a", actual=1, revision=True), "invalid_record", "bool"),
]


@pytest.mark.parametrize(("value", "reason", "why"), REFUSED)
def test_what_is_no_label_is_refused_with_the_reason(
    value: bytes | None, reason: str, why: str
) -> None:
    with pytest.raises(LabelError, match=why) as refused:
        read_label(value)
    assert refused.value.reason == reason
    assert refused.value.field in ("", *LabelEvent.__struct_fields__)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (label(id="a"), "actual"),
        (label(id="a", actual=[1]), "actual"),
        (label(id=17, actual=1), "id"),
        (label(receipt="9d0f", actual=1), "receipt"),
        (label(**{**OWN, "time": -1}, actual=1), "time"),
        (label(receipt=RECEIPT, model="m", actual=1), "model"),
        (b"[]", ""),
    ],
)
def test_a_refusal_names_the_field(value: bytes, field: str) -> None:
    with pytest.raises(LabelError) as refused:
        read_label(value)
    assert refused.value.field == field


def test_a_label_is_not_of_a_prediction_that_is_yet_to_come() -> None:
    value = label(receipt=RECEIPT, actual=1)
    assert read_label(value, latest=1772366413.75).prediction is not None
    with pytest.raises(LabelError) as refused:
        read_label(value, latest=1772366413.7)
    assert refused.value.reason == "invalid_time"


@given(
    st.dictionaries(
        st.sampled_from(["id", "receipt", "actual", "model", "time", "revision", "retracted"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner, max_size=2),
            max_leaves=3,
        ),
    )
)
def test_nothing_else_is_raised(fields: dict[str, Any]) -> None:
    with suppress(LabelError):
        read_label(json.dumps(fields).encode())


def test_readers_of_before_know_the_reason_of_every_dead_letter_of_a_label() -> None:
    fields: dict[str, Any] = {
        "topic": "labels", "partition": 0, "offset": 1, "time": 2.0, "detail": "", "payload": b"",
    }  # fmt: skip
    letter = dead_letter_of(reason="unknown_prediction", **fields)
    assert (letter.reason, letter.label_problem) == ("invalid_record", "unknown_prediction")
    assert b"label_problem" not in encode(dead_letter_of(reason="invalid_json", **fields))


def test_a_label_in_a_cloud_event_is_taken_out() -> None:
    envelope = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "t", "time": "x"}
    own = {"id": "a", "actual": 1}
    assert read_label(label(**envelope, data=own)).id == "a"
    assert read_label(label(**envelope, data_base64="eyJpZCI6ImEiLCJhY3R1YWwiOjF9")).id == "a"
    with pytest.raises(LabelError, match="actual is missing"):
        read_label(label(**envelope, data={"id": "a"}))
    with pytest.raises(LabelError):
        read_label(label(**envelope))
    with pytest.raises(LabelError):
        read_label(label(**envelope, data=json.loads(label(**envelope, data=own))))
