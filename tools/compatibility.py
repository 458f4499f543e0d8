"""Whether a schema can be changed to another without breaking who reads or wrote its records. Pure.

Two JSON Schemas are compared by structure: what one allows to be written, the other must take.
Nothing on PyPI does that for JSON Schema 2020-12 and says which field and why.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

#: They say nothing about which values are valid.
_NOTES = frozenset({"$schema", "$id", "$defs", "title", "description", "default", "examples"})

#: What a reader bounds, a writer must bound at least as tightly: from above, or from below.
_AT_MOST = frozenset({"maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"})
_AT_LEAST = frozenset({"minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum"})

#: Compared by a rule of their own below.
_STRUCTURE = frozenset(
    {"type", "enum", "const", "properties", "required", "additionalProperties", "items"}
)


class Break(NamedTuple):
    """A field by its path, such as ``signals.*.counts[]``, and what is wrong with it."""

    path: str
    why: str


def removed(before: Schema, after: Schema) -> list[Break]:
    """Return the fields of ``before`` that ``after`` doesn't have: who reads them is left without.

    >>> removed({"properties": {"id": {}, "row": {}}}, {"properties": {"id": {}}})
    [Break(path='row', why='was removed')]
    """
    gone = _fields(before, before, "", ()) - _fields(after, after, "", ())
    return [
        Break(path, "was removed")
        for path in sorted(gone)
        if not any(path.startswith((f"{other}.", f"{other}[")) for other in gone)
    ]


def misread(writer: Schema, reader: Schema) -> list[Break]:
    """Return what a writer may write by its schema and a reader would refuse by its own.

    Fields that the reader doesn't know are no matter, unless it forbids them.

    >>> misread({"enum": ["low", "high"]}, {"enum": ["low"]})
    [Break(path='', why='may be "high", expected "low"')]
    """
    return list(dict.fromkeys(_Comparison(writer, reader).misread(writer, reader, "")))


class _Comparison:
    """One pair of documents, in which ``$ref`` is looked up."""

    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._writer = writer
        self._reader = reader
        #: Pairs under way or done: a schema may contain itself.
        self._seen: set[tuple[str, str]] = set()

    def misread(self, writer: Schema, reader: Schema, path: str) -> Iterator[Break]:
        pair = (writer.get("$ref"), reader.get("$ref"))
        if pair[0] is not None and pair[1] is not None:
            if (pair[0], pair[1]) in self._seen:
                return
            self._seen.add((pair[0], pair[1]))
        takes = _alternatives(reader, self._reader)
        if {} in takes:
            return
        for written in _alternatives(writer, self._writer):
            yield from self._one(written, takes, path)

    def _one(self, written: Schema, takes: list[Schema], path: str) -> Iterator[Break]:
        """Compare one thing that may be written with all that is taken."""
        likely = [taken for taken in takes if _kinds(written) <= _kinds(taken)]
        if not likely:
            yield Break(path, f"may be {_said([written])}, expected {_said(takes)}")
            return
        tries = []
        for taken in likely:
            seen = set(self._seen)
            problems = list(self._alike(written, taken, path))
            if not problems:
                return
            self._seen = seen
            tries.append(problems)
        yield from min(tries, key=len)

    def _alike(self, written: Schema, taken: Schema, path: str) -> Iterator[Break]:
        """Compare two that are of the same type."""
        if "enum" in taken or "const" in taken:
            allowed = _values(taken)
            found = _values(written)
            if found is None:
                yield Break(path, f"may be any {_said([written])}, expected {_said([taken])}")
            elif wrong := [value for value in found if value not in (allowed or ())]:
                yield Break(path, f"may be {_json(wrong)}, expected {_said([taken])}")
            return
        if "enum" not in written and "const" not in written:
            yield from _bounds(written, taken, path)
        if "object" in _kinds(written):
            yield from self._objects(written, taken, path)
        if "array" in _kinds(written) and "items" in taken:
            yield from self.misread(written.get("items", {}), taken["items"], f"{path}[]")

    def _objects(self, written: Schema, taken: Schema, path: str) -> Iterator[Break]:
        known, fields = taken.get("properties", {}), written.get("properties", {})
        always = set(written.get("required", ()))
        for name in taken.get("required", ()):
            if name not in fields:
                yield Break(_join(path, name), "is required and is never written")
            elif name not in always:
                yield Break(_join(path, name), "is required and may be absent")
        others = taken.get("additionalProperties", True)
        for name, schema in fields.items():
            if name in known:
                yield from self.misread(schema, known[name], _join(path, name))
            elif others is False:
                yield Break(_join(path, name), "may be written and is forbidden")
            elif isinstance(others, Mapping):
                yield from self.misread(schema, others, _join(path, name))
        if isinstance(others, Mapping) and not fields:
            any_name = written.get("additionalProperties", {})
            any_name = {} if any_name is True else any_name
            if any_name is not False:
                yield from self.misread(any_name, others, _join(path, "*"))


def _bounds(written: Schema, taken: Schema, path: str) -> Iterator[Break]:
    for name in sorted(taken.keys() - _NOTES - _STRUCTURE):
        bound, own = taken[name], written.get(name)
        if own == bound:
            continue
        if own is not None and name in _AT_MOST and own <= bound:
            continue
        if own is not None and name in _AT_LEAST and own >= bound:
            continue
        found = "any" if own is None else _json([own])
        yield Break(path, f"may have {name} {found}, expected {_json([bound])}")


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    """Return what a schema is one of, without ``$ref``, ``anyOf`` or lists of types."""
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _alternatives(target, root)
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return [one for part in schema[name] for one in _alternatives(part, root)]
    bare = {name: value for name, value in schema.items() if name not in _NOTES}
    if isinstance(bare.get("type"), list):
        return [{**bare, "type": kind} for kind in bare["type"]]
    return [bare]


def _kinds(schema: Schema) -> set[str]:
    """Return the types of values; every integer is a number too."""
    values = _values(schema)
    if values is not None:
        kinds = {_kind(value) for value in values}
    elif "type" in schema:
        kinds = {schema["type"]}
    elif "properties" in schema:
        kinds = {"object"}
    else:  # anything
        kinds = {"array", "boolean", "null", "number", "object", "string"}
    return kinds | {"integer"} if "number" in kinds else kinds


def _kind(value: object) -> str:
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "array" if isinstance(value, list) else "object"


def _values(schema: Schema) -> list[object] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _fields(schema: Schema, root: Schema, path: str, inside: tuple[str, ...]) -> set[str]:
    """Return the paths of all fields; a schema that contains itself is gone into once."""
    reference = schema.get("$ref")
    if reference in inside:
        return set()
    if reference is not None:
        inside = (*inside, reference)
    found = set()
    for one in _alternatives(schema, root):
        for name, field in one.get("properties", {}).items():
            at = _join(path, name)
            found |= {at} | _fields(field, root, at, inside)
        if isinstance(others := one.get("additionalProperties"), Mapping):
            found |= _fields(others, root, _join(path, "*"), inside)
        if "items" in one:
            found |= _fields(one["items"], root, f"{path}[]", inside)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _said(schemas: list[Schema]) -> str:
    """Say what is taken: its values, or else its type."""
    said = [_json(_values(one) or []) or one.get("type", "anything") for one in schemas]
    return " or ".join(dict.fromkeys(said))


def _json(values: list[Any]) -> str:
    return " or ".join(json.dumps(value, ensure_ascii=False) for value in values)
