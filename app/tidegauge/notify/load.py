"""Reading the receiver file: every problem at once, each with its line and column."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidegauge.config import UNSHOWN, FileError, Location, Problem, Settings, parse_document, shown
from tidegauge.notify.config import KINDS, Match, RateLimit, ReceiverFile, Secret

_WHOLE = "'receivers:' and a list of receivers"

#: Models below a receiver, by the key that they stand under.
_BELOW: dict[str, type[BaseModel]] = {
    "match": Match,
    "rate_limit": RateLimit,
    "secret": Secret,
    "password": Secret,
    "authorization": Secret,
    "url": Secret,
}


#: The keys of this file, and those of the settings, which are sometimes written into it.
_MODELS: tuple[type[BaseModel], ...] = (ReceiverFile, *KINDS.values(), *_BELOW.values())
_WORDS = {
    *Settings.model_fields,
    *(field.alias or name for model in _MODELS for name, field in model.model_fields.items()),
}


def _show(key: str) -> str:
    return shown(key, _WORDS)


class ReceiversError(FileError):
    """A receiver file can't be used."""


def load_receivers(path: Path) -> ReceiverFile:
    """Read a receiver file and the secrets it names; raises :class:`ReceiversError`."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problem = f"{path}: the receiver file can't be read: {error.strerror}"
        raise ReceiversError([problem]) from error
    except UnicodeDecodeError as error:
        raise ReceiversError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    return parse_receivers(text, source=str(path))


def parse_receivers(text: str, *, source: str) -> ReceiverFile:
    """Parse the text of a receiver file; ``source`` names it in errors.

    Raises :class:`ReceiversError` with every problem as ``source:line:column: where: what``. What
    was found is not shown, nor are keys that no such file has: each may be a secret that somebody
    wrote into the wrong place.
    """
    root, data, problems = parse_document(text, expected=_WHOLE, show=_show)
    found = None
    if root is not None:
        try:
            found = ReceiverFile.model_validate(data)
        except ValidationError as error:
            problems += [_translate(root, one) for one in error.errors(include_url=False)]
        problems += _names_twice(root, data)
    if problems or found is None:
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.column))
        # Not from pydantic's error, which shows what it found.
        raise ReceiversError([problem.text(source) for problem in ordered]) from None
    return found


def _translate(root: Location, error: ErrorDetails) -> Problem:
    """Say one of pydantic's findings in the words of this file, at its place."""
    path, kind = tuple(error["loc"]), error["type"]
    as_pydantic_has_it = path
    if len(path) > 2 and path[0] == "receivers":
        path = path[:2] + path[3:]  # without the type, which is no step in the text
    if not path:
        return root.problem(
            path, error["msg"].removeprefix("Value error, ") or f"expected {_WHOLE}"
        )
    if kind == "missing":
        return root.problem(path[:-1], f"found no '{path[-1]}', expected one")
    if kind == "extra_forbidden":
        known = _known_keys(as_pydantic_has_it[:-1])
        near = _near(str(path[-1]), known)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        return root.problem(path, f"unknown key; {hint}", at_key=True)
    if kind == "union_tag_not_found":
        return root.problem(path, f"found no 'type', expected one of {', '.join(KINDS)}")
    if kind == "union_tag_invalid":
        tag = error["ctx"]["tag"]
        near = _near(tag, KINDS)
        hint = f"; did you mean {near[0]}?" if near else ""
        found = f"found {tag!r}" if near else "found none that there is"
        return root.problem((*path, "type"), f"{found}, expected one of {', '.join(KINDS)}{hint}")
    message = error["msg"].removeprefix("Value error, ")
    return root.problem(path, message[:1].lower() + message[1:])


def _near(word: str, known: Collection[str]) -> list[str]:
    """Return what a word is a slip of; nothing of one that may be a secret."""
    return [] if shown(word, known) == UNSHOWN else get_close_matches(word, known, n=1)


def _names_twice(root: Location, data: Any) -> Iterator[Problem]:
    """Find receivers of the same name: they would share a consumer group."""
    receivers = data.get("receivers") if isinstance(data, dict) else None
    first: dict[str, int] = {}
    for index, one in enumerate(receivers if isinstance(receivers, list) else []):
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str):
            continue
        if name in first:
            line = root.line(("receivers", first[name], "name"))
            message = f"found {name!r}, already a name in line {line}; give each its own"
            yield root.problem(("receivers", index, "name"), message)
        first.setdefault(name, index)


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a mapping may have; ``path`` as pydantic has it."""
    model: type[BaseModel] = ReceiverFile
    if len(path) == 3:
        model = KINDS[str(path[2])]
    elif len(path) > 3:
        model = _BELOW[str(path[3])]
    return [field.alias or name for name, field in model.model_fields.items()]
