"""What others have written is decoded in one place, which raises one error, and read safely.

A role that decodes by itself handles the errors that its author thought of. So nobody does, but for
the few files below.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.deployment import ROOT

APP = ROOT / "app" / "tidegauge"

#: Who may decode JSON directly, and why.
DECODERS = {
    "contract/record.py": "it is that one place",
    "baseline/io/choices.py": "a file that the user of a command names",
    "contract/label.py": "labels in any shape; each error is a reason of dead letters",
    "counting/decode/reference.py": "predictions in any shape; every error is a dead letter",
}

#: Who may read the headers of a record, and why: see ``tidegauge.kafka.unreadable``.
HEADERS = {"kafka/unreadable.py": "it is that one place"}

_WAYS = {
    "msgspec.json.decode",
    "msgspec.json.Decoder",
    "json.load",
    "json.loads",
    "json.JSONDecoder",
    "orjson.loads",
    "pickle.loads",
    "yaml.load",
    "yaml.unsafe_load",
}


def _names(tree: ast.AST) -> dict[str, str]:
    """Return what each name of a module stands for, by its imports."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                found[one.asname or one.name.partition(".")[0]] = (
                    one.name if one.asname else one.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return found


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def decoders(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of every way to decode that a module speaks of."""
    tree = ast.parse(source)
    names = _names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _dotted(node, names)
            if name in _WAYS:
                yield node.lineno, name


def header_readers(source: str) -> Iterator[int]:
    """Yield the lines in which the headers of a message are asked for."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "headers"
            and not node.args
        ):
            yield node.lineno


MODULES = [path.relative_to(APP).as_posix() for path in sorted(APP.rglob("*.py"))]


@pytest.mark.parametrize("module", MODULES)
def test_nobody_decodes_by_himself(module: str) -> None:
    found = [f"{line}: {name}" for line, name in decoders((APP / module).read_text())]
    if module in DECODERS:
        assert found, "it may be taken off the list"
    else:
        assert found == [], "use tidegauge.contract.decode"


@pytest.mark.parametrize("module", MODULES)
def test_nobody_reads_headers_by_himself(module: str) -> None:
    found = list(header_readers((APP / module).read_text()))
    if module in HEADERS:
        assert found, "it may be taken off the list"
    else:
        assert found == [], "use tidegauge.kafka.unreadable.headers_of"


@pytest.mark.parametrize("listed", [*DECODERS, *HEADERS])
def test_what_is_listed_is_there(listed: str) -> None:
    assert listed in MODULES


@pytest.mark.parametrize(
    "source",
    [
        "import msgspec\nmsgspec.json.decode(b'')",
        "import msgspec as m\nm.json.Decoder(int)",
        "from msgspec import json\njson.decode(b'')",
        "from msgspec.json import decode as d\nd(b'')",
        "import msgspec.json\nread = msgspec.json.decode",
        "import json\njson.loads('')",
        "from json import loads\nlist(map(loads, []))",
        "import json as j\nj.load(open('x'))",
    ],
)
def test_each_way_is_found(source: str) -> None:
    assert list(decoders(source))


def test_what_is_no_decoding_is_not_found() -> None:
    source = "import msgspec\nfrom tidegauge.contract import decode\ndecode(b'', int)\n"
    assert list(decoders(source + "msgspec.json.encode(1); b''.decode()")) == []
    assert list(header_readers("message.headers(); one.headers; registry.headers(1)")) == [1]


def test_the_path_is_that_of_the_sources() -> None:
    assert len(MODULES) > 200 and Path(APP / "contract" / "record.py").exists()
