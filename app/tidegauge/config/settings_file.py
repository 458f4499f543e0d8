"""The file of settings, and what is wrong with settings wherever they come from.

A setting may come from the file, from an environment variable or from a file of secrets, so an
error names which.
"""

import os
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from tidegauge.config.files import FileError, read_file
from tidegauge.config.validation import FileFormat, key_paths
from tidegauge.config.yaml_document import Problem, dotted, parse_document

_PREFIX = "TIDEGAUGE_"

_WHOLE = "a mapping of settings, such as 'kafka:'"


def settings_values(file: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Return the values of a file, before they are validated; none of a file that is empty.

    Raises :class:`FileError` if its text is wrong.
    """
    text, _ = read_file(file, "settings file")
    show = FileFormat(model, whole=_WHOLE).show
    root, data, problems = parse_document(text, expected=None, show=show)
    if root is not None and not isinstance(data, dict):
        problems = [Problem(1, 1, "", f"expected {_WHOLE}")]
    if problems:
        raise FileError([one.text(str(file)) for one in problems])
    return data or {}


def load_settings_file(file: Path, model: type[BaseModel]) -> list[str]:
    """Check a file of settings by itself and return the keys it has.

    Without what environment variables and secrets would add to it or change of it. Raises
    :class:`FileError`.
    """
    text, _ = read_file(file, "settings file")
    # The same fields in a model that reads nothing but what it is given.
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in model.model_fields.items()
    }
    alone = create_model("File", __config__=ConfigDict(extra="forbid"), **fields)
    return sorted(FileFormat(alone, whole=_WHOLE).read(text, str(file)).model_fields_set)


def unknown_variables(names: Collection[str], model: type[BaseModel]) -> list[str]:
    """Return a problem for each environment variable that sets nothing, with what may be meant."""
    known = {f"{_PREFIX}{'__'.join(path)}".upper() for path in key_paths(model)}
    sections = ", ".join(sorted(name.upper() for name in model.model_fields))
    problems = []
    for name in sorted(names):
        near = get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        problems.append(
            f"unknown environment variable {name}; {hint}known are {_PREFIX} and one of {sections}"
        )
    return problems


def settings_problems(
    error: ValidationError, model: type[BaseModel], file: Path, secrets: Path | None
) -> list[str]:
    """Return each of pydantic's findings at its place, in the order of the file."""
    format, root = FileFormat(model, whole=_WHOLE), None
    if file.is_file():
        root, _, _ = format.document(read_file(file, "settings file")[0])
    found = set()
    for one in error.errors(include_url=False):
        path = one["loc"]
        named = _elsewhere(path, secrets)
        if root is not None and root.has(path) and not named:
            place = format.problem(root, one)
            found.add((place.line, place.column, place.text(str(file))))
        else:
            begin = named or (str(file) if root is not None else "settings")
            parts = (begin, dotted(path, format.show), format.message(one))
            found.add((0, 0, ": ".join(filter(None, parts))))
    return [text for _, _, text in sorted(found)]


def _elsewhere(path: tuple[int | str, ...], secrets: Path | None) -> str:
    """Name the secret or the environment variable that a setting comes from, if it does."""
    for length in range(len(path), 0, -1):
        name = f"{_PREFIX}{'__'.join(map(str, path[:length]))}"
        if secrets is not None and (secrets / name.lower()).is_file():
            return f"secret {secrets / name.lower()}"
        for variable in os.environ:
            if variable.upper() == name.upper():
                return f"environment variable {variable}"
    return ""
