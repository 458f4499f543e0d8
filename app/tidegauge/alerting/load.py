"""Reading a rule file: every problem at once, each with its line and column."""

import hashlib
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidegauge.alerting.consistency import inconsistencies, wrong_inhibitors
from tidegauge.alerting.model import INCONSISTENT, SEVERITY_TAGS, Rule, RuleFile, SeverityBySize
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.config import FileError, Location, Problem, dotted, parse_document

#: By how deep in the file.
_FIELDS_OF = {
    0: list(RuleFile.model_fields),
    2: [field.alias or name for name, field in Rule.model_fields.items()],
    3: list(SeverityBySize.model_fields),
}

_EXPECTED = {
    "float_type": "a number, without quotes",
    "finite_number": "a finite number",
    "int_type": "a whole number, without quotes",
    "string_type": "text (in quotes, if it looks like a number or yes/no)",
    "list_type": "a list of rules, each beginning with '- name:'",
    "model_type": "a mapping such as 'name: input-drift'",
    "dict_type": "a mapping such as {team: payments}",
    "string_too_short": "some text",
}

#: Fields that are lists of names, with an example.
_LISTS = {
    "receivers": "[pager]",
    "inhibited_by": "[many-features-drift]",
    "signal_inhibited_by": "[missing-values]",
}


class RuleError(FileError):
    """A rule file can't be used."""


def load_rules(path: Path) -> RuleSet:
    """Read a rule file; raises :class:`RuleError` if it can't be read or is wrong somewhere."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RuleError([f"{path}: the rule file can't be read: {error.strerror}"]) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise RuleError(
            [f"{path}:{line}:{column}: found a byte that is not UTF-8; save the file as UTF-8"]
        ) from error
    return parse_rules(text, source=str(path), sha256=hashlib.sha256(content).hexdigest())


def parse_rules(text: str, *, source: str, sha256: str | None = None) -> RuleSet:
    """Parse the text of a rule file; ``source`` names it in errors, ``sha256`` in alerts.

    Raises :class:`RuleError` with every problem as ``source:line:column: where: what was found and
    what was expected``, in the order of the file.
    """
    root, data, problems = parse_document(text)
    rule_file = None
    if root is not None:
        try:
            rule_file = RuleFile.model_validate(data)
        except ValidationError as error:
            problems += [_translate(root, e) for e in error.errors() if e["type"] != INCONSISTENT]
        problems += _across_fields(root, data)
    if problems or rule_file is None:
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.column))
        raise RuleError([problem.text(source) for problem in ordered])
    digest = hashlib.sha256(text.encode()).hexdigest() if sha256 is None else sha256
    return RuleSet(rule_file.rules, source=source, sha256=digest)


def _translate(root: Location, error: ErrorDetails) -> Problem:
    """Say one of pydantic's findings in the words of this file, at its place."""
    path = tuple(error["loc"])
    if len(path) > 3 and path[2] == "severity" and path[3] in SEVERITY_TAGS:
        path = (*path[:3], *path[4:])
    kind, found = error["type"], _shown(error["input"])
    if path[-1:] == ("[key]",):
        message = f"found {found}, expected letters, digits and _, beginning with a letter or _"
        return root.problem(path[:-1], message, at_key=True)
    if kind == "missing":
        # The place of what is not there is the mapping that should have it.
        return root.problem(path[:-1], f"found no '{path[-1]}', expected one")
    if kind == "extra_forbidden":
        known = _FIELDS_OF.get(len(path) - 1, [])
        near = get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        return root.problem(path, f"unknown key; {hint}", at_key=True)
    if kind == "literal_error":
        choices = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        near = get_close_matches(str(error["input"]), choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return root.problem(path, f"found {found}, expected one of {', '.join(choices)}{hint}")
    if kind == "list_type" and path[-1] in _LISTS:
        return root.problem(path, f"found {found}, expected a list such as {_LISTS[path[-1]]}")
    expected = _EXPECTED.get(kind) if path else "'rules:' and a list of rules"
    if expected is None:
        message = error["msg"]
        return root.problem(path, f"found {found}: {message[:1].lower()}{message[1:]}")
    return root.problem(path, f"found {found}, expected {expected}")


def _across_fields(root: Location, data: Any) -> Iterator[Problem]:
    """Find what no single field shows; fields that are wrong in themselves are passed over."""
    found = data.get("rules") if isinstance(data, dict) else None
    rules = found if isinstance(found, list) else []
    for index, field, place, message in wrong_inhibitors(rules):
        yield root.problem(("rules", index, field, place), message)
    first_named: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if not isinstance(rule, dict):
            continue
        for field, message in inconsistencies(rule):
            path = ("rules", index, *(field.split(".", 1) if field else ()))
            yield root.problem(path, message)
        name = rule.get("name")
        if not isinstance(name, str):
            continue
        if name in first_named:
            earlier = ("rules", first_named[name], "name")
            yield root.problem(
                ("rules", index, "name"),
                f"found {name!r}, already the name of {dotted(earlier[:2])} in line "
                f"{root.line(earlier)}; give each rule its own name",
            )
        else:
            first_named[name] = index


def _shown(value: object) -> str:
    """Show what stands in the file, shortened, with its kind where the text alone hides it."""
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


def _default_rules() -> RuleSet:
    resource = files("tidegauge.alerting").joinpath("default.yaml")
    return parse_rules(resource.read_text("utf-8"), source="default.yaml")


#: What is in force where no rule file is named.
DEFAULT_RULES = _default_rules()
