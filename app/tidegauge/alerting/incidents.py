"""What is told of episodes: those of one rule in one slice are one incident, with a list.

An incident begins with its first episode, fires when the first of them does, and is resolved when
the last that fired is over. Who joins and who leaves in between is in the list of whatever is told
next; that alone is no news. What is: the incident is more severe than was told, or it is time for a
reminder.

While a rule fires that inhibits this one, nothing of it is told but the end of what was told. What
still fires when that rule's is over is told then, as if it had begun to.

If no window is judged for too long, an incident is told as no data. With the next one in which the
rule holds it is told again as what it was; until then, or until it is over, it stays so.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from tidegauge.alerting.measure import Measurement
from tidegauge.alerting.model import Rule
from tidegauge.alerting.state import Episode, Incident, same_episode, worst
from tidegauge.contract import AlertEvent, SignalAlert


class EpisodeTransition(NamedTuple):
    """What a window makes of an episode: ``now`` is what was measured in it, ``after`` goes on."""

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
    """What a window makes of an incident.

    ``after`` is what is remembered, None if it is over; ``told`` what the ``event`` is about, and
    ``measured`` its figures, if there are any. ``fires``: it didn't before. ``was`` is what it was
    before there was no data, if this is told because of that. ``begins``: there was none before.
    """

    after: Incident | None
    told: Incident
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
    quiet: Collection[str | None] = (),
) -> list[IncidentTransition]:
    """Take in what a window made of the episodes of an incident; ``moves`` are worst first.

    ``members`` are the episodes that there are after it, worst first, ``fired`` the ends of windows
    in which it began to fire. Of the signals in ``quiet`` nothing is told: the others are what the
    alert is about. Two courses if what fired is over while something is pending: that is
    an incident of its own.
    """
    courses = []
    firing = any(one.phase == "firing" for one in members)
    if before is not None and not (firing or (members and before.shown.phase == "pending")):
        courses.append(_end(before, moves, window))
        before = None
    if members:
        courses.append(_go_on(rule, before, moves, window, members, fired, inhibited, quiet))
    return courses


def _end(
    before: Incident, moves: Sequence[EpisodeTransition], window: WindowSpan
) -> IncidentTransition:
    ended = next((move for move in moves if move.after is None), None)
    shown = before.shown
    if ended is not None:
        shown = same_episode(before.shown, ended.now)
        shown = msgspec.structs.replace(shown, severity=before.shown.severity)
    told = msgspec.structs.replace(before, shown=shown, past=_past(before, moves, (), window))
    event: AlertEvent | None = None
    if before.told is not None:
        event = "resolved" if before.told == "firing" else "inactive"
    return IncidentTransition(
        None, told, event, ended.measured if ended else None, was=_interrupted(before)
    )


def miss(before: Incident) -> Incident:
    """Take in that there has been no judged window for too long."""
    return msgspec.structs.replace(before, no_data=True, outages=before.outages + 1)


def _interrupted(before: Incident) -> Literal["pending", "firing"] | None:
    """Return what was told before there was no data, if that is how it is."""
    return before.told if before.no_data else None


def _go_on(
    rule: Rule,
    before: Incident | None,
    moves: Sequence[EpisodeTransition],
    window: WindowSpan,
    members: Sequence[Episode],
    fired: Sequence[int],
    inhibited: bool,
    quiet: Collection[str | None],
) -> IncidentTransition:
    firing = [one for one in members if one.phase == "firing"]
    phase = "firing" if firing else "pending"
    # What isn't firing yet may be worse, but it is not what the alert is about.
    leading = next(
        (
            it
            for it in moves
            if it.holds and it.after is not None and it.after.phase == phase
            if it.after.signal not in quiet
        ),
        None,
    )
    latest = members[0] if leading is None else leading.now
    told_of = [one for one in firing or members if one.signal not in quiet]
    known = [one.severity for one in told_of or firing or members]
    begins = before is None
    if before is None:
        latest = msgspec.structs.replace(latest, starts_at=window.start)
        before = Incident(shown=latest, grouped=rule.grouped)
        fires = bool(firing)
    else:
        latest = same_episode(before.shown, latest)
        fires = bool(firing) and before.shown.phase == "pending"
        if before.told == "firing":
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
        if before.told == "firing":  # as it was told
            now = msgspec.structs.replace(now, shown=before.shown)
        return IncidentTransition(now, now, fires=fires, begins=begins)
    now = msgspec.structs.replace(
        now,
        told=phase,
        said_at=window.end,
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
    return before.told == "firing" and shown.severity != before.shown.severity


def _news(rule: Rule, before: Incident, shown: Episode, window: WindowSpan) -> AlertEvent | None:
    """Return what there is to tell of an incident that goes on, in a window in which it holds."""
    if shown.phase == "pending":
        return "pending" if before.told is None or before.no_data else None
    if before.told != "firing":
        return "firing"
    if before.no_data:
        return "resumed"
    if _is_worse(before, shown):
        return "raised"
    if rule.repeat_interval and window.end - before.said_at >= rule.repeat_interval:
        return "reminder"
    return None


def is_flapping(rule: Rule, fired: Sequence[int], window: WindowSpan) -> bool:
    """Whether an incident that fires now, and did at ``fired``, is to be damped."""
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
    """Put an episode of a signal on the list of its alert."""
    return SignalAlert(
        signal=episode.signal or "",
        severity=episode.severity,
        value=episode.value,
        starts_at=episode.starts_at,
        ends_at=ends_at,
    )


def signals_of(told: Incident, members: Sequence[Episode], worse: int) -> list[SignalAlert]:
    """List the signals of an incident: those in its phase, as given, then the others, worst first.

    ``worse`` is 1 if greater values are the worse ones, and otherwise -1.
    """
    if not told.grouped:
        return []
    past = sorted(told.past, key=lambda one: (-worse * one.value, one.signal))
    return [*(entry(one) for one in members if one.phase == told.shown.phase), *past]


def as_late(course: IncidentTransition, now: int, revision: int) -> IncidentTransition:
    """Return what late events make of an incident: it is reported ``now``, not at their time."""
    told = course.told
    said = told.said_at if course.event is None else now
    told = msgspec.structs.replace(told, judged_at=now, said_at=said)
    if course.begins:
        told = msgspec.structs.replace(told, revision=revision)
    return course._replace(told=told, after=None if course.after is None else told)


def by_rule_and_signal(item: tuple[str, Incident]) -> tuple[str, str]:
    """Order incidents by the names of their rules and signals."""
    return item[1].shown.rule, item[1].shown.signal or ""
