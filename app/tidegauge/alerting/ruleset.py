"""A set of rules made ready for judging many reports."""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Protocol

from tidegauge.alerting.consistency import INHIBITORS, wrong_inhibitors
from tidegauge.alerting.metrics import MetricName
from tidegauge.alerting.model import GLOB, Rule

Matcher = Callable[[str], object]


class OfSlice(Protocol):
    """A record about one slice of the traffic, such as a window report."""

    model: str
    version: str
    variant: str
    segment: dict[str, str]


class CompiledRule:
    """A rule with its globs compiled; ``order`` is its place in the file."""

    __slots__ = (
        "_model", "_segment", "_variant", "_version",
        "matches_signal", "order", "required_events", "rule", "worse",
    )  # fmt: skip

    def __init__(self, rule: Rule, order: int) -> None:
        self.rule = rule
        self.order = order
        self.required_events = rule.required_events
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

    __slots__ = ("by_metric", "by_name", "compiled", "rules", "sha256", "source")

    def __init__(self, rules: Iterable[Rule], *, source: str = "", sha256: str = "") -> None:
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
