"""The rules in force: those of the rule file, as soon as it changes, unless it is wrong."""

import logging
from collections.abc import Callable
from pathlib import Path

from tidegauge.rules import DEFAULT_RULES, RuleError, RuleSet, load_rules

log = logging.getLogger(__name__)

#: How often the file is looked at. What is new takes force when two looks find the same: of a file
#: that is being written, the first half may be rules without a mistake, and all others would be
#: taken for removed.
LOOK_SECONDS = 2.0


class RuleFile:
    """Reads the rules at start, and again when the file has another content.

    By content and path alone, so that a file that is replaced, or a directory of symbolic links
    that is swapped as Kubernetes does with a ConfigMap, is the same to it as one that is edited.
    ``clock`` is monotonic. Raises :class:`RuleError` if the file is wrong at start.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = clock()
        #: The rules in force.
        self.rules: RuleSet = DEFAULT_RULES if path is None else load_rules(path)
        #: What is wrong with the file now, empty if its rules are in force.
        self.problems: list[str] = []
        #: What the last look found that is not in force: rules, or what is wrong.
        self._found: str | tuple[str, ...] = self.rules.sha256

    def look(self) -> None:
        """Look at the file if it is time to, and take up what it has if it is sound and whole."""
        if self._path is None or self._clock() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        before = self._found
        try:
            read = load_rules(self._path)
        except RuleError as error:
            self._found = tuple(error.problems)
            if self._found == before and self.problems != error.problems:
                self.problems = error.problems
                log.error("the rules of before stay in force: %s", "; ".join(self.problems))
            return
        self._found = read.sha256
        if self._found != before:
            return
        if read.sha256 != self.rules.sha256:
            log.warning("%d rules of %s are in force, sha256 %s", len(read), *_named(read))
            self.rules = read
        elif self.problems:
            log.warning("%s is as it was, sha256 %s", *_named(read))
        self.problems = []


def _named(rules: RuleSet) -> tuple[str, str]:
    return rules.source, rules.sha256
