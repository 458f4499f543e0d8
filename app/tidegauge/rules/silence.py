"""What to tell of a slice of the traffic while no window of it comes.

Rules on ``seconds_without_events`` fire when nothing has come for longer than their threshold; they
are resolved by the next window, as every alert is. Alerts of other rules that are pending or firing
are told as ``no_data`` when no window has been judged for too long, and go on with the next that
is. A slice that is silent for so long that it is forgotten ends its alerts.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tidegauge.contract import WindowReport
from tidegauge.rules import records
from tidegauge.rules.evaluate import Verdict, emit, end_abandoned
from tidegauge.rules.lifecycle import Step, hold, miss
from tidegauge.rules.metrics import METRICS, SILENCE
from tidegauge.rules.model import Rule
from tidegauge.rules.ruleset import CompiledRule, RuleSet
from tidegauge.rules.state import AlertState, Episode, SeriesState


class Quiet(NamedTuple):
    """A slice, and the event time from which on nothing of it is known.

    ``since`` is the end of its last window, epoch seconds. A window lasts ``window_seconds`` and
    closes ``grace_seconds`` after its end.
    """

    model: str
    version: str
    variant: str
    segment: dict[str, str]
    since: int
    window_seconds: int
    grace_seconds: int

    def until(self, now: int, since: int | None = None) -> WindowReport:
        """Return the time without events as a window that nothing was counted in."""
        return WindowReport(
            id="",
            model=self.model,
            version=self.version,
            variant=self.variant,
            segment=self.segment,
            window_start=self.since if since is None else since,
            window_end=now,
            revision=0,
            closed_by=float(now),
            events=0,
            errors=0,
            counted=[],
            prediction_mean_5m=None,
            latency=None,
            parts=[],
        )


class _Due(NamedTuple):
    """Something to tell at a time: of a silence by its rule, or of an alert that lacks data."""

    at: float
    order: int
    signal: str
    identity: str
    of_silence: bool


def due_at(rules: RuleSet, quiet: Quiet, state: AlertState) -> float:
    """Return the event time at which there is something to tell if nothing comes; may be past."""
    report = quiet.until(quiet.since)
    series = _series(state)
    if _has_abandoned(rules, report, series):
        # It ends with the next window; after the time of one it can't be waited for any longer.
        return quiet.since + quiet.window_seconds + quiet.grace_seconds
    return min((due.at for due in _dues(rules, quiet, report, series)), default=math.inf)


def judge_silence(rules: RuleSet, quiet: Quiet, state: AlertState, *, now: int) -> Verdict:
    """Tell what there is to tell as of ``now``, event time up to which everything is known.

    Same inputs, same bytes. No action follows from silence: nothing was measured.
    """
    key = records.series_key(quiet.until(now))
    before = state.series.get(key, SeriesState())
    episodes = dict(before.episodes)
    verdict = Verdict(state, [], [], [])
    report = quiet.until(now)
    end_abandoned(rules, report, episodes, verdict)
    dues = _dues(rules, quiet, report, msgspec.structs.replace(before, episodes=episodes))
    for due in sorted((due for due in dues if due.at <= now), key=lambda it: it[1:3]):
        if due.of_silence:
            _tell_silence(rules, rules.compiled[due.order], report, episodes, verdict)
        else:
            step = miss(episodes[due.identity])
            episodes[due.identity] = step.told
            since = _judged_at(step.told, quiet)
            alert = records.no_data_alert(due.identity, step, quiet.until(now, since))
            emit(rules, alert, verdict)
    after = msgspec.structs.replace(before, episodes=episodes)
    return verdict._replace(state=AlertState(series={**state.series, key: after}))


def end_forgotten(rules: RuleSet, quiet: Quiet, state: AlertState, *, seconds: int) -> Verdict:
    """End every alert of a slice that nothing has come of for so many seconds."""
    at = quiet.since + seconds
    report = quiet.until(at, at)
    verdict = Verdict(AlertState(), [], [], [])
    for identity, episode in sorted(_series(state).episodes.items(), key=_by_rule_and_signal):
        reason = (
            f"{quiet.model} {quiet.version}: no events for {seconds} s, so it is taken for gone; "
            f"the alert of rule {episode.rule!r} was {episode.phase}"
        )
        emit(rules, records.abandoned_alert(identity, episode, report, reason), verdict)
    return verdict


def _series(state: AlertState) -> SeriesState:
    """Return the one series that the state of a slice has, if it has one yet."""
    return next(iter(state.series.values()), SeriesState())


def _by_rule_and_signal(item: tuple[str, Episode]) -> tuple[str, str]:
    return item[1].rule, item[1].signal or ""


def _has_abandoned(rules: RuleSet, report: WindowReport, series: SeriesState) -> bool:
    for episode in series.episodes.values():
        one = rules.by_name.get(episode.rule)
        if one is None or not one.covers(
            report, episode.metric, episode.comparison, episode.signal
        ):
            return True
    return False


def _dues(
    rules: RuleSet, quiet: Quiet, report: WindowReport, series: SeriesState
) -> Iterator[_Due]:
    for one in rules.by_metric.get(SILENCE, ()):
        if one.watches(report):
            known = next((it for it in series.episodes.values() if it.rule == one.rule.name), None)
            yield _Due(_silence_due(one.rule, quiet, known), one.order, "", "", True)
    for identity, episode in series.episodes.items():
        one = rules.by_name[episode.rule]
        if episode.metric == SILENCE or episode.no_data or not one.rule.no_data_after:
            continue
        # The last of the windows that may be missing closes only after its grace.
        patience = one.rule.no_data_after * quiet.window_seconds + quiet.grace_seconds
        at = _judged_at(episode, quiet) + patience
        yield _Due(at, one.order, episode.signal or "", identity, False)


def _silence_due(rule: Rule, quiet: Quiet, known: Episode | None) -> float:
    # Above is strict, and time is taken in whole seconds.
    silent = quiet.since + math.floor(rule.threshold) + 1
    if known is None:
        return silent
    if not rule.repeat_interval:
        return math.inf
    said_at = known.starts_at if known.said_at is None else known.said_at
    return max(silent, said_at + rule.repeat_interval)


def _judged_at(episode: Episode, quiet: Quiet) -> int:
    return quiet.since if episode.judged_at is None else episode.judged_at


def _tell_silence(
    rules: RuleSet,
    one: CompiledRule,
    report: WindowReport,
    episodes: dict[str, Episode],
    verdict: Verdict,
) -> None:
    rule, now = one.rule, report.window_end
    identity = records.fingerprint(rule.name, report, None)
    measured = Episode(
        rule=rule.name,
        severity=rule.severity_of(None),
        signal=None,
        metric=SILENCE,
        comparison=rule.comparison,
        threshold=rule.threshold,
        value=float(now - report.window_start),
        unit=METRICS[SILENCE].unit,
        events=0,
        minimum_events=0,
        baseline="",
        starts_at=report.window_start,
        labels=rule.labels,
        receivers=rule.receivers,
    )
    step: Step = hold(rule, episodes.get(identity), measured, now)
    if step.episode is None or step.event is None:
        return
    episodes[identity] = step.episode
    alert = records.alert_of(step.event, identity, step.told, report, rule=rule, distribution=None)
    emit(rules, alert, verdict)
