"""Files that people write: read at start, and again when they change; a wrong one is not used.

Of settings, rules and receivers pydantic finds the problems and names each by its path through the
models. One walk along that path gives the place in the text and the keys that are known there.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from tidegauge.config.yaml_document import (
    UNSHOWN,
    KeyPath,
    Location,
    Problem,
    parse_document,
    shown,
)

log = logging.getLogger(__name__)

#: How often a file is read. New content becomes active when it is the same twice: of a file that is
#: being written, the first half may be valid, and all the rest would be taken for removed.
LOOK_SECONDS = 2.0

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class FileError(ValueError):
    """A file can't be used; ``problems`` has one line for everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_file(path: Path, what: str) -> tuple[str, str]:
    """Return the text of a file and the SHA-256 of its bytes; raises :class:`FileError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError([f"{path}: the {what} can't be read: {error.strerror}"]) from error
    try:
        return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise FileError(
            [f"{path}:{line}:{column}: found a byte that is not UTF-8; save the file as UTF-8"]
        ) from None


class WatchedFile(Generic[T]):
    """Reads a file at start, and again when its content changes.

    Only the content counts. A file that is replaced, or a directory of symbolic links that is
    swapped as Kubernetes does with a ConfigMap, is treated like one that is edited. ``load`` raises
    :class:`FileError` for a wrong file, at start too. Two contents are the same if their
    ``identity`` is equal. ``what`` names the content in the log. ``clock`` is monotonic.
    """

    def __init__(
        self,
        load: Callable[[], T],
        clock: Callable[[], float],
        *,
        what: str,
        identity: Callable[[T], object] = lambda value: value,
    ) -> None:
        self._load = load
        self._clock = clock
        self._what = what
        self._identity = identity
        self._looked_at = clock()
        #: The active content.
        self.value: T = load()
        #: What is wrong with the file now, empty if its content is active.
        self.problems: list[str] = []
        #: The content that was read last, or what was wrong with it.
        self._found: object = identity(self.value)

    def look(self) -> bool:
        """Read the file if it is time; True if another content has become active."""
        if self._clock() - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = self._clock()
        before = self._found
        try:
            read = self._load()
        except FileError as error:
            self._found = tuple(error.problems)
            if self._found == before and self.problems != error.problems:
                self.problems = error.problems
                log.error(
                    "invalid %s; the previous ones stay active: %s",
                    self._what,
                    "; ".join(self.problems),
                )
            return False
        self._found = self._identity(read)
        if self._found != before:
            return False
        news = self._found != self._identity(self.value)
        if news:
            log.warning("new %s are active", self._what)
            self.value = read
        elif self.problems:
            log.warning("the %s are the previous ones again", self._what)
        self.problems = []
        return news


_MAPPING = "a mapping, its keys indented below it"

#: By the types of pydantic's errors.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping such as {name: value}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list such as [a, b]",
    "model_attributes_type": _MAPPING,
    "model_type": _MAPPING,
    "path_type": "the path of a file",
    "string_too_short": "some text",
    "string_type": "text (in quotes, if it looks like a number or yes/no)",
}


class FileFormat(Generic[M]):
    """A kind of YAML file, which ``model`` describes.

    ``whole`` is what an empty file should have. ``expected`` has what this format expects, by the
    types of pydantic's errors, and by the keys of lists. If it ``has_secrets``, messages don't show
    what was found, nor keys that no such file has: each may be a secret that somebody wrote into
    the wrong place. They do show ``words``.
    """

    def __init__(
        self,
        model: type[M],
        *,
        whole: str,
        expected: Mapping[str, str] | None = None,
        has_secrets: bool = True,
        words: Collection[str] = (),
    ) -> None:
        self._model = model
        self._whole = whole
        self._expected = _EXPECTED | dict(expected or {})
        self._has_secrets = has_secrets
        self._words = {*words, *(step for path in key_paths(model) for step in path)}

    def show(self, key: str) -> str:
        """Return a key as messages show it."""
        return shown(key, self._words) if self._has_secrets else key

    def document(self, text: str) -> tuple[Location | None, Any, list[Problem]]:
        """Parse a text; see :func:`parse_document`."""
        return parse_document(
            text, expected=self._whole, show=self.show if self._has_secrets else None
        )

    def read(
        self,
        text: str,
        source: str,
        more: Callable[[Location, Any], Iterable[Problem]] = lambda root, data: (),
        *,
        ignored: str = "",
    ) -> M:
        """Return what a text says; raises :class:`FileError` with all problems, in their order.

        ``more`` finds problems that no single field shows. pydantic's errors of the type
        ``ignored`` are among these.
        """
        root, data, problems = self.document(text)
        found = None
        if root is not None:
            try:
                found = self._model.model_validate(data)
            except ValidationError as error:
                problems += [
                    self.problem(root, one)
                    for one in error.errors(include_url=False)
                    if one["type"] != ignored
                ]
            problems += more(root, data)
        if problems or found is None:
            # Not from pydantic's error, which shows what it found.
            raise FileError([one.text(source) for one in sorted(set(problems))]) from None
        return found

    def problem(self, root: Location, error: ErrorDetails) -> Problem:
        """Describe an error at its place."""
        path, _, _ = _walk(self._model, error["loc"])
        message = self.message(error)
        if error["type"] == "missing":
            # The place of what is missing is the mapping that should have it.
            return root.problem(path[:-1], message)
        if error["type"] == "union_tag_invalid":
            path = (*path, _unquoted(error["ctx"]["discriminator"]))
        at_key = error["type"] == "extra_forbidden" or error["loc"][-1:] == ("[key]",)
        return root.problem(path, message, at_key=at_key)

    def message(self, error: ErrorDetails) -> str:
        """Say what was found, unless it may be a secret, and what was expected."""
        kind, given = error["type"], error["input"]
        path, known, kinds = _walk(self._model, error["loc"])
        context = error.get("ctx", {})
        if kind == "missing":
            return f"found no '{path[-1]}', expected one"
        if kind == "union_tag_not_found":
            choices = ", ".join(tag for one in kinds for tag in _tags(one))
            return f"found no {context['discriminator']}, expected one of {choices}"
        if kind == "extra_forbidden":
            near = self._near(str(path[-1]), known)
            hint = f"did you mean '{near}'?" if near else f"known are {', '.join(known)}"
            return f"unknown key; {hint}"
        found = "" if self._has_secrets else f"found {_found(given)}, "
        if kind in ("literal_error", "union_tag_invalid"):
            tag = context.get("tag", given)
            choices = _unquoted(context.get("expected_tags") or context["expected"])
            near = self._near(tag, choices.split(", ")) if isinstance(tag, str) else ""
            # A slip of a known word is no secret.
            found = f"found {tag!r}, " if near else found
            hint = f"; did you mean {near}?" if near else ""
            return f"{found}expected one of {choices}{hint}"
        expected = self._expected.get(kind) if path else self._whole
        if kind == "list_type" and path:
            expected = self._expected.get(str(path[-1]), expected)
        if expected is None:
            message = re.sub(r"^\w+ should (be|have) ", "expected ", error["msg"])
            message = message.removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            return f"{found if message.startswith('expected') else ''}{message}"
        quoted = isinstance(given, str) and kind in ("float_type", "int_type")
        return f"{found}expected {expected}{', without quotes' if quoted else ''}"

    def _near(self, word: str, known: Collection[str]) -> str:
        """Return the known word that a word is a slip of; empty if there is none."""
        by_lower = {name.lower(): name for name in known}
        if self._has_secrets and shown(word.lower(), by_lower) == UNSHOWN:
            return ""
        return by_lower.get(next(iter(get_close_matches(word.lower(), by_lower, n=1)), ""), "")


def key_paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that a file may have, without names and places in lists."""
    for key, annotation in _fields(model).items():
        yield (key,)
        for below in _models(annotation):
            yield from ((key, *path) for path in key_paths(below))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if _is_model(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _walk(model: type[BaseModel], steps: KeyPath) -> tuple[KeyPath, list[str], list[Any]]:
    """Follow pydantic's ``steps`` through a model.

    Returns the path in the text, the keys known at its last step, and the types that the value may
    have. pydantic puts the tag of what it has chosen of a union into a path, and a mark behind a
    key.
    """
    path, known, at = list[int | str](), list[str](), list[Any]([model])
    for step in steps:
        if len(at) > 1:
            at = _alternatives(next((one for one in at if step in _tags(one)), None))
        elif step != "[key]":
            fields = _fields(at[0]) if _is_model(at[0]) else {}
            # In a list or a mapping, whatever the step is.
            below = fields.get(str(step)) if fields else next(iter(get_args(at[0])[-1:]), None)
            path.append(step)
            known, at = list(fields), _alternatives(below)
    return tuple(path), known, at


def _alternatives(annotation: Any) -> list[Any]:
    """Return what a value may be, but for null."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return [one for one in get_args(annotation) if one is not type(None)]
    return [annotation]


def _tags(annotation: Any) -> list[str]:
    """Return the tags by which one type of a union is chosen."""
    if _is_model(annotation):
        return list(get_args(_fields(annotation).get("type")))
    return [one.tag for one in get_args(annotation) if isinstance(one, Tag)]


def _unquoted(choices: str) -> str:
    return choices.replace("'", "").replace(" or ", ", ")


def _found(value: object) -> str:
    """Show a value, shortened, with its kind where the text alone hides it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes/no (true)" if value else "yes/no (false)"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
