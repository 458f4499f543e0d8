"""A YAML text as plain values, with the place in the text that each of them came from.

Of a file that holds secrets, an error must show nothing that may be one. People write a password
as a key, as a type, behind ``env:``, or forget a quote. So an error names the place, what was
expected, and of what was found only words that a file of that kind has.
"""

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, NamedTuple

import yaml

KeyPath = tuple[int | str, ...]

#: How a key is shown.
Show = Callable[[str], str]


class Problem(NamedTuple):
    """Something wrong at a place of the text; line and column count from 1."""

    line: int
    column: int
    where: str
    message: str

    def text(self, source: str) -> str:
        """Write the problem as one line, in the form that editors and terminals make clickable."""
        where = f"{self.where}: " if self.where else ""
        return f"{source}:{self.line}:{self.column}: {where}{self.message}"


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: ``1e-3`` is a number (YAML 1.2), a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


class Location:
    """Finds the place of a value in the text by its path, such as ``("rules", 2, "metric")``."""

    def __init__(self, root: yaml.Node, show: Show = str) -> None:
        self._root = root
        self._show = show

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """Say ``message`` of the value at ``path``, or of its key."""
        mark = self._mark(path, at_key)
        return Problem(mark.line + 1, mark.column + 1, dotted(path, self._show), message)

    def has(self, path: KeyPath) -> bool:
        """Whether the text has a value at ``path``."""
        node: yaml.Node | None = self._root
        for step in path:
            child = None if node is None else _child(node, step)
            node = None if child is None else child[1]
        return node is not None

    def line(self, path: KeyPath) -> int:
        """Return the line of the value at ``path``, from 1."""
        return int(self._mark(path, False).line) + 1

    def _mark(self, path: KeyPath, at_key: bool) -> Any:
        node, mark = self._root, self._root.start_mark
        for step in path:
            child = _child(node, step)
            if child is None:  # not in the text: the nearest thing that contains it
                return mark
            key, node = child
            mark = (key if at_key and key is not None else node).start_mark
        return mark


def _child(node: yaml.Node, step: int | str) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        # Of a key that is there twice, the last is the one that counts.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def dotted(path: KeyPath, show: Show = str) -> str:
    """Write a path the way it is read, each key as it is shown.

    >>> dotted(("rules", 2, "metric"))
    'rules[2].metric'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{show(step)}" for step in path)
    return text.removeprefix(".")


def parse_document(
    text: str, *, expected: str | None = None, show: Show | None = None
) -> tuple[Location | None, Any, list[Problem]]:
    """Parse YAML: where things are, the values, and the problems of the text itself.

    ``expected`` is what an empty file should have; without it, a file may be empty. The location is
    ``None`` if there are no values to go on with. Every tag that would make anything but text,
    numbers, lists and mappings is refused. With ``show``, which returns a key as it is shown,
    problems show nothing else of the text.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        character = f"U+{ord(text[error.position]):04X}"
        message = f"found the character {character}, which YAML doesn't allow; take it away"
        return None, None, [Problem(line, column, "", message)]
    try:
        root = loader.get_single_node()
        if root is None:
            message = f"the file is empty, expected {expected}"
            return None, None, [Problem(1, 1, "", message)] if expected else []
        problems = list(_duplicate_keys(root, show or str))
        return Location(root, show or str), loader.construct_document(root), problems
    except yaml.MarkedYAMLError as error:
        return None, None, [_syntax_problem(error, secret=show is not None)]
    except ValueError as error:
        said = "" if show else f": {error}"
        return None, None, [Problem(1, 1, "", f"a value can't be read{said}")]
    except RecursionError:
        return None, None, [Problem(1, 1, "", "the file is nested too deeply")]
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, *, secret: bool) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    began = error.context_mark
    context = f"{error.context}, " if error.context else ""
    if context and began is not None and began.line + 1 != line:
        context = f"{error.context} that began in line {began.line + 1}, "
    said = f"{context}{error.problem}"
    said = without_quotes(said) if secret else said
    message = f"not YAML: {said}; look at the indentation and quotes here"
    return Problem(line, column, "", message)


def _duplicate_keys(root: yaml.Node, show: Show) -> list[Problem]:
    """Find keys that a mapping has twice: YAML would let the last one win without a word."""
    problems: list[Problem] = []
    # An alias is the same node again, and may contain itself.
    seen: set[int] = set()
    stack: list[tuple[KeyPath, yaml.Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            stack += [((*path, index), item) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                here = (*path, key.value)
                stack.append((here, value))
                line = key.start_mark.line + 1
                if key.value in first:
                    message = f"found the key again, first in line {first[key.value]}; keep one"
                    column = key.start_mark.column + 1
                    problems.append(Problem(line, column, dotted(here, show), message))
                first.setdefault(key.value, line)
    return problems


#: What stands for what is not shown.
UNSHOWN = "…"

_WORD = re.compile(r"[a-z]+(_[a-z]+)*")

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")

#: What a parser of YAML quotes of its own.
_TOKENS = re.compile(r"['\"](<[a-z ]+>|[^\w\s]{1,3})['\"]")


def shown(word: str, known: Collection[str]) -> str:
    """Return a word if it is a known one or a slip of one, else :data:`UNSHOWN`.

    >>> shown("match", ["match"]), shown("matsh", ["match"]), shown("Tr0ub4dor", ["match"])
    ('match', 'matsh', '…')
    """
    if word in known:
        return word
    return word if _WORD.fullmatch(word) and get_close_matches(word, known, n=1) else UNSHOWN


def without_quotes(message: str) -> str:
    """Take from a parser's message what it quotes of the text.

    >>> without_quotes("found undefined alias 'hunter2'")
    "found undefined alias '…'"
    """
    return _QUOTED.sub(
        lambda found: found[0] if _TOKENS.fullmatch(found[0]) else f"'{UNSHOWN}'", message
    )
