"""A set of rules, read from a file and made ready for judging many reports."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate
from importlib.resources import files
from pathlib import Path
from typing import Any

from tidegauge.alerting.consistency import INHIBITORS, inconsistencies, wrong_inhibitors
from tidegauge.alerting.metrics import OF_COHORTS, MetricName
from tidegauge.alerting.model import GLOB, INCONSISTENT, Rule, RuleFile
from tidegauge.config import FileFormat, Location, Problem, dotted, read_file
from tidegauge.contract import OfSlice

Matcher = Callable[[str], object]


class CompiledRule:
    """A rule with its globs compiled; ``order`` is its place in the file."""

    __slots__ = (
        "_model", "_segment", "_variant", "_version",
        "events_required_of", "matches_signal", "order", "rule", "worse",
    )  # fmt: skip

    def __init__(self, rule: Rule, order: int) -> None:
        self.rule = rule
        self.order = order
        self.events_required_of = rule.events_required_of
        self.worse = 1 if rule.comparison == "above" else -1
        self._model = matcher(rule.model)
        self._version = matcher(rule.version)
        self._variant = matcher(rule.variant)
        self._segment = (
            None
            if rule.segment is None
            else {dimension: matcher(glob) for dimension, glob in rule.segment.items()}
        )
        self.matches_signal = matcher(rule.signal)

    def badness(self, value: float) -> float:
        """Order values: the further on the far side of the threshold, the greater."""
        return self.worse * value

    def watches(self, one: OfSlice) -> bool:
        """Whether the rule is about the slice that a report, or an alert, is of."""
        if not (self._model(one.model) and self._version(one.version)):
            return False
        if not self._variant(one.variant):
            return False
        if self._segment is None:
            return True
        # {} is all the traffic; a segment's slice must have every dimension that is named.
        return bool(self._segment) == bool(one.segment) and all(
            dimension in one.segment and matches(one.segment[dimension])
            for dimension, matches in self._segment.items()
        )

    def covers(self, one: OfSlice, metric: str, comparison: str, signal: str | None) -> bool:
        """Whether this rule still watches what an alert was raised for."""
        return (
            self.rule.metric == metric
            and self.rule.comparison == comparison
            and self.watches(one)
            and (signal is None or bool(self.matches_signal(signal)))
        )


class RuleSet:
    """Rules in the order of their file; each metric is measured once for all that watch it.

    ``sha256`` is that of the file, in hexadecimal digits, so that alerts can say what judged them.
    """

    __slots__ = ("_of_cohorts", "by_metric", "by_name", "compiled", "rules", "sha256", "source")

    def __init__(self, rules: Iterable[Rule], *, source: str = "", sha256: str = "") -> None:
        self._of_cohorts: RuleSet | None = None
        self.rules = tuple(rules)
        self.source = source
        self.sha256 = sha256
        self.compiled = [CompiledRule(rule, order) for order, rule in enumerate(self.rules)]
        self.by_name: dict[str, CompiledRule] = {}
        self.by_metric: dict[MetricName, list[CompiledRule]] = {}
        for one in self.compiled:
            name = one.rule.name
            if name in self.by_name:
                raise ValueError(f"two rules are named {name!r}; give each its own name")
            self.by_name[name] = one
            self.by_metric.setdefault(one.rule.metric, []).append(one)
        named = [it.model_dump(include={"name", "metric", *INHIBITORS}) for it in self.rules]
        for index, field, _, message in wrong_inhibitors(named):
            raise ValueError(f"rule {self.rules[index].name!r}: {field}: {message}")

    def with_dry_run(self) -> "RuleSet":
        """Return the same rules, of which none asks for an action in earnest."""
        rules = [
            rule if rule.action is None else rule.model_copy(update={"dry_run": True})
            for rule in self.rules
        ]
        return RuleSet(rules, source=self.source, sha256=self.sha256)

    @property
    def of_cohorts(self) -> "RuleSet":
        """The rules on figures of labels, which cohorts are judged by."""
        if self._of_cohorts is None:
            some = [rule for rule in self.rules if rule.metric in OF_COHORTS]
            self._of_cohorts = RuleSet(some, source=self.source, sha256=self.sha256)
        return self._of_cohorts

    @property
    def of_windows(self) -> "RuleSet":
        """The others, which windows are judged by."""
        some = [rule for rule in self.rules if rule.metric not in OF_COHORTS]
        return RuleSet(some, source=self.source, sha256=self.sha256)

    def __len__(self) -> int:
        return len(self.rules)


def matcher(glob: str) -> Matcher:
    """Compile a glob (``*``, ``?``, ``[abc]``; upper and lower case differ) to a test of a name.

    >>> bool(matcher("income_*")("income_net")), bool(matcher("income_*")("age"))
    (True, False)
    """
    if glob == "*":
        return _anything
    if not re.search(GLOB, glob):
        return glob.__eq__
    return re.compile(translate(glob)).match


def _anything(_: str) -> bool:
    return True


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
