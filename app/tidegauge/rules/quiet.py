"""Which signals a rule says nothing of, because something else says it already."""

from tidegauge.rules.model import Rule
from tidegauge.rules.state import AlertState

#: What is put before the name of a rule that all the traffic of a segment's version is told by.
ALL_TRAFFIC = "all-traffic:"


class Quiet:
    """What holds in a slice, and in all the traffic that it is a part of, if it is one.

    A rule says nothing of a signal on which a rule holds that it yields to, nor of one of which it
    speaks for all the traffic. There it counts whether it holds, be it pending, firing or itself
    not told.
    """

    def __init__(self, whole: AlertState | None) -> None:
        self._holding: dict[str | None, set[str]] = {}
        self._in_whole = {(one.rule, one.signal) for one in whole.episodes} if whole else set()

    def holds(self, rule: str, signal: str | None) -> None:
        """Note that a rule holds on a signal; None for the window itself."""
        self._holding.setdefault(signal, set()).add(rule)

    def of(self, rule: Rule, signal: str | None) -> list[str]:
        """Return what keeps ``rule`` quiet about a signal; nothing if it may speak."""
        holding = self._holding.get(signal, set())
        found = [name for name in rule.signal_inhibited_by if name in holding]
        if (rule.name, signal) in self._in_whole:
            found.append(ALL_TRAFFIC + rule.name)
        return found
