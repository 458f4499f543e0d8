"""The life of one alert: inactive, pending, firing, resolved.

Each function takes what is remembered of an alert and what one judged window says of it, and
returns what is remembered from then on, and the event if there is one. All times are windows'.
"""

from typing import NamedTuple

import msgspec

from tidegauge.rules.model import Event, Rule
from tidegauge.rules.state import Episode


class Step(NamedTuple):
    """What one window makes of an alert.

    ``episode`` is what is remembered, None if it is over; ``told`` what the event is about.
    """

    episode: Episode | None
    event: Event | None
    told: Episode


def hold(rule: Rule, before: Episode | None, now: Episode, window_end: int) -> Step:
    """Take in a judged window in which the rule holds; ``now`` is what was measured in it.

    It fires in the ``for``-th such window in a row, and is pending before that.
    """
    if before is not None and before.phase == "firing":
        return _stay(rule, before, now, window_end)
    held = 1 if before is None else before.held + 1
    now = _same_episode(before, now)
    if held < rule.pending_windows:
        pending = msgspec.structs.replace(now, phase="pending", held=held)
        return Step(pending, "pending" if before is None else None, pending)
    fired = msgspec.structs.replace(now, phase="firing", said_at=window_end)
    return Step(fired, "firing", fired)


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
        action=before.action,
    )


def _stay(rule: Rule, before: Episode, now: Episode, window_end: int) -> Step:
    after = msgspec.structs.replace(before, clear=0)
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
    row.
    """
    told = _same_episode(before, now)
    if before.phase == "pending":
        return Step(None, "inactive", told)
    if before.clear + 1 < rule.keep_firing_for:
        after = msgspec.structs.replace(before, clear=before.clear + 1)
        return Step(after, None, after)
    return Step(None, "resolved", told)
