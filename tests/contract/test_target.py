"""One label has one reading, or none: classes and numbers as producers and people write them."""

import pytest
from hypothesis import given, strategies as st

from tidegauge.contract import (
    BinaryTarget,
    DecodingError,
    MulticlassTarget,
    OutcomeTarget,
    RegressionTarget,
    actual_number,
    class_code,
    class_text,
    decode,
    encode,
)

NUMBERS = BinaryTarget(positive="1", negative="0", threshold=0.5)
TRUTH = BinaryTarget(positive="true", negative="false", threshold=0.5)
WORDS = BinaryTarget(positive="defaulted", negative="repaid", threshold=0.5)
ANIMALS = MulticlassTarget(classes=("cat", "dog", "3"))


@pytest.mark.parametrize("one", ["1", 1, 1.0, True, " 1 ", "1.0", "1e0", "true", "True", "TRUE"])
@pytest.mark.parametrize("target", [NUMBERS, TRUTH])
def test_all_forms_of_one_are_the_same_class(target: BinaryTarget, one: str | float) -> None:
    assert class_code(target, one) == 1


@pytest.mark.parametrize("zero", ["0", 0, 0.0, -0.0, False, "0.0", "false", "False"])
@pytest.mark.parametrize("target", [NUMBERS, TRUTH])
def test_all_forms_of_zero_are_the_same_class(target: BinaryTarget, zero: str | float) -> None:
    assert class_code(target, zero) == 0


@pytest.mark.parametrize("other", ["2", 2, 0.5, "yes", "", "nan", "1,0", "\uff11", "0x1", "1_0"])
@pytest.mark.parametrize("target", [NUMBERS, TRUTH])
def test_what_is_neither_is_no_class_of_a_binary_target(
    target: BinaryTarget, other: str | float
) -> None:
    assert class_code(target, other) is None


@pytest.mark.parametrize("value", [1, 0, True, "Defaulted", "DEFAULTED", "default"])
def test_words_are_classes_as_they_are_written(value: str | float) -> None:
    assert class_code(WORDS, "defaulted ") == 1
    assert class_code(WORDS, value) is None


def test_what_is_no_class_of_several_is_other() -> None:
    values: list[str | float] = ["cat", "dog", 3, 3.0, "3.0", "bird", True, "CAT"]
    assert [class_code(ANIMALS, value) for value in values] == [0, 1, 2, 2, 2, 3, 3, 3]


def test_a_class_that_is_written_like_a_number_comes_before_that_number() -> None:
    assert class_code(MulticlassTarget(classes=("1", "1.0")), "1.0") == 1


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2, 2.0), (2.5, 2.5), ("2.5", 2.5), (" -1e3 ", -1000.0), (".5", 0.5), ("5.", 5.0),
        (True, None), ("true", None), ("nan", None), ("Infinity", None), ("1_0", None),
        ("1e999", None), (10**400, None), ("\u0661", None), ("", None), 
        ("1,5", None), ("0x10", None), (float("nan"), None), (float("inf"), None),
    ],
)  # fmt: skip
def test_the_actual_of_a_regression_is_a_finite_number(
    value: str | float, number: float | None
) -> None:
    assert actual_number(value) == number


@given(st.integers(-(2**53), 2**53))
def test_an_integer_and_the_float_of_it_have_one_text(value: int) -> None:
    assert class_text(value) == class_text(float(value)) == str(value)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans()))
def test_a_class_found_once_is_found_again_by_its_text(value: str | float) -> None:
    for target in (NUMBERS, TRUTH, WORDS, ANIMALS):
        code = class_code(target, value)
        if code is not None and code < len(target.texts):
            assert class_code(target, target.texts[code]) == code
            assert class_code(target, class_text(value)) == code


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"problem": "binary", "positive": "1", "negative": "1", "threshold": 0.5}, "both '1'"),
        ({"problem": "binary", "positive": "1", "negative": "0", "threshold": 1.5}, "<= 1"),
        ({"problem": "binary", "positive": "", "negative": "0", "threshold": 0.5}, "length >= 1"),
        ({"problem": "binary", "positive": "1", "negative": "0"}, "threshold"),
        ({"problem": "multiclass", "classes": ["a"]}, "length >= 2"),
        ({"problem": "multiclass", "classes": ["a", "a"]}, "twice"),
        ({"problem": "multiclass", "classes": list(map(str, range(51)))}, "length <= 50"),
        ({"problem": "regression", "residual_edges": [1.0, 1.0]}, "increasing"),
        ({"problem": "ranking"}, "ranking"),
        ({}, "problem"),
    ],
)
def test_a_target_that_leaves_anything_open_is_refused(
    document: dict[str, object], why: str
) -> None:
    with pytest.raises(DecodingError, match=why):
        decode(encode(document), OutcomeTarget)


@pytest.mark.parametrize("target", [NUMBERS, ANIMALS, RegressionTarget(residual_edges=(-1.0, 0.5))])
def test_a_target_is_read_as_it_was_written_and_can_be_a_key(target: OutcomeTarget) -> None:
    found = decode(encode(target), OutcomeTarget)
    assert found == target and {found: 1}[target] == 1
