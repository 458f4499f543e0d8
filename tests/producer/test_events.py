import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st

from tidegauge.contract.prediction import PredictionEvent
from tidegauge.producer.events import encode_event
from tidegauge.producer.values import UnencodableError


def sent(**fields: Any) -> dict[str, Any]:
    """Return the JSON object of an event, after making sure that the contract accepts it."""
    event = {
        "time": 1.5,
        "model": "credit",
        "version": "3",
        "variant": "",
        "features": {},
        **fields,
    }
    payload = encode_event(**event)
    msgspec.json.decode(payload, type=PredictionEvent)
    decoded: dict[str, Any] = msgspec.json.decode(payload)
    return decoded


class Colour(Enum):
    RED = "red"


class Grade(IntEnum):
    B = 2


@dataclass
class Exotic:
    x: int = 1


def test_an_event_holds_what_was_given_and_nothing_else() -> None:
    assert sent(features={"age": 41}) == {
        "time": 1.5, "model": "credit", "version": "3", "features": {"age": 41}
    }  # fmt: skip


def test_absent_null_and_nan_stay_three_different_things() -> None:
    features = sent(features={"null": None, "nan": math.nan})["features"]
    assert features == {"null": None, "nan": "NaN"}
    assert "prediction" not in sent()
    assert sent(prediction=None)["prediction"] is None
    assert sent(prediction=math.nan)["prediction"] == "NaN"


def test_a_string_that_contains_null_is_left_alone() -> None:
    assert sent(features={"city": "null island"})["features"] == {"city": "null island"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (np.float64(0.25), 0.25),
        (np.float32(0.25), 0.25),
        (np.float16("nan"), "NaN"),
        (np.float64("inf"), "Infinity"),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("Bern"), "Bern"),
        (np.array([0.5]), 0.5),
        (np.array(3), 3),
        (np.datetime64("2026-03-01T00:00:00.000000001"), "2026-03-01T00:00:00.000000001"),
        (np.datetime64("NaT"), None),
        (Decimal("1.25"), 1.25),
        (Decimal("NaN"), "NaN"),
        (Fraction(1, 4), 0.25),
        (Colour.RED, "red"),
        (Grade.B, 2),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_feature_becomes_the_scalar_it_means(value: object, expected: object) -> None:
    found = sent(features={"plain": 1.0, "x": value})["features"]["x"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value",
    [[1], (1,), {1}, {"a": 1}, b"x", Exotic(), object(), np.array([1, 2]), 1j, np.void(b"x"),
     "\ud800", Decimal("sNaN"), Fraction(10**400)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_feature_without_a_scalar_is_refused(value: object) -> None:
    with pytest.raises(UnencodableError):
        sent(features={"x": value})


def test_the_refusal_names_the_feature_and_its_type() -> None:
    with pytest.raises(UnencodableError, match="feature 'embedding' is of type list, expected a"):
        sent(features={"age": 1, "embedding": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model", None, "model is None, expected 1 to 200 characters"),
        ("version", "", "version is '', expected 1 to 200"),
        ("model", "m" * 201, "expected 1 to 200"),
        ("time", datetime(2026, 3, 1), "time is a datetime without a zone"),  # noqa: DTZ001
        ("time", math.nan, "time is float 'NaN', expected epoch seconds"),
        ("time", "yesterday", "time is str 'yesterday'"),
        ("prediction", "approve", "prediction is the string 'approve', expected a number"),
        ("latency_ms", [1.0], "latency_ms is of type list"),
        ("features", None, "features is a NoneType, expected a mapping"),
        ("segments", {"region": [1]}, "segment 'region' is of type list"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: object, message: str) -> None:
    with pytest.raises(UnencodableError, match=message):
        sent(**{field: value})


@pytest.mark.parametrize(
    ("label", "expected"),
    [(1.0, 1), (np.float64(2.0), 2), (np.int64(1), 1), (True, True), ("a", "a"), (0.5, "0.5"),
     (math.nan, "NaN"), (None, None)],
)  # fmt: skip
def test_a_label_is_a_class(label: object, expected: object) -> None:
    found = sent(label=label)["label"]
    assert found == expected
    assert type(found) is type(expected)


def test_segments_and_ids_are_text() -> None:
    event = sent(segments={"region": "EU", "new": True, "age": 30, "none": None}, id=UUID(int=1))
    assert event["segments"] == {"region": "EU", "new": "true", "age": "30"}
    assert event["id"] == "00000000-0000-0000-0000-000000000001"
    assert sent(status=200, variant=Colour.RED, version=3)["version"] == "3"


def test_an_aware_datetime_is_a_time() -> None:
    assert sent(time=datetime(2026, 3, 1, tzinfo=UTC))["time"] == "2026-03-01T00:00:00Z"


def test_names_of_features_may_be_numpy_strings_and_numbers() -> None:
    assert sent(features={np.str_("a"): 1.0, 7: 2.0})["features"] == {"a": 1.0, "7": 2.0}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.one_of(
            st.none(),
            st.booleans(),
            st.floats(),
            st.integers(-(2**53), 2**53),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        ),
        max_size=5,
    )
)
def test_every_plain_value_comes_back_as_it_was(features: dict[str, Any]) -> None:
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    expected = {
        name: ("NaN" if value != value else names.get(value, value))
        if isinstance(value, float)
        else value
        for name, value in features.items()
    }
    assert sent(features=features).get("features", {}) == expected


def test_a_segment_that_a_frame_has_no_value_of_is_no_segment() -> None:
    payload = encode_event(
        time=1.5, model="m", version="1", variant="", features={},
        segments={"region": float("nan"), "tier": None, "group": "a"},
    )  # fmt: skip
    assert msgspec.json.decode(payload, type=PredictionEvent).segments == {"group": "a"}
