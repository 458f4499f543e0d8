"""What is remembered of one slice while a window of it is evaluated."""

from collections.abc import Mapping

from tidegauge.alerting.actions import is_of_latency
from tidegauge.alerting.incidents import WindowSpan
from tidegauge.alerting.judge import Watch
from tidegauge.alerting.quiet import still_remembered
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.alerting.state import Episode, Incident, SeriesState
from tidegauge.contract import WindowReport


class EvaluatedSlice:
    """The state of a slice before a window, changed step by step to the state after it."""

    def __init__(
        self, rules: RuleSet, report: WindowReport, before: SeriesState, *, is_late: bool = False
    ) -> None:
        """``is_late``: the window is not later than the last one judged."""
        self._rules = rules
        self._report = report
        self._is_late = is_late
        self._window = WindowSpan(report.window_start, report.window_end)
        self._now = report.window_end
        if is_late and before.through is not None:
            length = report.window_end - report.window_start
            self._now = max(self._now, before.through + length)
        self.episodes = dict(before.episodes)
        self.incidents = dict(before.incidents)
        names = rules.by_name
        self.asked = {name: times for name, times in before.asked.items() if name in names}
        self.fired = self._still_counting(before.fired)
        self.never_sound = set(before.never_sound) & names.keys()
        if before.through is None and not is_late:
            self.never_sound |= {
                one.rule.name
                for one in rules.compiled
                if is_of_latency(one.rule) and one.watches(report)
            }
        self.broken = still_remembered(before.broken, report)

    def _still_counting(self, fired: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """Forget what is too long ago to make anything flap."""
        windows = max((rule.flapping_windows for rule in self._rules.rules), default=0)
        since = self._window.since(windows)
        return {identity: ends for identity, ends in fired.items() if ends[-1] > since}

    def state(self, through: int | None) -> SeriesState:
        """Return what is remembered from here on; ``through`` is the last window's start."""
        return SeriesState(
            through=through,
            episodes=self.episodes,
            incidents=self.incidents,
            fired=self.fired,
            asked=self.asked,
            never_sound=sorted(self.never_sound),
            broken=self.broken,
        )

    def members(self, identity: str, incident: Incident) -> list[Episode]:
        """Return the episodes of an incident, by signal."""
        if not incident.grouped:
            return [self.episodes[identity]] if identity in self.episodes else []
        return self._of_rule(incident.shown.rule)

    def _of_rule(self, rule: str) -> list[Episode]:
        return sorted(
            (one for one in self.episodes.values() if one.rule == rule),
            key=lambda one: one.signal or "",
        )

    def known(self) -> dict[Watch, Episode]:
        """Return the episodes by the order of their rule and their signal."""
        return {
            (self._rules.by_name[episode.rule].order, episode.signal): episode
            for episode in self.episodes.values()
        }
