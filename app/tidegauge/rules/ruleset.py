"""A set of rules made ready for judging many reports."""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate

from tidegauge.rules.metrics import MetricName
from tidegauge.rules.model import Rule

Matcher = Callable[[str], object]


class CompiledRule:
    """A rule with its globs compiled; ``order`` is its place in the file."""

    __slots__ = ("matches_model", "matches_signal", "order", "required_events", "rule", "worse")

    def __init__(self, rule: Rule, order: int) -> None:
        self.rule = rule
        self.order = order
        self.required_events = rule.required_events
        self.worse = 1 if rule.comparison == "above" else -1
        self.matches_model = matcher(rule.model)
        self.matches_signal = matcher(rule.signal)

    def badness(self, value: float) -> float:
        """Order values: the further on the far side of the threshold, the greater."""
        return self.worse * value

    def covers(self, model: str, metric: str, comparison: str, signal: str | None) -> bool:
        """Whether this rule still watches what an alert was raised for."""
        return (
            self.rule.metric == metric
            and self.rule.comparison == comparison
            and bool(self.matches_model(model))
            and (signal is None or bool(self.matches_signal(signal)))
        )


class RuleSet:
    """Rules in the order of their file; each metric is measured once for all that watch it."""

    __slots__ = ("by_metric", "by_name", "compiled", "rules", "source")

    def __init__(self, rules: Iterable[Rule], *, source: str = "") -> None:
        self.rules = tuple(rules)
        self.source = source
        self.compiled = [CompiledRule(rule, order) for order, rule in enumerate(self.rules)]
        self.by_name: dict[str, CompiledRule] = {}
        self.by_metric: dict[MetricName, list[CompiledRule]] = {}
        for one in self.compiled:
            name = one.rule.name
            if name in self.by_name:
                raise ValueError(f"two rules are named {name!r}; give each its own name")
            self.by_name[name] = one
            self.by_metric.setdefault(one.rule.metric, []).append(one)

    def __len__(self) -> int:
        return len(self.rules)


def matcher(glob: str) -> Matcher:
    """Compile a glob (``*``, ``?``, ``[abc]``; upper and lower case differ) to a test of a name.

    >>> bool(matcher("income_*")("income_net")), bool(matcher("income_*")("age"))
    (True, False)
    """
    if glob == "*":
        return _anything
    if not re.search(r"[*?\[]", glob):
        return glob.__eq__
    return re.compile(translate(glob)).match


def _anything(_: str) -> bool:
    return True
