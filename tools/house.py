"""Measure the house: how big the package is, and whether its rooms keep to their rules.

``python -m tools.house`` names what breaks a rule and ends with one line of JSON: ``lines`` and
``files`` under ``app/``, ``cycles`` among modules, class names defined twice, imports past the face
of another room, and two measures of one event's way, both traced (see :mod:`tools.house_trace`):

- ``files_of_one_event``: the files of the steps in docs/architecture.md, each of which is given the
  event, or what has become of it, and hands on its next form;
- ``files_called_for_one_event``: all files in which anything is called meanwhile: also helpers that
  compute a part of a result, metrics, health, logs and quarantines.
"""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "tidegauge"
APP = ROOT / "app" / PACKAGE

#: A class name that may exist more than once: the base of a role's, and each role's own.
MAY_EXIST_TWICE = frozenset({"Session", "Settings"})


def modules(app: Path = APP) -> dict[str, Path]:
    """Return every module of the package by its dotted name; a room by the name of the room."""
    found = {}
    for path in sorted(app.rglob("*.py")):
        parts = path.relative_to(app.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(module: str, known: dict[str, Path]) -> str:
    """Return the room that a module stands in: the package that it is in, or that it is."""
    if known[module].name == "__init__.py":
        return module
    return module.rpartition(".")[0]


def imports(path: Path, *, faces: bool) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every import of ours that runs; of a room's face its promises too."""
    tree = ast.parse(path.read_text("utf-8"))
    checked = [
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for one in branch.body
        for node in ast.walk(one)
    ]
    for node in ast.walk(tree):
        if not faces and node in checked:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE:
            yield from ((node.module or "", one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            for one in node.names:
                if one.name.partition(".")[0] == PACKAGE:
                    yield one.name, ""


def arrows(known: dict[str, Path]) -> dict[str, set[str]]:
    """Return which modules each module imports, through faces: where the names are defined."""
    promised = {
        (module, name): source
        for module, path in known.items()
        if path.name == "__init__.py"
        for source, name in imports(path, faces=True)
        if source != module
    }
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in known.items():
        for source, name in imports(path, faces=False):
            while (source, name) in promised:
                source = promised[source, name]
            target = f"{source}.{name}" if f"{source}.{name}" in known else source
            if target in known and target != module:
                found[module].add(target)
    return found


def cycles(known: dict[str, Path]) -> list[list[str]]:
    """Return the circles of modules that import each other, each once (Tarjan's components)."""
    graph = arrows(known)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in sorted(graph[module]):
            if target not in index:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            circle: list[str] = []
            while circle[-1:] != [module]:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    for module in known:
        if module not in index:
            visit(module)
    return found


def classes_twice(known: dict[str, Path]) -> dict[str, list[str]]:
    """Return the names of classes that are defined in more than one place, and where."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    return {
        name: where
        for name, where in sorted(places.items())
        if len(where) > 1 and name not in MAY_EXIST_TWICE
    }


def imports_past_faces(known: dict[str, Path]) -> list[str]:
    """Return the imports that reach past the face of another room.

    A room may look into itself, and the rooms that it is made of into each other and into it.
    """
    promised = {
        (module, name)
        for module, path in known.items()
        if path.name == "__init__.py"
        for source, name in imports(path, faces=True)
        if source != module
    }
    found = []
    for module, path in known.items():
        own = room_of(module, known)
        if path.name == "__init__.py" and not own.partition(".")[2]:
            continue
        for source, name in imports(path, faces=False):
            if (source, name) in promised:
                continue
            target = f"{source}.{name}" if f"{source}.{name}" in known else source
            if target not in known or known[target].name == "__init__.py":
                continue
            room = room_of(target, known)
            if room != own and room != PACKAGE and not _are_kin(own, room):
                found.append(f"{module}: {target}")
    return sorted(found)


def _are_kin(one: str, other: str) -> bool:
    """Whether two rooms are parts of one; each role is a room of its own."""
    first, second = one.split("."), other.split(".")
    if first[:2] == second[:2] == [PACKAGE, "roles"]:
        return first[:3] == second[:3]
    if first[:3] != second[:3] and [PACKAGE, "baseline", "io"] in (first[:3], second[:3]):
        return False
    return first[:2] == second[:2]


def main() -> None:
    """Print what breaks a rule, and the measures."""
    from tools.house_trace import trace_one_event

    known = modules()
    circles, twice, past = cycles(known), classes_twice(known), imports_past_faces(known)
    traced = trace_one_event()
    for circle in circles:
        print("cycle:", *circle)
    for name, where in twice.items():
        print(f"class {name}:", *where)
    for one in past:
        print("past a face:", one)
    for step in traced.missed:
        print("not on the way of an event:", *step)
    measures = {
        "lines": sum(len(path.read_text("utf-8").splitlines()) for path in known.values()),
        "files": len(known),
        "cycles": len(circles),
        "classes_twice": len(twice),
        "imports_past_faces": len(past),
        "files_of_one_event": len(traced.walk),
        "files_called_for_one_event": len(traced.called),
    }
    print(json.dumps(measures))


if __name__ == "__main__":
    main()
