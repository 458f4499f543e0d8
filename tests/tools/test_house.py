"""The rooms keep their rules: no cycles, each class name once, no import past a face."""

import ast
import importlib
from pathlib import Path

import pytest

from tools import house

KNOWN = house.modules()
FACES = sorted(
    module for module, path in KNOWN.items() if "face(" in path.read_text() and "." in module
    and path.name == "__init__.py"
)  # fmt: skip


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert house.cycles(KNOWN) == []


def test_a_class_name_exists_once() -> None:
    assert house.classes_twice(KNOWN) == {}


def test_no_room_looks_past_the_face_of_another() -> None:
    assert house.imports_past_faces(KNOWN) == []


@pytest.mark.parametrize("room", FACES)
def test_a_face_has_what_it_promises_to_type_checkers(room: str) -> None:
    promised = {name for _, name in house.imports(KNOWN[room], faces=True)} - {"face"}
    face = importlib.import_module(room)
    assert set(face.__all__) == promised
    for name in promised:
        assert getattr(face, name) is not None


@pytest.mark.parametrize("room", FACES)
def test_a_room_says_what_it_is_for(room: str) -> None:
    assert ast.get_docstring(ast.parse(KNOWN[room].read_text()))


def test_circles_and_reaches_are_found(tmp_path: Path) -> None:
    app = tmp_path / "tidegauge"
    for name, text in {
        "__init__.py": "",
        "one/__init__.py": "",
        "one/a.py": "from tidegauge.two.b import B\nclass A: ...\n",
        "two/__init__.py": "",
        "two/b.py": "from tidegauge.one import a\nclass B: ...\nclass A: ...\n",
    }.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    known = house.modules(app)
    assert house.cycles(known) == [["tidegauge.one.a", "tidegauge.two.b"]]
    assert house.classes_twice(known) == {"A": ["tidegauge.one.a", "tidegauge.two.b"]}
    assert house.imports_past_faces(known) == [
        "tidegauge.one.a: tidegauge.two.b",
        "tidegauge.two.b: tidegauge.one.a",
    ]
