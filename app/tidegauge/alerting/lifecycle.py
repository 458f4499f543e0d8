"""The life of one episode: pending, firing, over.

Each function takes what is remembered of an episode and what one judged window says of it, and
returns what is remembered from then on. What is told of it is :mod:`tidegauge.alerting.incidents`'.
"""

import msgspec

from tidegauge.alerting.model import SEVERITIES, Rule
from tidegauge.alerting.state import Episode
from tidegauge.contract import Severity


def hold(rule: Rule, before: Episode | None, now: Episode) -> Episode:
    """Take in a judged window in which the rule holds; ``now`` is what was measured in it.

    It fires in the ``for``-th such window in a row, and is pending before that.
    """
    if before is not None and before.phase == "firing":
        severity = worst(before.severity, now.severity)
        return msgspec.structs.replace(before, clear=0, value=now.value, severity=severity)
    held = 1 if before is None else before.held + 1
    now = same_episode(before, now)
    if held < rule.pending_windows:
        return msgspec.structs.replace(now, phase="pending", held=held)
    return msgspec.structs.replace(now, phase="firing")


def cease(rule: Rule, before: Episode, *, flapping: bool) -> Episode | None:
    """Take in a judged window in which the rule doesn't hold; None if that is the end.

    What is pending is over at once; what is firing in the ``keep_firing_for``-th such window in a
    row, or if its alert is ``flapping`` in the ``flapping_windows``-th.
    """
    if before.phase == "pending":
        return None
    windows = rule.keep_firing_for
    if flapping:
        windows = max(windows, rule.flapping_windows)
    clear = before.clear + 1
    return msgspec.structs.replace(before, clear=clear) if clear < windows else None


def same_episode(before: Episode | None, now: Episode) -> Episode:
    """Return what was measured now as of the episode that there was, if there was one."""
    if before is None:
        return now
    return msgspec.structs.replace(
        now,
        starts_at=before.starts_at,
        phase=before.phase,
        labels=before.labels,
        receivers=before.receivers,
    )


def worst(*severities: Severity) -> Severity:
    """Return the worst of severities.

    >>> worst("low", "high", "medium")
    'high'
    """
    return max(severities, key=SEVERITIES.index)
