"""Reading a rule file: every problem at once, each with its line and column."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tidegauge.alerting.consistency import inconsistencies, wrong_inhibitors
from tidegauge.alerting.model import INCONSISTENT, RuleFile
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.config import FileFormat, Location, Problem, dotted, read_file

_FORMAT = FileFormat(
    RuleFile,
    whole="'rules:' and a list of rules",
    expected={
        "rules": "a list of rules, each beginning with '- name:'",
        # Only the names of labels and annotations have a pattern.
        "string_pattern_mismatch": "letters, digits and _, beginning with a letter or _",
    },
    has_secrets=False,
)


def load_rules(path: Path) -> RuleSet:
    """Read a rule file; raises :class:`FileError` if it can't be read or is wrong somewhere."""
    text, sha256 = read_file(path, "rule file")
    return parse_rules(text, source=str(path), sha256=sha256)


def parse_rules(text: str, *, source: str, sha256: str | None = None) -> RuleSet:
    """Parse the text of a rule file; ``source`` names it in errors, ``sha256`` in alerts.

    Raises :class:`FileError` with every problem as ``source:line:column: where: what was found and
    what was expected``, in the order of the file.
    """
    rule_file = _FORMAT.read(text, source, _across_fields, ignored=INCONSISTENT)
    digest = hashlib.sha256(text.encode()).hexdigest() if sha256 is None else sha256
    return RuleSet(rule_file.rules, source=source, sha256=digest)


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


def _default_rules() -> RuleSet:
    resource = files("tidegauge.alerting").joinpath("default.yaml")
    return parse_rules(resource.read_text("utf-8"), source="default.yaml")


#: What is in force where no rule file is named.
DEFAULT_RULES = _default_rules()
