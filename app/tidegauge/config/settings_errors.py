"""What is wrong with the settings: each problem with its place, and the name that was meant.

A setting may come from the file, from an environment variable or from a file of secrets, so an
error names which. Nothing of what was found is shown but known words and slips of them: it may be
a secret that somebody wrote into the wrong place.
"""

import os
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from tidegauge.config.yaml_document import UNSHOWN, Location, dotted, parse_document, shown

_PREFIX = "TIDEGAUGE_"

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (in quotes, if it looks like a number)",
    "list_type": "a list such as [a, b]",
    "path_type": "the path of a file",
    "model_type": "a mapping, its keys indented below it",
    "model_attributes_type": "a mapping, its keys indented below it",
    "dict_type": "a mapping, its keys indented below it",
}

_KeyPath = tuple[int | str, ...]


class SettingsError(ValueError):
    """The settings can't be used; ``problems`` has one line for everything that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def unknown_variables(names: Collection[str], model: type[BaseModel]) -> list[str]:
    """Say of environment variables that set nothing what their names may have been meant to be."""
    known = {f"{_PREFIX}{'__'.join(path)}".upper() for path in _paths(model)}
    sections = ", ".join(sorted(name.upper() for name in model.model_fields))
    problems = []
    for name in sorted(names):
        near = get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        problems.append(
            f"unknown environment variable {name}; {hint}known are {_PREFIX} and one of {sections}"
        )
    return problems


def load_settings_file(file: Path, model: type[BaseModel]) -> list[str]:
    """Check a file of settings by itself and return the keys it has.

    Without what environment variables and secrets would add to it or change of it. Raises
    :class:`SettingsError`.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError([f"{file}: can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{file}: not UTF-8 at byte {error.start}"]) from error
    root, data, found = _document(text, model)
    problems = [((one.line, one.column), one.text(str(file))) for one in found]
    if root is not None:
        # The same fields in a model that reads nothing but what it is given.
        fields: dict[str, Any] = {
            name: (field.annotation, field) for name, field in model.model_fields.items()
        }
        alone = create_model("File", __config__=ConfigDict(extra="forbid"), **fields)
        try:
            alone.model_validate(data)
        except ValidationError as error:
            problems += [
                _problem(one, model, root, str(file), None, elsewhere=False)
                for one in error.errors(include_url=False)
            ]
    if problems:
        raise SettingsError([text for _, text in sorted(set(problems))])
    return list(data)


def document_problems(text: str, model: type[BaseModel], source: str) -> list[str]:
    """Return what is wrong with the text of the file itself: its YAML, and keys given twice."""
    _, _, problems = _document(text, model)
    return [one.text(source) for one in problems]


def settings_problems(
    error: ValidationError, model: type[BaseModel], file: Path, secrets: Path | None
) -> list[str]:
    """Say each of pydantic's findings at its place, in the order of the file."""
    root = None
    if file.is_file():
        root, _, _ = _document(file.read_bytes().decode("utf-8-sig"), model)
    found = [
        _problem(one, model, root, str(file), secrets) for one in error.errors(include_url=False)
    ]
    return [text for _, text in sorted(set(found))]


def _document(text: str, model: type[BaseModel]) -> Any:
    known = {str(step) for path in _paths(model) for step in path}
    return parse_document(
        text, expected="settings such as 'kafka:'", show=lambda key: shown(key, known)
    )


def _problem(
    one: ErrorDetails,
    model: type[BaseModel],
    root: Location | None,
    source: str,
    secrets: Path | None,
    *,
    elsewhere: bool = True,
) -> tuple[tuple[int, int], str]:
    """Return a problem as text, and where it is to stand among the others."""
    path, message = tuple(one["loc"]), _message(one, model)
    known = {str(step) for known_path in _paths(model) for step in known_path}
    named = _elsewhere(path, secrets) if elsewhere else ""
    if root is not None and root.has(path) and not named:
        place = root.problem(path, message, at_key=one["type"] == "extra_forbidden")
        return (place.line, place.column), place.text(source)
    where = dotted(path, lambda key: shown(key, known))
    begin = f"{named}: " if named else f"{source}: " if root is not None else "settings: "
    return (0, 0), f"{begin}{where}{': ' if where else ''}{message}"


def _elsewhere(path: _KeyPath, secrets: Path | None) -> str:
    """Name the secret or the environment variable that a setting comes from, if it does."""
    for length in range(len(path), 0, -1):
        name = f"{_PREFIX}{'__'.join(map(str, path[:length]))}"
        if secrets is not None and (secrets / name.lower()).is_file():
            return f"secret {secrets / name.lower()}"
        for variable in os.environ:
            if variable.upper() == name.upper():
                return f"environment variable {variable}"
    return ""


def _message(one: ErrorDetails, model: type[BaseModel]) -> str:
    path, kind = tuple(one["loc"]), one["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = _near(str(path[-1]), known)
        return (
            f"unknown key; {f'did you mean {near!r}?' if near else 'known are ' + ', '.join(known)}"
        )
    if kind == "literal_error":
        choices = one["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        near = _near(str(one["input"]), choices)
        return f"expected one of {', '.join(choices)}" + (f"; did you mean {near}?" if near else "")
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}"
    message = one["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return message[:1].lower() + message[1:]


def _near(word: str, known: Collection[str]) -> str:
    """Return what a word is a slip of; nothing of one that may be a secret."""
    by_lower = {name.lower(): name for name in known}
    if shown(word.lower(), by_lower) == UNSHOWN:
        return ""
    return by_lower[get_close_matches(word.lower(), by_lower, n=1)[0]]


def _keys_at(model: type[BaseModel], path: _KeyPath) -> list[str]:
    """Return the keys that the mapping at ``path`` may have."""
    found: type[BaseModel] | None = model
    steps = list(path)
    while steps and found is not None:
        field = found.model_fields.get(str(steps.pop(0)))
        found = None if field is None else _model_of(field.annotation)
        if field is not None and get_origin(field.annotation) is dict and steps:
            steps.pop(0)  # the name that somebody gave
    return [] if found is None else list(found.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every setting and of every section."""
    for name, field in model.model_fields.items():
        yield (name,)
        below = _model_of(field.annotation)
        if below is not None:
            yield from ((name, *path) for path in _paths(below))
