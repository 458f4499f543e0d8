"""What is reported of episodes: those of one rule in one slice are one incident, with a list.

An incident begins with its first episode, fires when the first of them does, and is resolved when
the last that fired is over. Episodes that join or leave in between are in the list of the next
report, but cause none. Reports are caused by a higher severity, and by the time for a reminder.

While a rule fires that inhibits this one, only the end of a reported incident is reported. If the
incident still fires when the other rule is resolved, it is reported then as if it had just begun.

If no window is judged for too long, an incident is reported as no data. The next window in which
the rule holds reports the previous state again; until then, or until it is over, it stays so.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from tidegauge.alerting.measure import Measurement
from tidegauge.alerting.model import Rule
from tidegauge.alerting.state import Episode, Incident, same_episode, worst
from tidegauge.contract import AlertEvent, SignalAlert


class EpisodeTransition(NamedTuple):
    """The step of an episode in a window: ``now`` is what was measured, ``after`` the new state."""

    measured: Measurement
    holds: bool
    now: Episode
    before: Episode | None
    after: Episode | None


class WindowSpan(NamedTuple):
    """Start and end of a window, epoch seconds."""

    start: int
    end: int

    def since(self, windows: int) -> int:
        """Return the end of the window that came so many windows before."""
        return self.end - windows * (self.end - self.start)


class IncidentTransition(NamedTuple):
    """The step of an incident in a window.

    ``after`` is the new state, None if it is over. ``reported`` is what ``event`` reports,
    ``measured`` its figures, if there are any. ``fires``: it did not fire before. ``was`` is the
    state before there was no data, if that is why it is reported. ``begins``: it is new.
    """

    after: Incident | None
    reported: Incident
    event: AlertEvent | None = None
    measured: Measurement | None = None
    fires: bool = False
    was: Literal["pending", "firing"] | None = None
    begins: bool = False


def step_incident(
    rule: Rule,
    before: Incident | None,
    moves: Sequence[EpisodeTransition],
    window: WindowSpan,
    *,
    members: Sequence[Episode],
    fired: Sequence[int],
    inhibited: bool,
    unreported: Collection[str | None] = (),
) -> list[IncidentTransition]:
    """Return the steps of an incident, after its episodes made ``moves``, worst first.

    ``members`` are its episodes after the window, worst first; ``fired`` are the ends of windows in
    which it began to fire. Signals in ``unreported`` are left out: the alert is about the others.
    There are two steps if what fired is over while something is pending, which is a new incident.
    """
    transitions = []
    firing = any(one.phase == "firing" for one in members)
    if before is not None and not (firing or (members and before.shown.phase == "pending")):
        transitions.append(_end(before, moves, window))
        before = None
    if members:
        transitions.append(
            _go_on(rule, before, moves, window, members, fired, inhibited, unreported)
        )
    return transitions


def _end(
    before: Incident, moves: Sequence[EpisodeTransition], window: WindowSpan
) -> IncidentTransition:
    ended = next((move for move in moves if move.after is None), None)
    shown = before.shown
    if ended is not None:
        shown = same_episode(before.shown, ended.now)
        shown = msgspec.structs.replace(shown, severity=before.shown.severity)
    reported = msgspec.structs.replace(before, shown=shown, past=_past(before, moves, (), window))
    event: AlertEvent | None = None
    if before.reported is not None:
        event = "resolved" if before.reported == "firing" else "inactive"
    return IncidentTransition(
        None, reported, event, ended.measured if ended else None, was=_interrupted(before)
    )


def miss(before: Incident) -> Incident:
    """Return the state after no window has been judged for too long."""
    return msgspec.structs.replace(before, no_data=True, outages=before.outages + 1)


def _interrupted(before: Incident) -> Literal["pending", "firing"] | None:
    """Return the phase reported before there was no data, if there is none now."""
    return before.reported if before.no_data else None


def _go_on(
    rule: Rule,
    before: Incident | None,
    moves: Sequence[EpisodeTransition],
    window: WindowSpan,
    members: Sequence[Episode],
    fired: Sequence[int],
    inhibited: bool,
    unreported: Collection[str | None],
) -> IncidentTransition:
    firing = [one for one in members if one.phase == "firing"]
    phase = "firing" if firing else "pending"
    # A pending episode may be worse, but the alert is about those that fire.
    leading = next(
        (
            it
            for it in moves
            if it.holds and it.after is not None and it.after.phase == phase
            if it.after.signal not in unreported
        ),
        None,
    )
    latest = members[0] if leading is None else leading.now
    reported_of = [one for one in firing or members if one.signal not in unreported]
    known = [one.severity for one in reported_of or firing or members]
    begins = before is None
    if before is None:
        latest = msgspec.structs.replace(latest, starts_at=window.start)
        before = Incident(shown=latest, grouped=rule.grouped)
        fires = bool(firing)
    else:
        latest = same_episode(before.shown, latest)
        fires = bool(firing) and before.shown.phase == "pending"
        if before.reported == "firing":
            known.append(before.shown.severity)
    shown = msgspec.structs.replace(latest, phase=phase, severity=worst(*known))
    now = msgspec.structs.replace(
        before, shown=shown, past=_past(before, moves, firing, window) if before.grouped else []
    )
    if fires:
        now = msgspec.structs.replace(now, flapping=is_flapping(rule, fired, window))
    now = msgspec.structs.replace(now, judged_at=window.end)
    event = None if inhibited or leading is None else _news(rule, before, shown, window)
    if event is None:
        if before.reported == "firing":  # as it was reported
            now = msgspec.structs.replace(now, shown=before.shown)
        return IncidentTransition(now, now, fires=fires, begins=begins)
    now = msgspec.structs.replace(
        now,
        reported=phase,
        reported_at=window.end,
        reminders=now.reminders + (event == "reminder"),
        severities_before=[
            *now.severities_before,
            *([before.shown.severity] if _is_worse(before, shown) else []),
        ],
        no_data=False,
    )
    measured = leading.measured if leading else None
    return IncidentTransition(now, now, event, measured, fires, _interrupted(before), begins)


def _is_worse(before: Incident, shown: Episode) -> bool:
    """Whether it fired already with another severity, which is never more than this one."""
    return before.reported == "firing" and shown.severity != before.shown.severity


def _news(rule: Rule, before: Incident, shown: Episode, window: WindowSpan) -> AlertEvent | None:
    """Return the event to report of an incident that goes on, if there is one."""
    if shown.phase == "pending":
        return "pending" if before.reported is None or before.no_data else None
    if before.reported != "firing":
        return "firing"
    if before.no_data:
        return "resumed"
    if _is_worse(before, shown):
        return "raised"
    if rule.repeat_interval and window.end - before.reported_at >= rule.repeat_interval:
        return "reminder"
    return None


def is_flapping(rule: Rule, fired: Sequence[int], window: WindowSpan) -> bool:
    """Whether an incident that fires now, and began to at ``fired``, is damped."""
    since = window.since(rule.flapping_windows)
    return 0 < rule.flapping_after <= 1 + sum(at > since for at in fired)


def _past(
    before: Incident,
    moves: Sequence[EpisodeTransition],
    firing: Sequence[Episode],
    window: WindowSpan,
) -> list[SignalAlert]:
    """Return the signals that fired in an incident and are over."""
    ended = [move.before for move in moves if move.after is None and move.before is not None]
    again = {one.signal for one in (*firing, *ended)}
    return [one for one in before.past if one.signal not in again] + [
        entry(one, ends_at=window.start) for one in ended if one.phase == "firing"
    ]


def entry(episode: Episode, *, ends_at: int | None = None) -> SignalAlert:
    """Return the entry of an episode in the list of its alert."""
    return SignalAlert(
        signal=episode.signal or "",
        severity=episode.severity,
        value=episode.value,
        starts_at=episode.starts_at,
        ends_at=ends_at,
    )


def signals_of(reported: Incident, members: Sequence[Episode], worse: int) -> list[SignalAlert]:
    """List the signals of an incident: those in its phase, as given, then the others, worst first.

    ``worse`` is 1 if greater values are the worse ones, and otherwise -1.
    """
    if not reported.grouped:
        return []
    past = sorted(reported.past, key=lambda one: (-worse * one.value, one.signal))
    return [*(entry(one) for one in members if one.phase == reported.shown.phase), *past]


def as_late(transition: IncidentTransition, now: int, revision: int) -> IncidentTransition:
    """Return a step that is due to late events: it is reported ``now``, not at their time."""
    reported = transition.reported
    at = reported.reported_at if transition.event is None else now
    reported = msgspec.structs.replace(reported, judged_at=now, reported_at=at)
    if transition.begins:
        reported = msgspec.structs.replace(reported, revision=revision)
    return transition._replace(
        reported=reported, after=None if transition.after is None else reported
    )


def by_rule_and_signal(item: tuple[str, Incident]) -> tuple[str, str]:
    """Order incidents by the names of their rules and signals."""
    return item[1].shown.rule, item[1].shown.signal or ""
