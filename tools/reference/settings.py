"""Every setting: name, type, default, bounds and description, from the classes of settings."""

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tidegauge.config import Settings
from tools.reference.markdown import code, page, table, text

INTRODUCTION = """
Each setting can be given in the YAML file, by an environment variable, or as a file of secrets;
[configuration](../operations.md#configuration) has their precedence. The environment variable of
`kafka.bootstrap_servers` is `TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS`: the prefix, then section and name
in capitals with two underscores between them.
"""

#: Words for types that pydantic and Python name otherwise.
_TYPES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "`true`, `false`",
    "Path": "path",
    "SecretStr": "secret",
}

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def settings() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield section, name and field of every setting; a few have an empty section."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for own, inner in field.annotation.model_fields.items():
                yield name, own, inner
        else:
            yield "", name, field


def setting_page() -> str:
    """Return the page of settings, a table for each section."""
    sections: dict[str, list[list[str]]] = {}
    for section, name, field in settings():
        assert field.description, f"{section}.{name} has no description"  # noqa: S101 - our own
        full = f"{section}.{name}" if section else name
        row = [code(full), _type(field), shown_default(field), text(field.description)]
        sections.setdefault(section, []).append(row)
    parts = []
    # Those without a section are few and about everything: they come last.
    for section in sorted(sections, key=lambda name: not name):
        rows = table(["setting", "type", "default", "meaning"], sections[section])
        parts.append(f"## {section or 'Top level'}\n\n{rows}")
    return page("Settings", INTRODUCTION, *parts)


def shown_default(field: FieldInfo) -> str:
    """Return the default as shown on the page."""
    if field.default is PydanticUndefined or field.default_factory is not None:
        return "made at start"
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return code(str(field.default).lower())
    if isinstance(field.default, float) and field.default.is_integer():
        return code(int(field.default))
    return code(field.default)


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(one, name):g}"
        for one in field.metadata
        for name, sign in _SIGNS.items()
        if getattr(one, name, None) is not None
    ]
    return ", ".join([_of(field.annotation), *bounds])


def _of(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(code(one) for one in arguments)
    if origin in (Union, types.UnionType):
        return _of(next(one for one in arguments if one is not type(None)))
    if origin is list:
        return "list"
    if origin is dict:
        return "mapping"
    name: str = annotation.__name__
    return _TYPES.get(name, name)
