"""Importances from files: both forms, and everything that can be wrong with them."""

from pathlib import Path

import pytest

from tidegauge.baseline.document import BaselineError
from tidegauge.baseline.io.choices import read_importances

FEATURES = ["age", "income", "region"]


def read(tmp_path: Path, name: str, text: str) -> dict[str, float]:
    path = tmp_path / name
    path.write_text(text)
    return read_importances(path, FEATURES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("i.json", '{"income": 3, "age": 0.25}'),
        ("i.JSON", '\ufeff{"income": 3.0, "age": 0.25}'),
        ("i.csv", "feature,importance\nincome,3\nage,0.25\n"),
        ("i.csv", "feature, importance\r\n income , 3e0\r\n\r\nage,.25"),
    ],
)
def test_both_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    found = read(tmp_path, name, text)
    assert found == {"age": 0.25, "income": 3.0}
    assert list(found) == ["age", "income"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("i.csv", "feature,importance\nage,1\nrooms,2\n", "i.csv:3: 'rooms' is no feature of"),
        ("i.csv", "feature,importance\nage,1\nage,2\n", "i.csv:3: 'age' is there twice"),
        ("i.json", '{"age": 1, "age": 2}', "i.json: 'age' is there twice"),
        ("i.csv", "feature,importance\nage,-1\n", "i.csv:2: found '-1' for 'age', expected a"),
        ("i.csv", "feature,importance\nage,inf\n", "i.csv:2: found 'inf' for 'age'"),
        ("i.csv", "feature,importance\nage,high\n", "i.csv:2: found 'high' for 'age'"),
        ("i.csv", "feature,importance\nage\n", "i.csv:2: found 1 values, expected 2"),
        ("i.csv", "age,1\n", "i.csv:1: found 'age,1', expected 'feature,importance'"),
        ("i.csv", "", "i.csv:1: found '', expected"),
        ("i.json", '{"age": NaN}', "i.json: found nan for 'age'"),
        ("i.json", '{"age": true}', "i.json: found True for 'age'"),
        ("i.json", '{"age": null}', "i.json: found None for 'age'"),
        ("i.json", '{"age": [1]}', r"i.json: found \[1\] for 'age'"),
        ("i.json", '{"age": 1' + "0" * 400 + "}", "for 'age', expected a finite number"),
        ("i.json", "[1]", "i.json: expected an object such as"),
        ("i.json", "3", "i.json: expected an object such as"),
        ("i.json", "{", "i.json is no JSON: "),
        ("i.json", '{"age": ' + "[" * 100_000, "i.json is no JSON: "),
        ("i.json", '{"age": 0}', "i.json: no feature has an importance above 0"),
        ("i.txt", "age 1", "i.txt has a suffix that is not known; importances are in .json or"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(BaselineError, match=message):
        read(tmp_path, name, text)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"absent\.json can't be read: "):
        read_importances(tmp_path / "absent.json", FEATURES)
    (tmp_path / "i.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match=r"i\.csv can't be read: "):
        read_importances(tmp_path / "i.csv", FEATURES)
