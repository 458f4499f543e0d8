"""The life of one alert: inactive, pending, firing, resolved; and no data, as long as none comes.

Each function takes what is remembered of an alert and what one judged window says of it, or that
there is none, and returns what is remembered from then on, and the event if there is one. All times
are windows'.
"""

from typing import Literal, NamedTuple

import msgspec

from tidegauge.rules.model import Event, Rule
from tidegauge.rules.state import Episode


class Step(NamedTuple):
    """What one window makes of an alert.

    ``episode`` is what is remembered, None if it is over; ``told`` what the event is about.
    ``was`` is what it was before there was no data, if this is told because of that.
    """

    episode: Episode | None
    event: Event | None
    told: Episode
    was: Literal["pending", "firing"] | None = None


def hold(rule: Rule, before: Episode | None, now: Episode, window_end: int) -> Step:
    """Take in a judged window in which the rule holds; ``now`` is what was measured in it.

    It fires in the ``for``-th such window in a row, and is pending before that.
    """
    if before is not None and before.phase == "firing":
        return _stay(rule, before, now, window_end)
    held = 1 if before is None else before.held + 1
    was = _interrupted(before)
    now = _same_episode(before, now)
    if held < rule.pending_windows:
        pending = msgspec.structs.replace(now, phase="pending", held=held)
        return Step(pending, "pending" if before is None or was else None, pending, was)
    fired = msgspec.structs.replace(now, phase="firing", said_at=window_end)
    return Step(fired, "firing", fired, was)


def _interrupted(before: Episode | None) -> Literal["pending", "firing"] | None:
    """Return what the alert was when its data ended, if that is what it is in."""
    return before.phase if before is not None and before.no_data else None


def _same_episode(before: Episode | None, now: Episode) -> Episode:
    """Return what was measured now as of the episode that there was, if there was one."""
    if before is None:
        return now
    return msgspec.structs.replace(
        now,
        starts_at=before.starts_at,
        phase=before.phase,
        labels=before.labels,
        receivers=before.receivers,
        outages=before.outages,
        action=before.action,
    )


def _stay(rule: Rule, before: Episode, now: Episode, window_end: int) -> Step:
    after = msgspec.structs.replace(before, clear=0, no_data=False)
    if before.no_data:
        after = msgspec.structs.replace(after, said_at=window_end)
        told = msgspec.structs.replace(_same_episode(before, now), severity=before.severity)
        return Step(after, "firing", told, "firing")
    # What fired before ``said_at`` was remembered counts from its beginning.
    said_at = before.starts_at if before.said_at is None else before.said_at
    if not rule.repeat_interval or window_end - said_at < rule.repeat_interval:
        return Step(after, None, after)
    after = msgspec.structs.replace(after, said_at=window_end, reminders=before.reminders + 1)
    told = msgspec.structs.replace(
        _same_episode(before, now), severity=before.severity, reminders=after.reminders
    )
    return Step(after, "reminder", told)


def cease(rule: Rule, before: Episode, now: Episode) -> Step:
    """Take in a judged window in which the rule doesn't hold; ``now`` is what was measured in it.

    What is pending is over at once; what is firing in the ``keep_firing_for``-th such window in a
    row. Until then, what was told as no data stays so: it doesn't hold, and is not over.
    """
    told, was = _same_episode(before, now), _interrupted(before)
    if before.phase == "pending":
        return Step(None, "inactive", told, was)
    if before.clear + 1 < rule.keep_firing_for:
        after = msgspec.structs.replace(before, clear=before.clear + 1)
        return Step(after, None, after)
    return Step(None, "resolved", told, was)


def miss(before: Episode) -> Step:
    """Take in that there has been no judged window for too long."""
    after = msgspec.structs.replace(before, no_data=True, outages=before.outages + 1)
    return Step(after, "no_data", after, before.phase)
