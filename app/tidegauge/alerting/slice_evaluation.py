"""One window of one slice: its episodes and incidents take a step, and changes are reported."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tidegauge.alerting import records
from tidegauge.alerting.cohorts import CohortWindow
from tidegauge.alerting.incidents import (
    EpisodeTransition,
    IncidentTransition,
    WindowSpan,
    as_late,
    by_rule_and_signal,
    signals_of,
    step_incident,
)
from tidegauge.alerting.judge import (
    Basis,
    QuietSignals,
    Watch,
    decide,
    episode_of,
    is_of_latency,
    place,
    remembered,
    still_remembered,
    why_withheld,
)
from tidegauge.alerting.measure import Measurement, baseline_rows, carry
from tidegauge.alerting.metrics import OF_DRIFT, OF_QUALITY
from tidegauge.alerting.model import Rule
from tidegauge.alerting.records import DistributionOf, EvaluationResult
from tidegauge.alerting.ruleset import CompiledRule, RuleSet
from tidegauge.alerting.state import (
    AlertState,
    Episode,
    Incident,
    SeriesState,
    cease,
    hold,
    same_episode,
    worst,
)
from tidegauge.contract import Alert, Distribution, InhibitedAlert, WindowReport


class _Notification(NamedTuple):
    """What a window makes of one incident, with what is needed to report it.

    ``members`` are the episodes that may be reported, ``inhibited_by`` the rules that inhibit all.
    """

    one: CompiledRule
    identity: str
    transition: IncidentTransition
    members: list[Episode]
    inhibited_by: list[str]


class _RequestedActions(NamedTuple):
    """The actions that a rule has requested in a window: their ids, or why there are none."""

    ids: list[str]
    withheld: str


class SliceEvaluation:
    """The state of a slice, changed step by step to that after a window."""

    def __init__(
        self,
        rules: RuleSet,
        report: WindowReport,
        state: AlertState,
        distribution: DistributionOf,
        *,
        is_late: bool = False,
        whole: AlertState | None = None,
    ) -> None:
        """``is_late``: the window is not later than the last one judged."""
        self._rules = rules
        self._report = report
        self._key = records.series_key(report)
        self.before = before = state.series.get(self._key, SeriesState())
        self._result = EvaluationResult(state, [], [], [])
        self._is_late = is_late
        self._window = WindowSpan(report.window_start, report.window_end)
        self._now = report.window_end
        if isinstance(report, CohortWindow):
            self._now = report.cohort.time  # its labels come later
        if is_late and before.through is not None:
            length = report.window_end - report.window_start
            self._now = max(self._now, before.through + length)
        self.episodes = dict(before.episodes)
        self.incidents = dict(before.incidents)
        names = rules.by_name
        self.action_request_times = {
            name: times for name, times in before.action_request_times.items() if name in names
        }
        self.fired = self._still_counting(before.fired)
        self.never_sound = set(before.never_sound) & names.keys()
        if before.through is None and not is_late:
            self.never_sound |= {
                one.rule.name
                for one in rules.compiled
                if is_of_latency(one.rule) and one.watches(report)
            }
        self.broken = still_remembered(before.broken, report)
        self._distribution = distribution
        self._quiet = QuietSignals(report, self.broken, whole)

    def _still_counting(self, fired: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """Forget what is too long ago to make anything flap."""
        windows = max((rule.flapping_windows for rule in self._rules.rules), default=0)
        since = self._window.since(windows)
        return {identity: ends for identity, ends in fired.items() if ends[-1] > since}

    def result(self, through: int | None) -> EvaluationResult:
        """Return reports and state; ``through`` is the start of the last window judged."""
        series = {**self._result.state.series, self._key: self.after(through)}
        return self._result._replace(state=AlertState(series=series))

    def after(self, through: int | None) -> SeriesState:
        """Return what is remembered from here on."""
        return SeriesState(
            through=through,
            episodes=self.episodes,
            incidents=self.incidents,
            fired=self.fired,
            action_request_times=self.action_request_times,
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

    def end_abandoned(self) -> None:
        """End the episodes and alerts that no rule watches any more; nothing else ends them."""
        for identity, episode in list(self.episodes.items()):
            compiled = self._rules.by_name.get(episode.rule)
            if compiled is None or not compiled.covers(
                self._report, episode.metric, episode.comparison, episode.signal
            ):
                del self.episodes[identity]
        for identity, incident in sorted(self.incidents.items(), key=by_rule_and_signal):
            shown = incident.shown
            compiled = self._rules.by_name.get(shown.rule)
            if compiled is None:
                reason = f"Rule {shown.rule!r} was removed while its alert was {shown.phase}"
            elif incident.grouped != compiled.rule.grouped or not self.members(identity, incident):
                reason = f"Rule {shown.rule!r} was changed and no longer watches this"
            else:
                continue
            del self.incidents[identity]
            if incident.reported is not None:
                self.emit(records.abandoned_alert(identity, incident, self._report, reason))

    def judge(self) -> None:
        """Step every episode, then every incident, and report what has changed."""
        known = self.known()
        by_name = self._rules.by_name
        unsettled = {by_name[name].order for name in self.never_sound}
        decided = decide(self._rules, self._report, known, unsettled=unsettled)
        self.never_sound -= {self._rules.rules[order].name for order in decided.sound}
        moves = self._step_episodes(known, decided.holding, decided.ceased)
        for one in self.episodes.values():
            if one.signal is not None and one.metric in OF_QUALITY:
                self.broken[one.signal] = self._report.window_end
        self._follow(moves)

    def judge_late(
        self, holding: Mapping[Watch, Measurement], all_of_it: Collection[Watch]
    ) -> None:
        """Step the episodes where a rule holds with late events only, but for what fires.

        ``all_of_it`` is where rules hold in the window, be it with late events only or not.
        """
        for order, signal in all_of_it:
            self._quiet.holds(self._rules.rules[order].name, signal)
        known = self.known()
        news = {
            watch: measured
            for watch, measured in holding.items()
            if watch not in known or known[watch].phase == "pending"
        }
        self._follow(self._step_episodes(known, news, {}))

    def _follow(self, moves: Mapping[tuple[int, str], Sequence[EpisodeTransition]]) -> None:
        """Step the incidents of episodes that moved, and report what has changed."""
        if not moves:
            return
        firing = {one.rule for one in self.episodes.values() if one.phase == "firing"}
        for one in self.episodes.values():
            self._quiet.holds(one.rule, one.signal)
        notifications: list[_Notification] = []
        for (order, identity), its in moves.items():
            notifications += self._step_incident(self._rules.compiled[order], identity, its, firing)
        # Twenty signals that drift together request one retrain: by the alert of the worst.
        requested: dict[int, _RequestedActions] = {}
        for it in notifications:
            self._report_alert(it, requested)

    def hold(self, one: CompiledRule, measured: Measurement) -> None:
        """Record and report that a rule holds on the slice itself, without a window."""
        identity = records.fingerprint(one.rule.name, self._report, None)
        before, incident = self.episodes.get(identity), self.incidents.get(identity)
        move = self._step(one, before, measured, True, incident)
        assert move.after is not None  # noqa: S101 - it holds
        self.episodes[identity] = move.after
        self._follow({(one.order, identity): [move]})

    def _step_episodes(
        self,
        known: Mapping[Watch, Episode],
        holding: Mapping[Watch, Measurement],
        ceased: Mapping[Watch, Measurement],
    ) -> dict[tuple[int, str], list[EpisodeTransition]]:
        """Return the moves of the episodes by rule and incident, in the order of reporting."""
        moves: dict[tuple[int, str], list[EpisodeTransition]] = {}
        watches = [*holding, *ceased]
        for watch in sorted(watches, key=lambda it: place(self._rules, it, holding, ceased)):
            order, signal = watch
            one = self._rules.compiled[order]
            identity = group = records.fingerprint(one.rule.name, self._report, signal)
            if one.rule.grouped:
                group = records.fingerprint(one.rule.name, self._report, None)
            holds = watch in holding
            measured = holding[watch] if holds else ceased[watch]
            move = self._step(one, known.get(watch), measured, holds, self.incidents.get(group))
            if move.after is None:
                del self.episodes[identity]
            else:
                self.episodes[identity] = move.after
            moves.setdefault((order, group), []).append(move)
        return moves

    def _step(
        self,
        one: CompiledRule,
        before: Episode | None,
        measured: Measurement,
        holds: bool,
        incident: Incident | None,
    ) -> EpisodeTransition:
        now = same_episode(before, episode_of(one, measured, self._report.window_start))
        after: Episode | None
        if holds:
            after = hold(one.rule, before, now)
        else:
            assert before is not None  # noqa: S101 - only what was there can cease
            after = cease(one.rule, before, flapping=incident is not None and incident.flapping)
        return EpisodeTransition(measured, holds, now, before, after)

    def _step_incident(
        self, one: CompiledRule, identity: str, moves: Sequence[EpisodeTransition], firing: set[str]
    ) -> list[_Notification]:
        members = [move.after for move in moves if move.after is not None]
        if one.rule.grouped:
            moved = {episode.signal for episode in members}
            others = self._of_rule(one.rule.name)
            members += [episode for episode in others if episode.signal not in moved]
        inhibited_by = [name for name in one.rule.inhibited_by if name in firing]
        unreported = {
            it.signal: names for it in members if (names := self._quiet.of(one.rule, it.signal))
        }
        reported_members = [it for it in members if it.signal not in unreported]
        if not inhibited_by and not reported_members:
            inhibited_by = list(
                dict.fromkeys(name for names in unreported.values() for name in names)
            )
        fired = self.fired.get(identity, [])
        transitions = step_incident(
            one.rule,
            self.incidents.pop(identity, None),
            moves,
            self._window,
            members=members,
            fired=fired,
            inhibited=bool(inhibited_by),
            unreported=unreported.keys(),
        )
        if self._is_late:
            transitions = [
                as_late(transition, self._now, self._report.revision) for transition in transitions
            ]
        for transition in transitions:
            if transition.after is not None:
                self.incidents[identity] = transition.after
            if transition.fires and one.rule.flapping_after > 1:
                latest = sorted([*fired, self._window.end])[1 - one.rule.flapping_after :]
                self.fired[identity] = latest
        listed = members if inhibited_by else reported_members
        return [
            _Notification(one, identity, transition, listed, inhibited_by)
            for transition in transitions
        ]

    def _report_alert(self, it: _Notification, requested: dict[int, _RequestedActions]) -> None:
        rule, transition = it.one.rule, it.transition
        if transition.event is None and not (transition.fires and it.inhibited_by):
            return
        measured = transition.measured if transition.event else None
        shown = self._distribution_of(measured) if measured is not None else None
        requests = transition.event == "firing" and rule.action is not None
        why = self._why_withheld(it, measured, shown, requested) if requests else None
        alert = records.alert_of(
            transition.event or "firing", it.identity, transition.reported, self._report, rule=rule,
            signals=signals_of(transition.reported, it.members, it.one.worse),
            is_late=self._is_late, asks=requests, withheld=why or "",
        )  # fmt: skip
        alert.rules_sha256 = self._rules.sha256
        if transition.event is None:
            self._result.audit.append(records.audit_of_inhibited(alert, it.inhibited_by))
            return
        if measured is not None:
            alert.distribution = shown
            carry(alert, measured)
            if measured.cohort is not None:
                alert.cohort = measured.cohort.evidence(rule)
        alert.was = transition.was
        if transition.was is not None and alert.state in ("pending", "firing"):
            alert.summary += "; data comes again"
        if alert.state == "firing":
            alert.inhibited = self._inhibited(rule)
        self.emit(alert)
        if requests:
            if it.one.order not in requested:
                requested[it.one.order] = self._request(rule, alert, why)
            alert.actions = requested[it.one.order].ids
            if alert.actions and not rule.dry_run:
                alert.action = rule.action
                incident = self.incidents[it.identity]
                self.incidents[it.identity] = msgspec.structs.replace(incident, action=rule.action)

    def _why_withheld(
        self,
        it: _Notification,
        measured: Measurement | None,
        shown: Distribution | None,
        requested: Mapping[int, _RequestedActions],
    ) -> str | None:
        """Return why no action may be requested; None if it may, or if it was."""
        if it.one.order in requested:
            return requested[it.one.order].withheld or None
        rule, rows = it.one.rule, None
        if measured is not None and rule.metric in OF_DRIFT:
            rows = baseline_rows(measured, shown)
        basis = Basis(it.transition.reported.shown.starts_at, rows, rule.name in self.never_sound)
        before = self.action_request_times.get(rule.name, [])
        return why_withheld(rule, before, self._report, basis, now=self._now)

    def _inhibited(self, rule: Rule) -> list[InhibitedAlert]:
        """Return the alerts that ``rule`` inhibits while it fires, in the order of the file."""
        found = []
        for one in self._rules.compiled:
            of_signal = rule.name in one.rule.signal_inhibited_by
            if not (of_signal or rule.name in one.rule.inhibited_by):
                continue
            inhibited = [
                episode
                for identity, incident in self.incidents.items()
                if incident.shown.rule == one.rule.name
                if of_signal or incident.reported != "firing"
                for episode in self.members(identity, incident)
                if episode.phase == "firing"
                if not of_signal or rule.name in self._quiet.of(one.rule, episode.signal)
            ]
            if inhibited:
                inhibited.sort(key=lambda it: (-one.badness(it.value), it.signal or ""))
                severity = worst(*(it.severity for it in inhibited))
                signals = [it.signal for it in inhibited if it.signal is not None]
                listed = signals[: records.MOST_INHIBITED]
                found.append(InhibitedAlert(rule=one.rule.name, severity=severity, signals=listed))
        return found

    def _request(self, rule: Rule, alert: Alert, why: str | None) -> _RequestedActions:
        """Request the rule's action, or record why not."""
        action = records.requested_action(alert, rule)
        if why is not None:
            self._result.audit.append(records.audit_of_withheld(action, alert, why))
            return _RequestedActions([], why)
        times = remembered(rule, self.action_request_times.get(rule.name, []), self._now)
        if times:
            self.action_request_times[rule.name] = times
        self._result.actions.append(action)
        self._result.audit.append(records.audit_of_action(action, alert))
        return _RequestedActions([action.id], "")

    def _distribution_of(self, measured: Measurement) -> Distribution | None:
        if measured.signal is None or measured.histogram is None or not measured.baseline:
            return None
        return self._distribution(measured.baseline, measured.signal, measured.histogram)

    def emit(self, alert: Alert) -> None:
        """Report an alert, with its audit fact."""
        alert.rules_sha256 = self._rules.sha256
        self._result.alerts.append(alert)
        self._result.audit.append(records.audit_of_alert(alert))
