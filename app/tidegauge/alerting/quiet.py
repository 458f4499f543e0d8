"""Which signals a rule says nothing of, because something else says it already."""

from collections.abc import Collection, Iterable, Mapping

from tidegauge.alerting.model import Rule
from tidegauge.alerting.state import AlertState
from tidegauge.contract import WindowReport

#: What is put before the name of a rule that all the traffic of a segment's version is told by.
ALL_TRAFFIC = "all-traffic:"

#: What stands for the rules that held on a signal until not long ago.
LATELY_BROKEN = "lately-broken"

#: Windows for which the evidence of a drift remembers data that was broken: by then it has a
#: weight of e^-4 in the longest span.
REMEMBERED_WINDOWS = 256


def still_remembered(broken: Mapping[str, int], report: WindowReport) -> dict[str, int]:
    """Return the signals that broke in what the evidence of a window is about."""
    since = report.window_end - REMEMBERED_WINDOWS * (report.window_end - report.window_start)
    return {signal: end for signal, end in broken.items() if end > since}


class QuietSignals:
    """What holds in a slice, and in all the traffic that it is a part of, if it is one.

    A rule says nothing of a signal on which a rule holds that it yields to, nor of one of which it
    speaks for all the traffic. There it counts whether it holds, be it pending, firing or itself
    not told. Of a signal that was ``broken`` not long ago the evidence of a drift says so for
    hours after it was mended; only if its values drift, as the report's pattern says, is that news.
    """

    def __init__(
        self, report: WindowReport, broken: Collection[str], whole: AlertState | None
    ) -> None:
        self._holding: dict[str | None, set[str]] = {}
        self._in_whole = {(one.rule, one.signal) for one in whole.episodes} if whole else set()
        self._lately = set[str | None](broken).difference(_drifting(report))

    def holds(self, rule: str, signal: str | None) -> None:
        """Note that a rule holds on a signal; None for the window itself."""
        self._holding.setdefault(signal, set()).add(rule)

    def of(self, rule: Rule, signal: str | None) -> list[str]:
        """Return what keeps ``rule`` quiet about a signal; nothing if it may speak."""
        holding = self._holding.get(signal, set())
        found = [name for name in rule.signal_inhibited_by if name in holding]
        if (rule.name, signal) in self._in_whole:
            found.append(ALL_TRAFFIC + rule.name)
        if (
            not found
            and rule.metric == "surprise"
            and rule.signal_inhibited_by
            and signal in self._lately
        ):
            found.append(LATELY_BROKEN)
        return found


def _drifting(report: WindowReport) -> Iterable[str]:
    """Return the features whose values drift."""
    return [
        one.signal
        for part in report.parts
        if part.pattern is not None
        for one in part.pattern.drifts
    ]
