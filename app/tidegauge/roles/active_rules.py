"""The rules in force: those of the rule file, as soon as it changes, unless it is wrong."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from tidegauge.alerting import DEFAULT_RULES, RuleSet, load_rules
from tidegauge.config import LOOK_SECONDS, WatchedFile
from tidegauge.contract import counted

__all__ = ["LOOK_SECONDS", "ActiveRules", "rule_entries"]

log = logging.getLogger(__name__)


class ActiveRules:
    """Reads the rules at start, and again when the file has another content.

    ``clock`` is monotonic. With ``dry_run`` none of the rules asks for an action in earnest. Raises
    :class:`RuleError` if the file is wrong at start.
    """

    def __init__(
        self, path: Path | None, clock: Callable[[], float], *, dry_run: bool = False
    ) -> None:
        self._dry_run = dry_run
        #: The rules as they were read last, and as they are in force.
        self._made: tuple[RuleSet, RuleSet] | None = None
        self._file = (
            None
            if path is None
            else WatchedFile(
                lambda: load_rules(path), clock, what="rules", identity=lambda read: read.sha256
            )
        )

    @property
    def rules(self) -> RuleSet:
        """The rules in force: the same object until others are."""
        read = DEFAULT_RULES if self._file is None else self._file.value
        if self._made is None or self._made[0] is not read:
            self._made = read, read.with_dry_run() if self._dry_run else read
        return self._made[1]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file now, empty if its rules are in force."""
        return [] if self._file is None else self._file.problems

    def look(self) -> bool:
        """Look at the file if it is time to; True if other rules are in force since this look."""
        if self._file is None or not self._file.look():
            return False
        rules = self.rules
        log.warning(
            "%s of %s in force, sha256 %s",
            counted(len(rules), "rule"),
            rules.source,
            rules.sha256,
        )
        return True


def rule_entries(rules: RuleSet) -> dict[str, str]:
    """Return the SHA-256 of each rule by its name: of what it means, however it is written."""
    return {
        rule.name: hashlib.sha256(rule.model_dump_json(by_alias=True).encode()).hexdigest()
        for rule in rules.rules
    }
