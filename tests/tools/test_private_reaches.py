"""Tests use what objects and modules of the package show; how many reaches into privates are left.

A function that needs a test of its own is public where it stands, or stands in the wrong room.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]

#: How many there may be. It may only become smaller: lower it with each that you take out.
ALLOWED = 119

#: Names that begin so and are public all the same: of named tuples, of ``os``.
PUBLIC = frozenset({"_replace", "_asdict", "_fields", "_exit"})
#: What an attribute is one's own of, and the errors of librdkafka, whose names begin so.
OWN = frozenset({"self", "cls", "super()", "KafkaError"})


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def reaches(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            if is_private(node.attr) and ast.unparse(node.value) not in OWN:
                yield f"{path}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tidegauge"):
            inside = any(map(is_private, (node.module or "").split(".")))
            for one in node.names:
                if inside or is_private(one.name):
                    yield f"{path}:{node.lineno}: {node.module}.{one.name}"


def test_tests_reach_into_privates_less_and_less() -> None:
    found = [one for path in sorted(TESTS.rglob("*.py")) for one in reaches(path)]
    assert len(found) <= ALLOWED, "\n".join(found)


def test_a_reach_is_found(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(
        "from tidegauge.room._inner import Name\n"
        "from tidegauge.room.module import _function, function\n"
        "session._consumer.close()\n"
        "self._own = one._replace(a=KafkaError._FATAL)\n"
        "import tidegauge.__main__\n"
    )
    assert [one.rpartition(": ")[2] for one in reaches(path)] == [
        "tidegauge.room._inner.Name",
        "tidegauge.room.module._function",
        "session._consumer",
    ]
